"""Reads an archive back, and compares it with the ledger. Not for: writing it (`archive`)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from penstock.connectors.places import Place, shown
from penstock.connectors.protocol import Connector
from penstock.errors import ConnectorError, SourceError
from penstock.events.archive import ON_THE_WAY, described, folder_of, get, place_of
from penstock.events.archivefile import (
    ENDING,
    MANIFEST,
    Content,
    manifest_from,
    manifest_name,
    read_lines,
)
from penstock.events.pipeline import Pipeline
from penstock.events.reserved import reserved
from penstock.postgres.connection import connect, translated
from penstock.postgres.queries import queries

_SQL = queries("penstock.events.sql", "archive.sql")


@dataclass(slots=True)
class Verified:
    """What an archive holds.

    Attributes:
        files: Files that were read back, with their manifests.
        events: Events in them.
        waiting: Events that are in staging only.
        problems: What is wrong, each with the file.
    """

    files: int = 0
    events: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of the archive as the ledger has it.

    Attributes:
        name: Relative to the place.
        source: Of which source.
        source_id: Its number.
        hour: In which its events came.
        part: Of the hour.
        events: How many.
        sha256: Of the file; None: it was not archived yet.
        content_sha256: Of its lines.
        archived_at: When it was read back whole.
    """

    name: str
    source: str
    source_id: int
    hour: datetime
    part: int
    events: int
    sha256: bytes | None
    content_sha256: bytes | None
    archived_at: datetime | None


def verify_archive(
    dsn: str, pipeline: Pipeline, connectors: Mapping[str, Connector], root: Path
) -> Verified:
    """Read every file and manifest back, and compare them with each other and the ledger.

    Args:
        dsn: The database with the ledger.
        pipeline: Whose archive.
        connectors: Of the environment, by name.
        root: The project's folder.

    Raises:
        UsageError: The pipeline has no archive, or its place is none.
        ConnectorError: The place cannot be reached.
        Busy: Another process of this machine does the same.
        TryAgain, TargetError: The database does not answer, or refuses.
    """
    place = place_of(pipeline, connectors, root)
    busy = f"another process is verifying the archive of {pipeline.name}"
    try:
        with (
            closing(place),
            reserved(root / ON_THE_WAY / f"{pipeline.name}.verify", busy) as folder,
            connect(dsn) as connection,
        ):
            found = Verified()
            files = kept(connection, pipeline)
            for one in files:
                if one.archived_at is not None:
                    problems = list(_wrong(connection, pipeline, place, folder, one))
                    found.problems += [f"{shown(one.name)}: {said}" for said in problems]
                    found.files += 1
                    found.events += one.events
            found.problems += _strangers(place, pipeline, files)
            of = {"pipeline": pipeline.name}
            found.waiting = _number(connection, "waiting", of)
            if lost := _number(connection, "lost", of):
                found.problems.append(
                    f"{lost:,} events are neither in staging nor in the archive: their days were "
                    "dropped before the pipeline had one"
                )
            return found
    except psycopg.Error as error:
        raise translated(error, "verify an archive") from None


def kept(
    connection: psycopg.Connection[Any], pipeline: Pipeline, source: str | None = None
) -> list[Kept]:
    """The files of a pipeline's archive, in their order; of one source, where it is given."""
    of = {"pipeline": pipeline.name, "source": source}
    return [Kept(*row) for row in connection.execute(_SQL["files"], of)]


def _number(connection: psycopg.Connection[Any], name: str, of: dict[str, str]) -> int:
    row = connection.execute(_SQL[name], of).fetchone()
    assert row is not None  # noqa: S101  an aggregate gives one row
    return int(row[0])


def _wrong(
    connection: psycopg.Connection[Any],
    pipeline: Pipeline,
    place: Place,
    folder: Path,
    one: Kept,
) -> Iterator[str]:
    """What is wrong with a file."""
    local, beside = folder / "events", folder / "manifest"
    try:
        sha256 = get(place, one.name, local)
        if sha256 is None:
            yield "is missing"
            return
        if one.sha256 is None or sha256 != one.sha256.hex():
            yield "is not the file that was archived: its sha256 is another"
        content = Content()
        for _ in read_lines(local, content):
            """Count them."""
        if one.content_sha256 is None or content.sha256 != one.content_sha256.hex():
            yield "holds other events than were archived: the sha256 of its content is another"
        rows = connection.execute(_SQL["chunks_of"], {"file": one.name})
        wanted = {int(chunk): int(staged) for chunk, staged, _ in rows}
        if content.chunks != wanted or content.events != one.events:
            yield f"holds {content.events:,} events, and {sum(wanted.values()):,} were staged"
        if get(place, manifest_name(one.name), beside) is None:
            yield "has no manifest beside it"
        elif manifest_from(beside) != described(pipeline.name, one, content, local, sha256):
            yield "its manifest says otherwise"
    except (SourceError, ConnectorError) as error:
        yield error.message


def _strangers(place: Place, pipeline: Pipeline, files: list[Kept]) -> list[str]:
    """Files that no ledger of this database knows."""
    known = {name for one in files for name in (one.name, manifest_name(one.name))}
    pattern = f"{folder_of(pipeline.name)}/**/*"
    if not files:
        return []
    there = (posixpath.relpath(one.name, place.base or ".") for one in place.listed(pattern))
    return [
        f"{shown(name)}: the ledger knows nothing of it"
        for name in sorted(there)
        if name.endswith((ENDING, MANIFEST)) and name not in known
    ]
