"""Brings files from where others put them, each content once. Not for: reading them (`job`).

A file arrives in four steps, and a run that is killed between any two is completed by the next:

1. it is written into a folder of its own beside the others, hashed, and on the disk;
2. it gets its name: whoever sees it sees it whole;
3. the ledger books its content;
4. only then it is moved or deleted where it came from, as its connector says.

After a kill before 2 it comes again. Before 3, it comes again, and the same content in the folder
is found and kept. Before 4, its content is known, and only 4 is done.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from penstock.connectors.places import Place, RemoteFile, local_name, shown, sync
from penstock.connectors.protocol import Connector
from penstock.errors import ConnectorError, UsageError
from penstock.flow.log import RunLog
from penstock.ledger import fetched
from penstock.ledger.fetched import FetchedFile, Known
from penstock.ledger.flows import FlowRun

#: Where files are until they are whole, beside those that are.
_ARRIVING = ".fetching"


@dataclass(slots=True)
class Fetched:
    """What came of fetching.

    Attributes:
        files: New ones, here.
        size: Their bytes.
        known: Files whose content had come before.
        waiting: Files that somebody was still writing; the next run looks again.
        problems: Files that could not be fetched, and why.
        notes: What a person should know.
    """

    files: list[Path] = field(default_factory=list)
    size: int = 0
    known: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def tell(self, name: str, say: Callable[[str], None], log: RunLog | None) -> None:
        """Say it to people and to the log.

        Raises:
            ConnectorError: Files could not be fetched, all of them named.
        """
        say(f"{name}: {self}")
        for note in self.notes:
            say(f"  {note}")
        if log is not None:
            log.write(
                "fetch",
                source=name,
                files=[path.name for path in self.files],
                bytes=self.size,
                known=self.known,
                waiting=self.waiting,
                problems=self.problems,
            )
        if self.problems:
            raise ConnectorError("\n".join(self.problems), code="fetch")

    def __str__(self) -> str:
        """`3 files fetched (1.2 MB), 1 known already`."""
        said = f"{_files(len(self.files))} fetched ({_bytes(self.size)})"
        said += f", {self.known:,} known already" if self.known else ""
        return said + (f", {self.waiting:,} not complete yet" if self.waiting else "")


class Fetching:
    """Fetches for one run of a flow.

    Args:
        ledger: In autocommit.
        run: The flow's run, which has the flow's lease: nobody else fetches for it.
        root: The project's.
        on_step: Called with the name of each step that was done.
    """

    def __init__(
        self,
        ledger: psycopg.Connection[Any],
        run: FlowRun,
        root: Path,
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._ledger, self._run, self._root, self._on_step = ledger, run, root, on_step

    def fetch(self, place: Place, pattern: str, to: Path, *, dry_run: bool = False) -> Fetched:
        """Fetch the files of a pattern.

        Args:
            place: From where.
            pattern: As the place has it.
            to: The folder, relative to the project's root.
            dry_run: True: nothing is fetched; the files that would be are in the notes.

        Raises:
            ConnectorError: The place cannot be reached or listed.
        """
        done = Fetched()
        known = fetched.known(self._ledger, self._run.flow, place.name)
        found = place.candidates(pattern)
        had = [one for one in found if self._seen(one) in known.seen]
        fresh = [one for one in found if self._seen(one) not in known.seen]
        if dry_run:
            done.known = len(had)
            done.notes = [f"would fetch {shown(one.name)}" for one in fresh]
            return done
        if place.settings.after == "leave":
            done.known = len(had)
        else:  # left by a run that was stopped: compared byte by byte before it is removed
            fresh = [*had, *fresh]
        folder = self._root / to
        arriving = folder / _ARRIVING / f"{self._run.flow.replace('/', '-')}-{place.name}"
        shutil.rmtree(arriving, ignore_errors=True)
        whole = place.settled(pattern, fresh)
        done.waiting = len(fresh) - len(whole)
        for file in whole:
            self._one(place, file, (arriving, folder), known, done)
        if arriving.is_dir():
            arriving.rmdir()
            if not any(arriving.parent.iterdir()):
                arriving.parent.rmdir()
        return done

    def _one(
        self,
        place: Place,
        file: RemoteFile,
        folders: tuple[Path, Path],
        known: Known,
        done: Fetched,
    ) -> None:
        """One file; what is wrong with it does not keep the others from coming."""
        try:
            self._bring(place, file, folders, known, done)
        except ConnectorError as error:
            if error.code == "changed":
                done.waiting += 1
            else:
                done.problems.append(error.message)

    def _bring(
        self,
        place: Place,
        file: RemoteFile,
        folders: tuple[Path, Path],
        known: Known,
        done: Fetched,
    ) -> None:
        arriving, folder = folders
        here = arriving / local_name(file.name)
        sha256 = place.download(file, here)
        self._on_step("downloaded")
        before = known.contents.get(sha256)
        if before is None:
            path = _same(folder, here, sha256) or self._named(folder, here)
            self._on_step("named")
            done.files.append(path)
            done.size += file.size
        else:
            path = here
            here.unlink()
            done.known += 1
            if before != fetched.storable(self._ledger, file.name):
                done.notes.append(f"{shown(file.name)} is the same as {shown(before)}: skipped")
        local = "" if before is not None else str(path.relative_to(self._root))
        said = (file.name, file.size, file.modified, file.version)
        fetched.book(self._ledger, self._run, FetchedFile(place.name, *said, sha256, local))
        known.contents.setdefault(sha256, fetched.storable(self._ledger, file.name))
        self._on_step("booked")
        place.finish(file)
        self._on_step("finished")

    def _named(self, folder: Path, here: Path) -> Path:
        """Its name in the folder; kept apart from another that still waits there."""
        path = _free(folder, here.name)
        here.rename(path)
        sync(folder)
        return path

    def _seen(self, file: RemoteFile) -> tuple[str, int, str]:
        return fetched.storable(self._ledger, file.name), file.size, file.version


def place_of(connectors: Mapping[str, Connector], name: str) -> Place:
    """The connector of that name.

    Raises:
        UsageError: There is none, or it is no place of files.
    """
    found = connectors.get(name)
    if not isinstance(found, Place):
        places = sorted(key for key, one in connectors.items() if isinstance(one, Place))
        what = "is no place of files" if found is not None else "is no connector in env"
        raise UsageError(f"fetch: {name!r} {what}; places are {', '.join(places) or 'not set'}")
    return found


def _same(folder: Path, here: Path, sha256: str) -> Path | None:
    """A file in the folder with the same content: it was named before the run was stopped."""
    size = here.stat().st_size
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stat().st_size == size and _sha256(path) == sha256:
            here.unlink()
            return path
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _free(folder: Path, name: str) -> Path:
    """A path that is not taken, whatever the case of letters."""
    taken = {path.name.casefold() for path in folder.iterdir()}
    stem, suffix = Path(name).stem, Path(name).suffix
    number, free = 2, name
    while free.casefold() in taken:
        number, free = number + 1, f"{stem}-{number}{suffix}"
    return folder / free


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _bytes(size: int) -> str:
    for unit, one in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size} B"
