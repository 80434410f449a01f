"""Brings events back from the archive into staging, where they were. Not for: the work on them.

They come back under their own chunk, position, delivery id and time, and are queued as a replay in
the same transaction; so nothing is counted twice, and their day is not dropped before the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from penstock.connectors.places import Place
from penstock.connectors.protocol import Connector
from penstock.errors import SourceError, TryAgain
from penstock.events.archive import ON_THE_WAY, get, place_of
from penstock.events.archivefile import Content, read_lines
from penstock.events.pipeline import Pipeline
from penstock.events.replay import Span
from penstock.events.reserved import reserved
from penstock.events.staging import CHANNEL
from penstock.events.taken import OnStep, unobserved
from penstock.events.verifying import Kept, kept
from penstock.postgres.connection import connect, translated
from penstock.postgres.queries import queries

_SQL = queries("penstock.events.sql", "archive.sql")
_COPY = (
    "copy penstock.events (chunk, pos, source_id, delivery_id, received_at, raw) "
    "from stdin with (format binary)"
)
_TYPES = ("int8", "int4", "int4", "text", "timestamptz", "bytea")


@dataclass(slots=True)
class Restored:
    """What came back.

    Attributes:
        files: Files of the archive that were read.
        events: Events that are in staging again.
        batches: Batches that wait for workers.
    """

    files: int = 0
    events: int = 0
    batches: int = 0


@dataclass(frozen=True, slots=True)
class _Restoring:
    """Where events come from, and where they go."""

    connection: psycopg.Connection[Any]
    pipeline: Pipeline
    fetch: Callable[[str], tuple[Path, str | None]]
    on_step: OnStep


def restore(
    dsn: str,
    pipeline: Pipeline,
    connectors: Mapping[str, Connector],
    root: Path,
    span: Span,
    *,
    on_step: OnStep = unobserved,
) -> Restored:
    """Bring back what left staging, and let workers work on it again.

    Args:
        dsn: The database with the ledger.
        pipeline: Whose events.
        connectors: Of the environment, by name.
        root: The project's folder.
        span: Which of them.
        on_step: Called with `restored` (before its commit) and `committed`, for each file.

    Raises:
        UsageError: The pipeline has no archive, or its place is none.
        ConnectorError: The place cannot be reached.
        SourceError: A file is missing or is not what was archived; those before it came back.
        Busy: Another process of this machine does the same.
        TryAgain: A file was written anew meanwhile, as somebody was forgotten.
        TryAgain, TargetError: The database does not answer, or refuses.
    """
    place = place_of(pipeline, connectors, root)
    busy = f"another process is reading the archive of {pipeline.name}"
    of = {"source": span.source, "since": span.since, "until": span.until}
    try:
        with (
            closing(place),
            reserved(root / ON_THE_WAY / f"{pipeline.name}.restore", busy) as folder,
            connect(dsn) as connection,
        ):
            gone = connection.execute(_SQL["gone"], {"pipeline": pipeline.name, **of})
            names = {name for (name,) in gone}
            to = _Restoring(connection, pipeline, _fetching(place, folder), on_step)
            restored = Restored()
            for one in kept(connection, pipeline, span.source):
                if one.name in names:
                    _one(to, one, of, restored)
            connection.execute("select pg_notify(%s, %s)", [CHANNEL, pipeline.name])
            return restored
    except psycopg.Error as error:
        raise translated(error, "bring events back") from None


def _fetching(place: Place, folder: Path) -> Callable[[str], tuple[Path, str | None]]:
    def fetch(name: str) -> tuple[Path, str | None]:
        return folder / "events", get(place, name, folder / "events")

    return fetch


def _one(to: _Restoring, one: Kept, of: dict[str, Any], restored: Restored) -> None:
    """Bring back a file's events that are not in staging."""
    local, sha256 = to.fetch(one.name)
    if sha256 is None or one.sha256 is None or sha256 != one.sha256.hex():
        said = "is missing" if sha256 is None else "is not the file that was archived"
        raise SourceError(f"{one.name} {said}: see penstock archive verify {to.pipeline.name}")
    to.connection.execute(_SQL["restore_day"], {"day": one.hour.astimezone(UTC).date()})
    with to.connection.transaction():
        to.connection.execute(_SQL["lock_restore"])
        _must_be_the_same(to, one)
        rows = to.connection.execute(_SQL["gone_chunks"], {"file": one.name, **of}).fetchall()
        wanted = {int(chunk): moment for chunk, _, moment in rows}
        events = sum(int(staged) for _, staged, _ in rows)
        content = _copy(to.connection, one, local, wanted)
        missing = [chunk for chunk, staged, _ in rows if content.chunks.get(chunk) != staged]
        if missing:
            raise SourceError(f"{one.name} does not hold chunk {missing[0]} whole")
        queued = {"size": to.pipeline.batch, "chunks": list(wanted)}
        restored.batches += to.connection.execute(_SQL["queue_chunks"], queued).rowcount
        to.on_step("restored")
    to.on_step("committed")
    restored.files += 1
    restored.events += events


def _must_be_the_same(to: _Restoring, one: Kept) -> None:
    """Who forgets a person writes a file anew: what was read before must not come back.

    Raises:
        TryAgain: That was done since the file was fetched.
    """
    row = to.connection.execute(_SQL["hold_file"], {"file": one.name}).fetchone()
    if row is None or bytes(row[0]) != one.sha256:
        raise TryAgain(f"{one.name} was written anew meanwhile. Call it again.", code="archive")


def _copy(
    connection: psycopg.Connection[Any], one: Kept, local: Path, wanted: Mapping[int, datetime]
) -> Content:
    """Send the events of some chunks of a file; gives what the whole file holds."""
    content = Content()
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        copy.set_types(_TYPES)
        for line in read_lines(local, content):
            moment = wanted.get(line.chunk)
            if moment is not None:
                copy.write_row(
                    (line.chunk, line.pos, one.source_id, line.delivery_id, moment, line.raw)
                )
    return content
