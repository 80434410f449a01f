"""A connection to an SSH server, and who it is made as. Not for: files there (`sftp`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import asyncssh

from penstock.connectors.hostkeys import HostKeys
from penstock.connectors.places import PlaceSettings, shown
from penstock.connectors.settings import read_settings
from penstock.errors import ConnectorError, UsageError
from penstock.model.secret import Secret, revealed

T = TypeVar("T")
#: First those that this machine computes fastest.
_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpSettings(PlaceSettings):
    """Which server, and as whom; besides what `PlaceSettings` has.

    Attributes:
        url: `sftp://user@host:22/folder` instead of the parts.
        host: The server.
        port: Its port.
        user: Who logs in.
        password: Their password; default: a key.
        key: File of a private key, relative to the project's root; default, without a password:
            those of `~/.ssh` and of a running agent.
        passphrase: Of that key.
        known_hosts: File with keys of servers; default `~/.ssh/known_hosts`.
        host_key: The server's own key instead: `ssh-ed25519 AAAA...` or its fingerprint
            `SHA256:...`.
        folder: What relative names are relative to; default: where the login leads.
        timeout: Seconds until a step is given up.
    """

    url: str | Secret | None = None
    host: str = ""
    port: int = 22
    user: str = ""
    password: Secret | None = None
    key: str | None = None
    passphrase: Secret | None = None
    known_hosts: str | None = None
    host_key: str | None = None
    folder: str = ""
    timeout: float = 30.0

    def __post_init__(self) -> None:
        PlaceSettings.__post_init__(self)
        if (self.url is None) == (not self.host):
            raise ValueError("name the server by url, or by host and user")
        if self.host and not self.user:
            raise ValueError("user is missing")


class Session:
    """A connection that is made when it is first needed, and again after it broke.

    Args:
        settings: Where to, and as whom.
        name: The connector's key in `env`.
        root: The project's root, where relative paths of keys begin.
    """

    def __init__(self, settings: SftpSettings, name: str, root: Path) -> None:
        self._settings, self._name, self._root = settings, name, root
        self._runner: asyncio.Runner | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None

    def run(self, action: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something on the connection, to its end.

        Raises:
            asyncssh.SFTPError: The server refuses it.
            ConnectorError: There is no connection, or it broke.
        """
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            return self._runner.run(self._within(action))
        except asyncssh.SFTPError:
            raise
        except (asyncssh.Error, OSError, TimeoutError) as error:
            self._runner.run(self._hang_up())
            raise self._broken(error) from None

    async def _within(self, action: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return await action()
        except asyncssh.SFTPConnectionLost as error:
            raise ConnectionResetError(error.reason) from None

    async def ready(self) -> asyncssh.SFTPClient:
        """The client, connected and logged in."""
        if self._client is not None and self._connection is not None:
            if not self._connection.is_closed():
                return self._client
            await self._hang_up()
        its = self._settings
        keys = HostKeys(its.host, its.port, its.host_key, its.known_hosts, self._root)
        options: dict[str, Any] = {**keys.options(), **self._credentials()}
        try:
            self._connection = await asyncssh.connect(
                its.host,
                its.port,
                username=its.user,
                config=None,
                encryption_algs=_CIPHERS,
                connect_timeout=its.timeout,
                login_timeout=its.timeout,
                keepalive_interval=its.timeout / 2,
                keepalive_count_max=2,
                **options,
            )
        except (asyncssh.HostKeyNotVerifiable, asyncssh.KeyExchangeFailed) as error:
            raise keys.refused(self._name, error) from None
        except asyncssh.PermissionDenied:
            raise self._error(
                f"{its.host}:{its.port} refused the login of {its.user}",
                "login",
                "Check user, password or key.",
            ) from None
        self._client = await self._connection.start_sftp_client()
        return self._client

    async def _hang_up(self) -> None:
        if self._client is not None:
            self._client.exit()
            self._client = None
        if self._connection is not None:
            self._connection.abort()
            await self._connection.wait_closed()
            self._connection = None

    def _credentials(self) -> dict[str, Any]:
        its = self._settings
        given: dict[str, Any] = {}
        if its.password is not None:
            given |= {"password": its.password.reveal(), "agent_path": None, "client_keys": None}
        if its.key is not None:
            path = self._root / Path(its.key).expanduser()
            secret = None if its.passphrase is None else its.passphrase.reveal()
            try:
                key = asyncssh.read_private_key(path, secret)
            except OSError as error:
                raise self._error(f"key {path}: {error.strerror}", "key") from None
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
                raise self._error(
                    f"key {path} is no private key, or passphrase is not its own",
                    "key",
                    "Set passphrase, or name another file.",
                ) from None
            given |= {"client_keys": [key], "agent_path": None}
        return given

    def close(self) -> None:
        """End it; it is made again when it is needed."""
        if self._runner is not None:
            self._runner.run(self._hang_up())
            self._runner.close()
            self._runner = None

    def fingerprint(self) -> str:
        """Of the key of the server that is connected."""
        key = None if self._connection is None else self._connection.get_server_host_key()
        return "" if key is None else key.get_fingerprint()

    def _error(self, message: str, code: str, advice: str = "") -> ConnectorError:
        return ConnectorError(f"{self._name}: {message}", code=code, advice=advice)

    def _broken(self, error: BaseException) -> ConnectorError:
        its = self._settings
        there = f"{its.host}:{its.port}"
        if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
            said = f"{there} did not answer within {its.timeout:g} s"
            return self._error(said, "timeout", "Check host, port and firewall.")
        if isinstance(error, OSError) and self._connection is None and not _reset(error):
            reason = error.strerror or str(error)
            return self._error(
                f"{there} cannot be reached: {reason}", "connect", "Check host, port and firewall."
            )
        return self._error(f"the connection to {there} was lost: {shown(str(error))}", "lost")


def _reset(error: OSError) -> bool:
    return isinstance(error, (ConnectionResetError, BrokenPipeError))


def settings_from(given: Mapping[str, Any], name: str) -> SftpSettings:
    """The settings, also of a `url`.

    Raises:
        UsageError: Wrong settings, all of them at once.
    """
    return read_settings(SftpSettings, _parts(given, name), name)


def _parts(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The settings with what their `url` says."""
    given = settings.get("url")
    if not isinstance(given, (str, Secret)):
        return settings
    try:
        url = urlsplit(revealed(given))
        port = url.port
    except ValueError:
        url, port = urlsplit(""), None
    if url.scheme != "sftp" or not url.hostname:
        raise UsageError(f"{name}: url must be like sftp://user@host:22/folder")
    parts: dict[str, Any] = {"host": url.hostname}
    parts |= {} if port is None else {"port": port}
    parts |= {} if url.username is None else {"user": unquote(url.username)}
    parts |= {} if url.password is None else {"password": Secret(unquote(url.password))}
    parts |= {} if url.path in ("", "/") else {"folder": unquote(url.path)}
    return parts | {key: value for key, value in settings.items() if key != "url"}
