"""Places that hold files: what SFTP, object storage and folders have in common.

A connector says how files are listed, read, written, renamed and removed; which of them are
complete, how one arrives whole, and what becomes of it afterwards is said here, once for all.
Not for: which files a flow has had already (`flow.fetching`).
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import random
import re
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias, TypeVar

from penstock.connectors.protocol import Check
from penstock.errors import ConnectorError

T = TypeVar("T")
#: Bytes of a file here, and when it was changed last, in ns.
FileState: TypeAlias = tuple[int, int]
#: What programs call a file that they are still writing.
UNFINISHED = (".part", ".tmp", ".filepart")
COMPLETE, AFTER = ("stable", "marker", "name"), ("leave", "delete", "move")
#: Errors that may pass by themselves.
PASSING = frozenset({"connect", "lost", "timeout"})
#: Seconds before the second try; doubled for each further one, with jitter.
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
#: Bytes of a local file's name at the most; file systems take 255.
_LONGEST_NAME = 200
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff/\\:*?"<>|\u2028\u2029\u202a-\u202e]')


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as it was seen.

    Attributes:
        name: Its whole name there: path or key.
        size: Bytes.
        modified: When it was written last, as the place says; None where it does not.
        version: Differs when the content was written anew: a time, or an entity tag.
    """

    name: str
    size: int
    modified: datetime | None = field(compare=False)  # a list and a look may round it differently
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSettings:
    """Which files are complete, and what becomes of them.

    Attributes:
        complete: `stable`: size and time are the same at two looks; `marker`: another file says
            so; `name`: at once. What is named .part, .tmp or .filepart, or begins with a dot, never
            is.
        stable_seconds: Between the two looks.
        marker: Name of the other file, beside it; it goes with the file.
        after: What becomes of a file that was fetched: `leave`, `delete` or `move`.
        move_to: The folder, for `move`; relative to the place's own.
        retries: How often a broken connection is tried again.
        write: True where files are written there too, which `check` tries.
    """

    complete: str = "stable"
    stable_seconds: float = 2.0
    marker: str = "{name}.done"
    after: str = "leave"
    move_to: str | None = None
    retries: int = 3
    write: bool = False

    def __post_init__(self) -> None:
        if self.complete not in COMPLETE:
            raise ValueError(f"complete must be {_either(COMPLETE)}, not {self.complete!r}")
        if self.after not in AFTER:
            raise ValueError(f"after must be {_either(AFTER)}, not {self.after!r}")
        if (self.after == "move") != (self.move_to is not None):
            raise ValueError('after="move" and move_to belong together')
        if "{name}" not in self.marker or self.marker == "{name}" or "/" in self.marker:
            raise ValueError('marker must be another name with {name} in it, such as "{name}.done"')
        if self.stable_seconds < 0 or self.retries < 0:
            raise ValueError("stable_seconds and retries cannot be negative")


class Place(ABC):
    """A place that holds files; a connector of one writes the methods that are abstract.

    They raise ConnectorError; with the code `connect`, `lost` or `timeout` they are tried again.

    Attributes:
        name: Its key in `env`.
        settings: Its own, which are `PlaceSettings` too.
    """

    name: str
    settings: PlaceSettings
    #: What a relative `move_to` is relative to.
    base = ""

    @abstractmethod
    def where(self) -> str:
        """What it leads to, for people, without secrets."""

    @abstractmethod
    def check(self) -> Iterator[Check]:
        """Try what will be needed."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is held."""

    @abstractmethod
    def listed(self, pattern: str) -> list[RemoteFile]:
        """All files of a pattern (`*`, `?`, `[]`, and `**` for folders below), by name."""

    @abstractmethod
    def look(self, name: str) -> RemoteFile | None:
        """One file as it is now; None where there is none."""

    @abstractmethod
    def receive(self, name: str, write: Callable[[bytes], object]) -> None:
        """Hand a file's bytes over, in order."""

    @abstractmethod
    def send(self, local: Path, name: str) -> None:
        """Write a file so that nobody sees half of it; one of that name is replaced."""

    @abstractmethod
    def rename(self, name: str, to: str) -> None:
        """Rename a file; folders are made."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file."""

    def find(self, pattern: str) -> list[RemoteFile]:
        """The files of a pattern that are complete, by name.

        Raises:
            ConnectorError: It cannot be reached or read.
        """
        found = self.candidates(pattern)
        return self.settled(pattern, found) if found else []

    def candidates(self, pattern: str) -> list[RemoteFile]:
        """The files of a pattern but markers, unfinished, hidden and moved ones; by name."""
        its = self.settings
        found = self._again(lambda: self.listed(pattern))
        marks = {self._marker(one.name) for one in found} if its.complete == "marker" else set()
        moved = None if its.move_to is None else posixpath.join(self.base, its.move_to).rstrip("/")
        return [
            one
            for one in sorted(found, key=lambda file: file.name)
            if one.name not in marks
            and not posixpath.basename(one.name).startswith(".")
            and not one.name.lower().endswith(UNFINISHED)
            and (moved is None or posixpath.dirname(one.name) != moved)
        ]

    def settled(self, pattern: str, found: Sequence[RemoteFile]) -> list[RemoteFile]:
        """Those of these files of a pattern that nobody is writing any more."""
        its = self.settings
        if its.complete == "name" or not found:
            return list(found)
        if its.complete == "marker":
            return [one for one in found if self._look(self._marker(one.name)) is not None]
        time.sleep(its.stable_seconds)
        second = set(self._again(lambda: self.listed(pattern)))
        return [one for one in found if one in second]

    def download(self, file: RemoteFile, local: Path) -> str:
        """Fetch a file: it is there under its name when it is whole and on the disk, never before.

        Args:
            file: As it was found.
            local: Its new name; a file of that name is replaced.

        Returns:
            The sha256 of its bytes, in hexadecimal.

        Raises:
            ConnectorError: It cannot be fetched; code `changed` where it was written meanwhile.
        """
        return self._again(lambda: self._download(file, local))

    def upload(self, local: Path, name: str) -> None:
        """Write a file there, by another name first; nobody sees half of it.

        Raises:
            ConnectorError: It cannot be written, or has another size there.
        """
        if not local.is_file():
            raise self.error(f"there is no file {local} to send", "missing")

        def send() -> None:
            self.send(local, name)
            there = self.look(name)
            if there is None or there.size != local.stat().st_size:
                raise self.error(f"{shown(name)} did not arrive whole", "lost")

        self._again(send)

    def finish(self, file: RemoteFile) -> str:
        """Do with a fetched file what `after` says; gives what was done, for people.

        A file that was written anew since it was found is left as it is.

        Raises:
            ConnectorError: It cannot be moved or deleted.
        """
        its = self.settings
        if its.after == "leave" or self._look(file.name) != file:
            return ""
        if its.complete == "marker":  # first: a marker alone would vouch for a file to come
            mark = self._marker(file.name)
            self._again(lambda: self.remove(mark) if self.look(mark) is not None else None)
        if its.after == "delete":
            self._again(lambda: self.remove(file.name))
            return "deleted"
        to = self._free(posixpath.join(self.base, its.move_to or "", posixpath.basename(file.name)))
        self._again(lambda: self.rename(file.name, to))
        return f"moved to {shown(to)}"

    def error(self, message: str, code: str, advice: str = "") -> ConnectorError:
        """An error of this place, named by it."""
        return ConnectorError(f"{self.name}: {message}", code=code, advice=advice)

    def _download(self, file: RemoteFile, local: Path) -> str:
        local.parent.mkdir(parents=True, exist_ok=True)
        part = local.with_name(f".{local.name}.part")
        digest, size = hashlib.sha256(), 0

        def write(block: bytes) -> None:
            nonlocal size
            digest.update(block)
            with self._here(local):
                size += target.write(block)

        try:
            with self._here(local), part.open("wb") as target:
                self.receive(file.name, write)
                target.flush()
                os.fsync(target.fileno())
            now = self.look(file.name)
            if now != file:
                raise self.error(
                    f"{shown(file.name)} was written, moved or removed while it was fetched",
                    "changed",
                    "It is taken when it is complete; see the setting complete.",
                )
            if size != file.size:
                raise self.error(
                    f"{shown(file.name)}: only {size:,} of {file.size:,} bytes came", "lost"
                )
            part.replace(local)
            sync(local.parent)
        finally:
            part.unlink(missing_ok=True)
        return digest.hexdigest()

    @contextmanager
    def _here(self, local: Path) -> Iterator[None]:
        """What this machine's own disk says is not the other side's fault."""
        try:
            yield
        except OSError as error:
            raise self.error(
                f"{local} cannot be written: {error.strerror}",
                "disk",
                "Check the room on the disk, and the owner and rights of the folder.",
            ) from None

    def _look(self, name: str) -> RemoteFile | None:
        return self._again(lambda: self.look(name))

    def _marker(self, name: str) -> str:
        folder, base = posixpath.split(name)
        return posixpath.join(folder, self.settings.marker.replace("{name}", base))

    def _free(self, name: str) -> str:
        stem, suffix = posixpath.splitext(name)
        number, free = 2, name
        while self._look(free) is not None:
            number, free = number + 1, f"{stem}-{number}{suffix}"
        return free

    def _again(self, action: Callable[[], T]) -> T:
        """Do it, and again where a connection broke; what a person must mend is not tried again."""
        for number in range(self.settings.retries):
            try:
                return action()
            except ConnectorError as error:
                if error.code not in PASSING:
                    raise
                wait = min(_FIRST_WAIT * 2**number, _LONGEST_WAIT)
                time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  jitter is no secret
        return action()


def shown(name: str) -> str:
    """A file's name for people: without line breaks and control characters."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e]", "?", name)


def local_name(name: str) -> str:
    """A name for a file here, which leads out of no folder: the last part of `name`, made safe."""
    base = _UNSAFE.sub("_", posixpath.basename(name)).strip(" ")
    if not base or base.startswith("."):
        base = f"_{base[1:]}"
    stem, suffix = posixpath.splitext(base)
    suffix = suffix.encode()[:20].decode(errors="ignore")
    return stem.encode()[: _LONGEST_NAME - 20].decode(errors="ignore") + suffix


def state_of(path: Path) -> FileState | None:
    """Size and time of the last change; None where there is no plain file."""
    try:
        seen = path.stat()
    except OSError:  # it is gone, or leads nowhere
        return None
    return (seen.st_size, seen.st_mtime_ns) if stat.S_ISREG(seen.st_mode) else None


def sync(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _either(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
