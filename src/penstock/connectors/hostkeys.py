"""Is it the right server? Its key, against those that are known. Not for: logging in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh

from penstock.errors import ConnectorError


class HostKeys:
    """The keys that a server may show; without one that is known nothing is sent to it.

    Args:
        host: The server.
        port: Its port.
        declared: `ssh-ed25519 AAAA...` or `SHA256:...`; None: those of the file.
        file: Known hosts; None: `~/.ssh/known_hosts`.
        root: Where a relative file begins.
    """

    def __init__(
        self, host: str, port: int, declared: str | None, file: str | None, root: Path
    ) -> None:
        self._host, self._port = host, port
        self._declared = None if declared is None else declared.strip()
        self._file = root / Path(file or "~/.ssh/known_hosts").expanduser()
        self._named = file
        self.shown: asyncssh.SSHKey | None = None

    def options(self) -> dict[str, Any]:
        """What asyncssh connects with.

        Raises:
            ConnectorError: The declared key is none, or the file cannot be read.
        """
        keys = self

        class Client(asyncssh.SSHClient):
            def validate_host_public_key(
                self, host: str, addr: str, port: int, key: asyncssh.SSHKey
            ) -> bool:
                keys.shown = key
                return keys.is_declared(key)

        return {"client_factory": Client, "known_hosts": self._known()}

    def is_declared(self, key: asyncssh.SSHKey) -> bool:
        """True for the key whose fingerprint was declared."""
        declared = self._declared or ""
        return declared.startswith("SHA256:") and key.get_fingerprint() == declared.rstrip("=")

    def refused(self, name: str, error: Exception) -> ConnectorError:
        """What to say where the server's key was not accepted."""
        there = f"{self._host}:{self._port}"
        seen = "" if self.shown is None else f" {self.shown.get_fingerprint()}"
        if self._declared is not None or self._has_others():
            where = "host_key" if self._declared is not None else str(self._file)
            return ConnectorError(
                f"{name}: {there} shows another key{seen} than {where} has: it may be another "
                "server, or somebody in between. Nothing was sent to it",
                code="host_key",
                advice="Ask who runs the server whether its key was changed; only then correct "
                f"{where}.",
            )
        if self.shown is None:
            return ConnectorError(f"{name}: {there}: {error}", code="host_key")
        return ConnectorError(
            f"{name}: {there} shows the key{seen}, which {self._file} does not have",
            code="host_key",
            advice="Compare it with what who runs the server tells you; then set "
            f'host_key = "{self.shown.get_fingerprint()}", or add the key to that file.',
        )

    def _known(self) -> Any:
        if self._declared is None:
            return str(self._file) if self._readable() else ([], [], [])
        if self._declared.startswith("SHA256:"):
            return ([], [], [])
        try:
            return ([asyncssh.import_public_key(self._declared)], [], [])
        except (asyncssh.KeyImportError, ValueError):
            raise ConnectorError(
                "host_key is neither a public key nor a fingerprint",
                code="host_key",
                advice="It begins with ssh-ed25519, ecdsa-sha2, ssh-rsa or SHA256:",
            ) from None

    def _readable(self) -> bool:
        if self._file.is_file():
            return True
        if self._named is None:
            return False
        raise ConnectorError(f"there is no file {self._file}", code="host_key")

    def _has_others(self) -> bool:
        if not self._file.is_file():
            return False
        found = asyncssh.read_known_hosts(str(self._file)).match(self._host, "", self._port)
        return bool(found[0])
