"""Takes files that are dropped: each content once, its events staged in commits of bounded size.

A file is copied whole into a folder of this process's own first, and hashed: what is written,
replaced or removed meanwhile is not taken. Then each commit stages some events and says how far
the content was taken. After a kill the next intake copies it again and goes on from there.
Not for: files of flows, which are kept (`flow.fetching`).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from penstock.connectors.files import Files
from penstock.connectors.places import Place, RemoteFile, local_name, shown
from penstock.connectors.protocol import Connector
from penstock.errors import ConnectorError, PenstockError, SourceError, UsageError
from penstock.events.encrypting import Cipher, cipher_of
from penstock.events.pipeline import Pipeline
from penstock.events.raws import must_be_read_first, raws_of
from penstock.events.reserved import reserved
from penstock.events.sources import FileSource, name_of
from penstock.events.staging import identified, source_id, stage
from penstock.events.taken import OnStep, Taken, unobserved
from penstock.ledger.fetched import storable
from penstock.loading.load import options_from
from penstock.model.options import LoadOptions
from penstock.postgres.connection import connect
from penstock.postgres.queries import queries
from penstock.project.keys import ProjectKey

_SQL = queries("penstock.events.sql", "intake.sql")
#: Of the project: files until they are staged, a folder for each source.
ARRIVING = Path(".penstock/arriving")
#: A file of a folder that was last changed so many times `stable_seconds` ago is complete at once;
#: not just once, as the clock of a mounted folder may be another.
_LONG_AGO = 10


class _Overtaken(Exception):
    """Another process takes the same content."""


@dataclass(frozen=True, slots=True)
class _Content:
    """A file that is here.

    Attributes:
        path: Its copy; nobody else writes to it.
        name: Where it came from, as the ledger holds it.
        sha256: Of its bytes.
    """

    path: Path
    name: str
    sha256: bytes


def take_files(
    dsn: str,
    pipeline: Pipeline,
    source: FileSource,
    connectors: Mapping[str, Connector],
    root: Path,
    *,
    key: ProjectKey | None = None,
    on_step: OnStep = unobserved,
) -> Taken:
    """Take the files of a source that were not taken yet, once.

    What is wrong with a file does not keep the others from coming: it is among the problems.

    Args:
        dsn: The database with the ledger; today's part of staging is there.
        pipeline: Whose source it is.
        source: Which files.
        connectors: Of the environment, by name.
        root: The project's folder.
        key: The project's, for a source that declares `encrypt`.
        on_step: Called with `copied`, `begun`, `staged` (before its commit), `committed`,
            `finished` (of a content), `done` (with the file, where it came from).

    Raises:
        UsageError: The source's connector is no place of files, its options are wrong, or there
            is no key.
        ConnectorError: The place cannot be reached or listed.
        Busy: Another process of this machine takes the files of this source now.
        psycopg.Error: The database refuses, or the connection broke.
    """
    name = name_of(source)
    place, pattern = place_of(source, connectors, root)
    options = _options(pipeline, source)
    cipher = cipher_of(key, pipeline.name, name, source.encrypt)
    with (
        reserved(
            root / ARRIVING / f"{pipeline.name}.{local_name(name)}",
            f"the files of {name} are being taken by another process",
        ) as folder,
        connect(dsn) as connection,
    ):
        number = source_id(connection, pipeline.name, name, source.schema_version)
        taking = _Taking(connection, source, number, place, options, folder, on_step, cipher)
        try:
            taking.all_of(pattern)
            taking.taken.note_paths(cipher)
        finally:
            place.close()
        return taking.taken


@dataclass(slots=True)
class _Taking:
    """One intake of a source."""

    connection: psycopg.Connection[Any]
    source: FileSource
    number: int
    place: Place
    options: LoadOptions
    folder: Path
    on_step: OnStep
    cipher: Cipher | None
    taken: Taken = field(default_factory=Taken)

    def all_of(self, pattern: str) -> None:
        """Take the files of a pattern."""
        known = {
            (name, size, version)
            for name, size, version in self.connection.execute(
                _SQL["known_names"], {"source": self.number}
            )
        }
        found = self.place.candidates(pattern)
        had = [one for one in found if self._seen(one) in known]
        fresh = [one for one in found if self._seen(one) not in known]
        if self.place.settings.after == "leave":
            self.taken.known = len(had)
        else:  # left by an intake that was stopped: its content is compared before it is removed
            fresh = [*had, *fresh]
        whole = self._settled(pattern, fresh)
        self.taken.waiting = len(fresh) - len(whole)
        for file in whole:
            try:
                self._one(file)
            except ConnectorError as error:
                if error.code == "changed":
                    self.taken.waiting += 1
                else:
                    self.taken.problems.append(error.message)
            except _Overtaken:
                self.taken.notes.append(f"{shown(file.name)}: another process takes it")
            except SourceError as error:
                here = str(self.folder / local_name(file.name))
                self.taken.problems.append(error.message.replace(here, shown(file.name)))
            finally:
                for left in self.folder.iterdir():
                    left.unlink()
                shutil.rmtree(self._unpacked, ignore_errors=True)

    def _settled(self, pattern: str, fresh: list[RemoteFile]) -> list[RemoteFile]:
        """Those that nobody is writing any more; of this machine's files their times tell that."""
        its = self.place.settings
        if isinstance(self.place, Files) and its.complete == "stable":
            before = datetime.now(UTC) - timedelta(seconds=_LONG_AGO * its.stable_seconds)
            if all(one.modified is not None and one.modified < before for one in fresh):
                return fresh
        return self.place.settled(pattern, fresh)

    def _one(self, file: RemoteFile) -> None:
        here = self.folder / local_name(file.name)
        sha256 = bytes.fromhex(self.place.download(file, here))
        self.on_step("copied")
        content = _Content(here, storable(self.connection, file.name), sha256)
        if self._begun(content, file):
            self.taken.known += 1
        else:
            self._stage(content)
            self.taken.files += 1
        self.place.finish(file)
        self.on_step("done")

    def _begun(self, content: _Content, file: RemoteFile) -> bool:
        """Book that a content is here; True where it was taken whole before."""
        of = {"source": self.number, "sha256": content.sha256, "name": content.name}
        with self.connection.transaction():
            self.connection.execute(_SQL["begin_drop"], of | {"bytes": file.size})
            seen = of | {"bytes": file.size, "version": file.version}
            self.connection.execute(_SQL["see_name"], seen)
        _, finished, first = self._progress(content)
        self.on_step("begun")
        if finished and first != content.name:
            self.taken.notes.append(
                f"{shown(file.name)} is the same as {shown(first)}: not taken again"
            )
        return finished

    def _stage(self, content: _Content) -> None:
        """Stage the events of a content that were not staged yet."""
        records, _, _ = self._progress(content)
        of = {"source": self.number, "sha256": content.sha256}
        if not records and must_be_read_first(content.path, self.options):
            for _ in raws_of(content.path, self.options, self._spool):
                """Read to its end: a file that is cut off or damaged is not taken by halves."""
        done = 0
        for raws in raws_of(content.path, self.options, self._spool):
            done += len(raws)
            if done <= records:
                continue
            left = raws.tail(done - records)
            with self.connection.transaction():
                said = of | {"records": records, "taken": len(left)}
                if self.connection.execute(_SQL["move_drop"], said).rowcount != 1:
                    raise _Overtaken
                frame = identified(self.source, left, self.cipher)
                encrypted = self.cipher is not None
                staged = stage(
                    self.connection, self.number, frame, content.name, encrypted=encrypted
                )
                self.on_step("staged")
            self.taken.add(staged)
            self.on_step("committed")
            records = done
        if self.connection.execute(_SQL["finish_drop"], of | {"records": records}).rowcount != 1:
            raise _Overtaken
        self.on_step("finished")

    def _progress(self, content: _Content) -> tuple[int, bool, str]:
        """Events taken, whether that is all, and the name under which it came first."""
        of = {"source": self.number, "sha256": content.sha256}
        row = self.connection.execute(_SQL["drop"], of).fetchone()
        assert row is not None  # noqa: S101  it was begun
        return int(row[0]), bool(row[1]), str(row[2])

    def _seen(self, file: RemoteFile) -> tuple[str, int, str]:
        return storable(self.connection, file.name), file.size, file.version

    @property
    def _unpacked(self) -> Path:
        return self.folder.with_name("unpacked")

    def _spool(self) -> Path:
        self._unpacked.mkdir(exist_ok=True)
        return self._unpacked


def place_of(
    source: FileSource, connectors: Mapping[str, Connector], root: Path
) -> tuple[Place, str]:
    """Where a source's files are, and their pattern there.

    Raises:
        UsageError: Its connector is not there, or is no place of files.
    """
    if source.connector is None:
        anchor = Path(source.files).anchor
        return Files({"folder": anchor or "."}, name=name_of(source), root=root), source.files
    found = connectors.get(source.connector)
    if not isinstance(found, Place):
        places = sorted(key for key, one in connectors.items() if isinstance(one, Place))
        what = "is no place of files" if found is not None else "is no connector in env"
        raise UsageError(
            f"source {name_of(source)}: {source.connector!r} {what}; places are "
            f"{', '.join(places) or 'not set'}"
        )
    return found, source.files


def _options(pipeline: Pipeline, source: FileSource) -> LoadOptions:
    try:
        return options_from(**source.options)
    except PenstockError as error:
        where = f"Pipeline {pipeline.name}, source {name_of(source)}: options"
        raise UsageError(f"{where}: {error.message}") from None
