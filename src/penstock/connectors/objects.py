"""Files in object storage: S3 and what speaks as it does, Google Cloud, Azure.

Not for: which of them are complete or new (`places`, `flow`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, S3Store

from penstock.connectors.patterns import fixed_part, matches
from penstock.connectors.places import Place, PlaceSettings, RemoteFile, shown
from penstock.connectors.protocol import Check, tried
from penstock.connectors.settings import read_settings
from penstock.errors import ConnectorError
from penstock.model.secret import Secret

#: Bytes of a block that is handed over.
_BLOCK = 4 << 20
#: For a whole request, however large the object; a silence is given up much sooner.
_LONGEST = timedelta(hours=12)
_SCHEMES = ("s3", "gs", "az")
_LOGIN = (
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AuthenticationFailed",
    "ExpiredToken",
    "InvalidToken",
)
_CODE = re.compile(r"<Code>([^<]+)</Code>")
_SAID = re.compile(r"<Message>([^<]+)</Message>")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsSettings(PlaceSettings):
    """Which bucket, and with what key; besides what `PlaceSettings` has.

    Attributes:
        url: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
        complete: `name` (default): an object is there whole or not at all.
        endpoint: Another server that speaks the same, `https://minio.example.com`.
        region: Of an S3 bucket.
        access_key: Of S3: the key's id; of Azure: the account's name.
        secret_key: Of S3 and Azure: the key; of Google Cloud: a service account as JSON.
        token: Of S3: of a session; of Google Cloud and Azure: a bearer token.
        plain_http: True: `endpoint` may be without TLS.
        timeout: Seconds until a connection, or a silence, is given up.
    """

    url: str
    complete: str = "name"
    endpoint: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: Secret | None = None
    token: Secret | None = None
    plain_http: bool = False
    timeout: float = 30.0

    def __post_init__(self) -> None:
        PlaceSettings.__post_init__(self)
        parts = urlsplit(self.url)
        if parts.scheme not in _SCHEMES or not parts.netloc or "@" in parts.netloc:
            raise ValueError("url must be like s3://bucket/prefix (s3, gs or az)")
        if (self.endpoint or "").startswith("http://") and not self.plain_http:
            raise ValueError("endpoint has no TLS: use https, or set plain_http")


class Objects(Place):
    """A bucket, or what is under a prefix of it; names are relative to the prefix.

    Keys that are not set are looked for where the tools of that cloud do: variables of the process,
    and the role of the machine.

    Args:
        settings: See `ObjectsSettings`.
        name: Its key in `env`.
        root: Not used: nothing here is relative to the project.

    Raises:
        UsageError: Wrong settings, all of them at once.
    """

    settings: ObjectsSettings

    def __init__(
        self, settings: Mapping[str, Any], *, name: str = "objects", root: Path = Path()
    ) -> None:
        del root
        self.name = name
        self.settings = read_settings(ObjectsSettings, settings, name)
        self._store: Any = None

    def where(self) -> str:
        """The url."""
        return self.settings.url

    def listed(self, pattern: str) -> list[RemoteFile]:
        """All objects of a pattern, by name."""
        parts = pattern.lstrip("/").split("/")
        folder, _ = fixed_part(pattern.lstrip("/"))
        found = []
        with self._told(folder):
            for chunk in obstore.list(self._opened(), folder or None):
                for one in chunk:
                    if matches(one["path"].split("/"), parts):
                        found.append(_file(one))
        return sorted(found, key=lambda file: file.name)

    def look(self, name: str) -> RemoteFile | None:
        """One object as it is now; None where there is none."""
        with self._told(name), suppress(FileNotFoundError):
            return _file(obstore.head(self._opened(), name))
        return None

    def receive(self, name: str, write: Callable[[bytes], object]) -> None:
        """Hand an object's bytes over, in order."""
        with self._told(name):
            for block in obstore.get(self._opened(), name).stream(min_chunk_size=_BLOCK):
                write(bytes(block))

    def send(self, local: Path, name: str) -> None:
        """Write an object; it is there when it is whole."""
        with self._told(name):
            obstore.put(self._opened(), name, local)

    def rename(self, name: str, to: str) -> None:
        """Copy an object, then remove it."""
        with self._told(name):
            obstore.rename(self._opened(), name, to)

    def remove(self, name: str) -> None:
        """Remove an object."""
        with self._told(name):
            obstore.delete(self._opened(), name)

    def upload(self, local: Path, name: str) -> None:
        """Write a file there; see `Place.upload`."""
        super().upload(local, name.lstrip("/"))

    def check(self) -> Iterator[Check]:
        """List the bucket; write an object and remove it, where that is declared."""
        steps = [("list the bucket", self._list)]
        if self.settings.write:
            steps.append(("write an object", self._write))
        return tried(*steps)

    def close(self) -> None:
        """Give the connections back."""
        self._store = None

    def _list(self) -> str:
        with self._told(""):
            found = obstore.list_with_delimiter(self._opened())
        count = len(found["objects"])
        return f"{count} {'object' if count == 1 else 'objects'} in {self.where()}"

    def _write(self) -> str:
        name = ".penstock-check.part"
        with self._told(name):
            obstore.put(self._opened(), name, b"penstock")
            obstore.delete(self._opened(), name)
        return "and removed again"

    def _opened(self) -> Any:
        if self._store is None:
            its = self.settings
            url = urlsplit(its.url)
            common: dict[str, Any] = {
                "client_options": {
                    "timeout": _LONGEST,
                    "connect_timeout": timedelta(seconds=its.timeout),
                    "read_timeout": timedelta(seconds=its.timeout),
                    "allow_http": its.plain_http,
                },
                # Tried again here, for all places alike (`places`).
                "retry_config": {"max_retries": 0},
                "prefix": url.path.strip("/") or None,
            }
            made = {"s3": self._s3, "gs": self._google, "az": self._azure}[url.scheme]
            with self._told(""):
                self._store = made(url.netloc, common)
        return self._store

    def _s3(self, bucket: str, common: dict[str, Any]) -> S3Store:
        its = self.settings
        said = {
            "endpoint": its.endpoint,
            "region": its.region,
            "access_key_id": its.access_key,
            "secret_access_key": _revealed(its.secret_key),
            "session_token": _revealed(its.token),
        }
        return S3Store(bucket, **common, **_given(said))

    def _google(self, bucket: str, common: dict[str, Any]) -> GCSStore:
        its = self.settings
        said = {
            "base_url": its.endpoint,
            "service_account_key": _revealed(its.secret_key),
            "bearer_token": _revealed(its.token),
        }
        return GCSStore(bucket, **common, **_given(said))

    def _azure(self, container: str, common: dict[str, Any]) -> AzureStore:
        its = self.settings
        said = {
            "endpoint": its.endpoint,
            "account_name": its.access_key,
            "access_key": _revealed(its.secret_key),
            "token": _revealed(its.token),
        }
        return AzureStore(container, **common, **_given(said))

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """What the store says becomes an error for people."""
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise self._error(error, name) from None
            raise self.error(f"there is no {shown(name)}", "missing") from None
        except (BaseError, OSError, ValueError) as error:
            raise self._error(error, name) from None

    def _error(self, error: Exception, name: str) -> ConnectorError:
        text = str(error).partition("\n\nDebug source")[0]
        code, said = _CODE.search(text), _SAID.search(text)
        found = code[1] if code else ""
        what = shown(name) or self.where()
        if found == "NoSuchBucket":
            return self.error(
                f"there is no bucket {urlsplit(self.where()).netloc}", "missing", "Correct url."
            )
        denied = isinstance(error, (PermissionDeniedError, UnauthenticatedError))
        if found in _LOGIN or denied or " 403 " in text or " 401 " in text:
            reason = found or "denied"
            return self.error(
                f"{what}: refused ({reason})", "login", "Check access_key, secret_key and rights."
            )
        if "HTTP error" in text:
            return self.error(
                f"{self.settings.endpoint or self.where()} cannot be reached, or the connection "
                "was lost",
                "lost",
                "Check endpoint, region and firewall.",
            )
        if re.search(r"status code: 5\d\d| 429 ", text):
            return self.error(f"{what}: the server failed ({found or '5xx'})", "lost")
        return self.error(f"{what}: {said[1] if said else text.splitlines()[0]}", "objects")


def _given(said: Mapping[str, str | None]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if value is not None}


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


def _file(meta: Any) -> RemoteFile:
    modified = meta["last_modified"]
    # In lists Azure has no quotes around it, in headers it has.
    tag = str(meta["e_tag"] or "").removeprefix("W/").strip('"')
    return RemoteFile(meta["path"], meta["size"], modified, tag or f"{modified:%Y-%m-%dT%H:%M:%S}")
