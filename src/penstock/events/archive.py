"""Writes raw events from staging into the archive: a folder, an SFTP server or object storage.

What goes into which file is noted first, and never changed; so a file of one name always has the
same content, however often its writing is interrupted. It is archived when it was read back whole.
Not for: reading it (`verifying`, `restoring`), nor its files' layout (`archivefile`).
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import psycopg

from penstock.connectors.files import Files
from penstock.connectors.places import Place, shown
from penstock.connectors.protocol import Connector
from penstock.errors import ConnectorError, SourceError, UsageError
from penstock.events.archivefile import (
    ENDING,
    Content,
    Line,
    Manifest,
    iso,
    manifest_from,
    manifest_name,
    manifest_text,
    write_lines,
)
from penstock.events.pipeline import Pipeline
from penstock.events.reserved import reserved
from penstock.events.taken import OnStep, unobserved
from penstock.postgres.catalog import nearest
from penstock.postgres.connection import connect, translated
from penstock.postgres.queries import queries

_SQL = queries("penstock.events.sql", "archive.sql")
#: Of the project: files on their way to and from the archive.
ON_THE_WAY = Path(".penstock/archive")
#: Events of one file at the most.
FILE_EVENTS = 1_000_000
#: Events that are read at once.
_READ = 500
_ODD = re.compile(r"[^A-Za-z0-9_.-]")
#: Characters of a name's hash, where the name itself cannot be a folder's.
_HASHED = 8


@dataclass(slots=True)
class Written:
    """What was archived.

    Attributes:
        files: How many were written.
        events: How many they hold.
        waiting: Events that are in staging only: their hour is not over.
    """

    files: int = 0
    events: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _File:
    """A file that is to be written."""

    name: str
    source: str
    hour: datetime
    part: int
    events: int
    source_id: int


def write_archive(
    dsn: str,
    pipeline: Pipeline,
    connectors: Mapping[str, Connector],
    root: Path,
    *,
    now: bool = False,
    on_step: OnStep = unobserved,
) -> Written:
    """Archive what is not archived yet.

    Args:
        dsn: The database with the ledger.
        pipeline: Whose events.
        connectors: Of the environment, by name.
        root: The project's folder.
        now: True: everything so far; False: hours that are over.
        on_step: Called with `planned`, and for each file with `written` (here), `read` (back from
            there), `described` (its manifest is there too), `noted`.

    Raises:
        UsageError: The pipeline has no archive, or its place is none.
        ConnectorError: The place cannot be reached, or is used by another ledger.
        SourceError: Events are not in staging as they were received.
        Busy: Another process of this machine archives the same pipeline.
        TryAgain, TargetError: The database does not answer, or refuses.
    """
    place = place_of(pipeline, connectors, root)
    busy = f"another process is writing the archive of {pipeline.name}"
    try:
        with (
            closing(place),
            reserved(root / ON_THE_WAY / f"{pipeline.name}.write", busy) as folder,
            connect(dsn) as connection,
        ):
            _plan(connection, pipeline, now=now)
            on_step("planned")
            of = {"pipeline": pipeline.name}
            written = Written()
            for (name,) in connection.execute(_SQL["planned"], of).fetchall():
                events = _write(_Writing(connection, pipeline, place, folder, on_step), name)
                written.files += bool(events)
                written.events += events
            row = connection.execute(_SQL["waiting"], of).fetchone()
            written.waiting = int(row[0]) if row else 0
            return written
    except psycopg.Error as error:
        raise translated(error, "archive events") from None


def place_of(pipeline: Pipeline, connectors: Mapping[str, Connector], root: Path) -> Place:
    """The place of a pipeline's archive.

    Raises:
        UsageError: It has none, or it is no place of files.
    """
    if pipeline.archive is None:
        raise UsageError(
            f"{pipeline.name} has no archive: declare archive=, the key in env of a place, or a "
            "folder such as ./archive"
        )
    if "/" in pipeline.archive:
        return Files({"folder": pipeline.archive, "complete": "name"}, name="archive", root=root)
    found = connectors.get(pipeline.archive)
    if not isinstance(found, Place):
        known = [name for name, one in connectors.items() if isinstance(one, Place)]
        raise UsageError(
            f"{pipeline.name}: archive {pipeline.archive!r} is no place of files in env; a folder "
            f"is written with a /: ./{pipeline.archive}.{nearest(pipeline.archive, known)}"
        )
    return found


def folder_of(pipeline: str, source: str | None = None) -> str:
    """Where the files of a pipeline, or of a source of it, are in the archive."""
    if source is None:
        return pipeline
    safe = _ODD.sub("_", source)
    if safe != source or source.startswith("."):
        digest = hashlib.sha256(source.encode()).hexdigest()[:_HASHED]
        safe = f"{safe.lstrip('.')}-{digest}"
    return f"{pipeline}/{safe}"


def put(place: Place, folder: Path, name: str, local: Path) -> str:
    """Write a file into the archive, and read it back; gives its sha256.

    Raises:
        ConnectorError: It cannot be written, or is not the same there.
    """
    there = posixpath.join(place.base, name)
    with local.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    place.upload(local, there)
    back = folder / "back"
    if get(place, name, back) != sha256:
        raise place.error(f"{shown(name)} is not what was written", "changed", "Write it again.")
    back.unlink()
    return sha256


def get(place: Place, name: str, local: Path) -> str | None:
    """Fetch a file of the archive; gives its sha256, or None where there is none.

    Raises:
        ConnectorError: It cannot be fetched.
    """
    found = place.look(posixpath.join(place.base, name))
    return None if found is None else place.download(found, local)


def _plan(connection: psycopg.Connection[Any], pipeline: Pipeline, *, now: bool) -> None:
    """Note what is to be in which file."""
    with connection.transaction():
        connection.execute(_SQL["lock_plan"])
        found = connection.execute(_SQL["to_archive"], {"pipeline": pipeline.name, "now": now})
        for (number, source, hour), rows in groupby(found.fetchall(), key=lambda row: row[:3]):
            of = {"source": number, "hour": hour}
            last = connection.execute(_SQL["last_part"], of).fetchone()
            part = int(last[0]) if last else 0
            for chunks in _cut([(chunk, staged) for *_, chunk, staged in rows]):
                part += 1
                utc = hour.astimezone(UTC)
                name = (
                    f"{folder_of(pipeline.name, source)}/{utc:%Y/%m/%d/%Y%m%dT%H}Z-{part:04}"
                    f"{ENDING}"
                )
                events = sum(staged for _, staged in chunks)
                said = of | {"file": name, "part": part, "events": events}
                connection.execute(_SQL["plan_file"], said)
                numbers = [chunk for chunk, _ in chunks]
                connection.execute(_SQL["plan_chunks"], {"file": name, "chunks": numbers})


def _cut(chunks: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Chunks and their events in parts of a bounded number of events; a chunk is in one part."""
    part: list[tuple[int, int]] = []
    events = 0
    for chunk, staged in chunks:
        if part and events + staged > FILE_EVENTS:
            yield part
            part, events = [], 0
        part.append((chunk, staged))
        events += staged
    if part:
        yield part


@dataclass(frozen=True, slots=True)
class _Writing:
    """Where files are written from, and to."""

    connection: psycopg.Connection[Any]
    pipeline: Pipeline
    place: Place
    folder: Path
    on_step: OnStep


def _write(to: _Writing, name: str) -> int:
    """Write a file that was planned; gives its events, 0 where another process does it.

    The transaction is kept until the file was read back: nobody else writes it meanwhile.
    """
    with to.connection.transaction():
        row = to.connection.execute(_SQL["take_planned"], {"file": name}).fetchone()
        if row is None:
            return 0
        file = _File(name, *row)
        local, beside = to.folder / "events", to.folder / "manifest"
        content = _written(to.connection, file, local)
        to.on_step("written")
        _refuse_anothers(to, file, content)
        sha256 = put(to.place, to.folder, name, local)
        to.on_step("read")
        said = described(to.pipeline.name, file, content, local, sha256)
        beside.write_text(manifest_text(said), encoding="utf-8")
        put(to.place, to.folder, manifest_name(name), beside)
        to.on_step("described")
        hashes = {
            "sha256": bytes.fromhex(sha256),
            "content_sha256": bytes.fromhex(content.sha256),
        }
        to.connection.execute(_SQL["note"], {"file": name, **hashes})
        local.unlink()
    to.on_step("noted")
    return content.events


def described(pipeline: str, file: Any, content: Content, local: Path, sha256: str) -> Manifest:
    """The manifest of a file.

    Args:
        pipeline: Whose it is.
        file: Has `name`, `source`, `hour` and `part`.
        content: What is in it.
        local: The file, here.
        sha256: Of it.
    """
    return Manifest(
        pipeline=pipeline,
        source=file.source,
        hour=iso(file.hour),
        part=file.part,
        file=file.name,
        events=content.events,
        chunks=len(content.chunks),
        first=content.first,
        last=content.last,
        bytes=local.stat().st_size,
        sha256=sha256,
        content_bytes=content.bytes,
        content_sha256=content.sha256,
    )


def _written(connection: psycopg.Connection[Any], file: _File, local: Path) -> Content:
    rows = connection.execute(_SQL["chunks_of"], {"file": file.name}).fetchall()
    wanted = {int(chunk): int(staged) for chunk, staged, _ in rows}
    of = {
        "source": file.source_id,
        "hour": file.hour,
        "first": min(wanted),
        "last": max(wanted),
        "chunks": list(wanted),
    }
    with connection.cursor("penstock_archive", binary=True) as cursor:
        cursor.itersize = _READ
        cursor.execute(_SQL["events_of"], of)
        content = write_lines(local, (Line(*row) for row in cursor))
    if content.chunks != wanted:
        odd = sorted(one for one in wanted if content.chunks.get(one) != wanted[one])
        raise SourceError(
            f"{file.name}: chunk {odd[0]} has {wanted[odd[0]]} events, and "
            f"{content.chunks.get(odd[0], 0)} of them are in staging. Nothing was archived of it."
        )
    return content


def _refuse_anothers(to: _Writing, file: _File, content: Content) -> None:
    """A file of this name with other content is another ledger's: it is not written over."""
    there = to.folder / "there"
    if get(to.place, manifest_name(file.name), there) is None:
        return
    try:
        same = manifest_from(there).content_sha256 == content.sha256
    except SourceError:
        same = False
    there.unlink()
    if not same:
        raise ConnectorError(
            f"{to.place.name}: {shown(file.name)} is there with other events",
            code="taken",
            advice="Another ledger writes there: give each its own folder or prefix.",
        )
