"""Values of HashiCorp Vault, secrets engine KV version 2: `vault:MOUNT/PATH#KEY`.

`VAULT_ADDR`, `VAULT_TOKEN` (or the file `VAULT_TOKEN_FILE`), `VAULT_NAMESPACE` and `VAULT_CACERT`
say which server, as for Vault's own program.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from urllib.parse import quote

from penstock.errors import UsageError

_TIMEOUT = 10.0


class Vault:
    """A Vault server; each path is read once."""

    def __init__(self) -> None:
        self._read: dict[str, dict[str, object]] = {}

    def fetch(self, reference: str) -> str:
        """The value of a key at a path.

        Raises:
            UsageError: The server cannot be reached, refuses, or has no such key.
        """
        place, _, key = reference.partition("#")
        mount, _, path = place.partition("/")
        if not path or not key:
            raise UsageError("write vault:MOUNT/PATH#KEY, such as vault:kv/shop/prod#password")
        if place not in self._read:
            self._read[place] = self._data(mount, path)
        if key not in self._read[place]:
            raise UsageError(f"Vault has no key {key} at {place}")
        return str(self._read[place][key])

    def _data(self, mount: str, path: str) -> dict[str, object]:
        import httpx2

        address = os.environ.get("VAULT_ADDR", "").rstrip("/")
        if not address:
            raise UsageError("VAULT_ADDR is not set: which Vault?")
        headers = {"X-Vault-Token": _token(), "X-Vault-Request": "true"}
        if os.environ.get("VAULT_NAMESPACE"):
            headers["X-Vault-Namespace"] = os.environ["VAULT_NAMESPACE"]
        trust = _trust()
        url = f"{address}/v1/{quote(mount)}/data/{quote(path)}"
        try:
            answer = httpx2.get(url, headers=headers, timeout=_TIMEOUT, verify=trust)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise UsageError(f"Vault at {address} cannot be reached: {error}") from None
        if answer.status_code == httpx2.codes.FORBIDDEN:
            raise UsageError(f"Vault refused {mount}/{path}: the token is wrong or has no right")
        if answer.status_code == httpx2.codes.NOT_FOUND:
            raise UsageError(f"Vault has nothing at {mount}/{path} (KV version 2)")
        if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            raise UsageError(
                f"Vault answered 503 for {mount}/{path}: it is sealed or stands by: somebody must "
                "unseal it"
            )
        if answer.status_code != httpx2.codes.OK:
            raise UsageError(f"Vault answered {answer.status_code} for {mount}/{path}")
        try:
            return dict(answer.json()["data"]["data"])
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"{address} did not answer as Vault's KV version 2 does for {mount}/{path}: check "
                "VAULT_ADDR and the mount"
            ) from None


def _trust() -> ssl.SSLContext:
    """The certificates that are trusted."""
    named = os.environ.get("VAULT_CACERT")
    try:
        return ssl.create_default_context(cafile=named)
    except OSError as error:  # ssl's own errors are such too
        raise UsageError(f"VAULT_CACERT: {named} cannot be read: {error.strerror}") from None


def _token() -> str:
    if os.environ.get("VAULT_TOKEN"):
        return os.environ["VAULT_TOKEN"]
    named = os.environ.get("VAULT_TOKEN_FILE")
    path = Path(named) if named else Path.home() / ".vault-token"
    if named and not path.is_file():
        raise UsageError(f"there is no file {path} (VAULT_TOKEN_FILE)")
    if not path.is_file():
        raise UsageError("VAULT_TOKEN is not set, nor is there a ~/.vault-token")
    return path.read_text(encoding="utf-8").strip()
