"""Where the server listens: a port of 127.0.0.1 and a unix socket. Not for speaking SQL."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from pathlib import Path

HOST = "127.0.0.1"
# SSLRequest, the shortest question that only a living server answers:
# https://www.postgresql.org/docs/current/protocol-message-formats.html
_QUESTION = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL does
        try:
            probe.bind((HOST, port))
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def answers(port: int) -> bool:
    """Whether a PostgreSQL answers on this port of 127.0.0.1 within 5 seconds."""
    try:
        with socket.create_connection((HOST, port), timeout=5) as probe:
            probe.sendall(_QUESTION)
            return probe.recv(1) != b""
    except OSError:
        return False


def listen_options(port: int, sockets: Path, settings: Mapping[str, str]) -> list[str]:
    """The arguments of `postgres`: the settings, and where it listens (which has the last word)."""
    quoted = str(sockets).replace('"', '""')  # a list to PostgreSQL: commas need the quotes
    all_settings = {
        **settings,
        "port": str(port),
        "listen_addresses": HOST,
        "unix_socket_directories": f'"{quoted}"',
    }
    return [part for name, value in all_settings.items() for part in ("-c", f"{name}={value}")]
