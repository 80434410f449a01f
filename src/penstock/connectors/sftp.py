"""Files on an SFTP server. Not for: which of them are complete or new (`places`, `flow`)."""

from __future__ import annotations

import asyncio
import posixpath
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any, TypeVar

import asyncssh

from penstock.connectors.patterns import DEEP, fixed_part, matches
from penstock.connectors.places import Place, RemoteFile, shown
from penstock.connectors.protocol import Check, tried
from penstock.connectors.ssh import Session, SftpSettings, settings_from
from penstock.errors import ConnectorError

T = TypeVar("T")
#: Bytes asked for at once where the server says no limit, and at the most.
_BLOCK, _LARGEST = 32 * 1024, 256 * 1024
#: Requests under way: with the largest block, 8 MiB in memory.
_UNDER_WAY = 32


class Sftp(Place):
    """A folder on an SFTP server; the connection is made when it is first needed.

    Args:
        settings: See `SftpSettings`.
        name: Its key in `env`.
        root: The project's root, where relative paths of keys begin.

    Raises:
        UsageError: Wrong settings, all of them at once.
    """

    settings: SftpSettings

    def __init__(
        self, settings: Mapping[str, Any], *, name: str = "sftp", root: Path = Path()
    ) -> None:
        self.name = name
        self.settings = settings_from(settings, name)
        self.base = self.settings.folder
        self._session = Session(self.settings, name, root)

    def where(self) -> str:
        """`sftp://user@host:port/folder`."""
        its = self.settings
        return f"sftp://{its.user}@{its.host}:{its.port}/{its.folder.lstrip('/')}".rstrip("/")

    def listed(self, pattern: str) -> list[RemoteFile]:
        """All files of a pattern, by name."""
        whole = posixpath.join(self.base, pattern)

        async def walk() -> list[RemoteFile]:
            folder, parts = fixed_part(whole)
            found: list[RemoteFile] = []
            await self._walk(folder, [], parts, found)
            return found

        return sorted(self._run(walk, whole), key=lambda file: file.name)

    def look(self, name: str) -> RemoteFile | None:
        """One file as it is now; None where there is none."""

        async def look() -> RemoteFile | None:
            client = await self._session.ready()
            try:
                return _file(name, await client.stat(_bytes(name)))
            except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                return None

        return self._run(look, name)

    def receive(self, name: str, write: Callable[[bytes], object]) -> None:
        """Hand a file's bytes over, in order; several requests are under way at once."""

        async def receive() -> None:
            client = await self._session.ready()
            block = min(client.limits.max_read_len or _BLOCK, _LARGEST)
            async with client.open(_bytes(name), "rb", encoding=None, block_size=0) as source:
                size = (await source.stat()).size or 0
                await _in_order(source, size, block, write)

        self._run(receive, name)

    def send(self, local: Path, name: str) -> None:
        """Write it as `.NAME.part`, then rename it; folders are made, one of that name replaced."""
        folder, base = posixpath.split(name)
        part = posixpath.join(folder, f".{base}.part")

        async def send() -> None:
            client = await self._session.ready()
            if folder and not await client.isdir(_bytes(folder)):
                await client.makedirs(_bytes(folder), exist_ok=True)
            await client.put(str(local), _bytes(part))
            try:
                await client.posix_rename(_bytes(part), _bytes(name))
            except asyncssh.SFTPOpUnsupported:  # then nothing replaces: the old one goes first
                if await client.exists(_bytes(name)):
                    await client.remove(_bytes(name))
                await client.rename(_bytes(part), _bytes(name))

        self._run(send, name)

    def rename(self, name: str, to: str) -> None:
        """Rename a file; folders are made."""

        async def rename() -> None:
            client = await self._session.ready()
            folder = posixpath.dirname(to)
            if folder and not await client.isdir(_bytes(folder)):
                await client.makedirs(_bytes(folder), exist_ok=True)
            await client.rename(_bytes(name), _bytes(to))

        self._run(rename, name)

    def remove(self, name: str) -> None:
        """Remove a file."""

        async def remove() -> None:
            await (await self._session.ready()).remove(_bytes(name))

        self._run(remove, name)

    def upload(self, local: Path, name: str) -> None:
        """Write a file there; see `Place.upload`."""
        super().upload(local, self._at(name))

    def check(self) -> Iterator[Check]:
        """Connect, verify the host's key, log in, list the folder; write where that is declared."""
        steps = [("connect and log in", self._log_in), ("list the folder", self._list)]
        if self.settings.write:
            steps.append(("write a file", self._write))
        return tried(*steps)

    def close(self) -> None:
        """End the connection; it is made again when it is needed."""
        self._session.close()

    def _at(self, name: str) -> str:
        return posixpath.join(self.base, name)

    def _log_in(self) -> str:
        async def log_in() -> str:
            await self._session.ready()
            return f"{self.where()}, host key {self._session.fingerprint()}"

        return self._run(log_in, "")

    def _list(self) -> str:
        count = len(self.listed("*"))
        return f"{count} {'file' if count == 1 else 'files'} in {self.base or 'its folder'}"

    def _write(self) -> str:
        name = self._at(".penstock-check.part")

        async def write() -> None:
            client = await self._session.ready()
            async with client.open(_bytes(name), "wb") as file:
                await file.write(b"penstock")
            await client.remove(_bytes(name))

        self._run(write, name)
        return "and removed again"

    async def _walk(
        self, folder: str, below: list[str], pattern: list[str], found: list[RemoteFile]
    ) -> None:
        """Go into the folders that the pattern may reach."""
        client = await self._session.ready()
        async for entry in client.scandir(_bytes(folder or ".")):
            raw = entry.filename
            name = raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
            if name in (".", "..") or "/" in name or "\0" in name:
                continue  # no name of a file in a folder, whatever a server says
            path, parts = posixpath.join(folder, name), [*below, name]
            permissions = entry.attrs.permissions
            mode = (await client.stat(_bytes(path))).permissions if permissions is None else None
            kind = permissions if permissions is not None else mode or 0
            if S_ISDIR(kind):
                if DEEP in pattern or len(parts) < len(pattern):
                    await self._walk(path, parts, pattern, found)
            elif matches(parts, pattern):
                seen = _file(path, entry.attrs)
                if S_ISREG(kind) and seen is not None:
                    found.append(seen)

    def _run(self, action: Callable[[], Coroutine[Any, Any, T]], name: str) -> T:
        try:
            return self._session.run(action)
        except asyncssh.SFTPError as error:
            raise self._told(error, name) from None

    def _told(self, error: asyncssh.SFTPError, name: str) -> ConnectorError:
        """What a server says of a file or a folder."""
        its = self.settings
        what = shown(name) or its.folder or "its folder"
        if isinstance(error, asyncssh.SFTPPermissionDenied):
            return self.error(
                f"{its.user} may not do that with {what}: permission denied",
                "rights",
                "Have the rights changed on the server.",
            )
        if isinstance(error, (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)):
            return self.error(f"there is no {what} on {its.host}", "missing", "Correct the folder.")
        return self.error(f"{what}: {shown(error.reason) or type(error).__name__}", "sftp")


async def _in_order(
    source: asyncssh.SFTPClientFile, size: int, block: int, write: Callable[[Any], object]
) -> None:
    """Read with several requests under way; what comes is handed over in order."""
    under_way: deque[tuple[int, int, asyncio.Task[Any]]] = deque()
    offset = 0
    try:
        while offset < size or under_way:
            while offset < size and len(under_way) < _UNDER_WAY:
                length = min(block, size - offset)
                task = asyncio.ensure_future(source.read(length, offset))
                under_way.append((offset, length, task))
                offset += length
            begin, length, task = under_way.popleft()
            data = await task
            while data and length > len(data):  # a server may give less than it is asked for
                write(data)
                begin, length = begin + len(data), length - len(data)
                data = await source.read(length, begin)
            if not data:
                return  # it ends sooner than it said: the size tells
            write(data)
    finally:
        for _, _, task in under_way:
            task.cancel()
        await asyncio.gather(*(task for _, _, task in under_way), return_exceptions=True)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _file(name: str, attrs: asyncssh.SFTPAttrs) -> RemoteFile | None:
    if attrs.permissions is not None and S_ISDIR(attrs.permissions):
        return None
    modified = None if attrs.mtime is None else datetime.fromtimestamp(attrs.mtime, UTC)
    return RemoteFile(name, attrs.size or 0, modified, str(attrs.mtime or ""))
