"""Keeps requests from addresses of the inside that nobody named. Not for: hosts (`transport`).

A name can lead anywhere, and elsewhere tomorrow: to this machine, to a server of the inside, or to
a cloud's metadata at 169.254.169.254 (CWE-918). So the address is looked at that was connected to,
before anything is sent to it.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from penstock.errors import ConnectorError

_LOCAL = "localhost"
#: The last 32 bits are an IPv4 address (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Guard:
    """Looks at the connections of one request; as httpcore's extension `trace` calls it.

    Args:
        host: That is asked; an address, or `localhost`, is meant as it is written.
        name: The connector's, for messages.
    """

    def __init__(self, host: str, name: str) -> None:
        self._host = host
        self._name = name
        self._connecting = ""

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        """A step of a connection.

        Raises:
            ConnectorError: It leads to an address of the inside.
        """
        if event == "connection.connect_tcp.started":
            self._connecting = str(info["host"])
        if event != "connection.connect_tcp.complete" or self._connecting != self._host:
            return  # to a proxy, which this machine's settings name
        stream = info["return_value"]
        address = str(stream.get_extra_info("server_addr")[0])
        if is_inside(address) and not _means_it(self._host):
            stream.close()
            raise ConnectorError(
                f"{self._name}: {self._host} leads to {address}, which is no public address",
                code="private",
                advice='Say "private": True where it is meant to.',
            )


def is_inside(address: str) -> bool:
    """True for an address that is not public: of this machine, of a private or a special net."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found in _NAT64:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        else:
            found = found.ipv4_mapped or found.sixtofour or found
    return not found.is_global or found.is_multicast


def _means_it(host: str) -> bool:
    if host == _LOCAL:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
