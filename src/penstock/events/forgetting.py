"""Removes a person's events: from the target, rejects, staging and the archive; and proves it.

First one transaction for the database, which workers cannot finish against; then the archive, file
by file, each noted before it is written anew. Interrupted at any point, the next call completes it.
What other people's events say of the person is not found: a path and a value are all that is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from penstock.connectors.places import Place
from penstock.connectors.protocol import Connector
from penstock.errors import SourceError, TargetError, TryAgain
from penstock.events.archive import ON_THE_WAY, described, get, place_of, put, write_archive
from penstock.events.archivefile import (
    Content,
    Line,
    manifest_name,
    manifest_text,
    read_lines,
    write_lines,
)
from penstock.events.clear import Reader
from penstock.events.encrypting import Altered
from penstock.events.personal import FORGOTTEN, Counts, Forgotten, Person
from penstock.events.pipeline import Pipeline
from penstock.events.reading import Reading, joined
from penstock.events.reserved import reserved
from penstock.events.transforming import transformed
from penstock.events.verifying import Kept, kept
from penstock.model.table import TableSpec
from penstock.postgres.catalog import read_table
from penstock.postgres.connection import connect, translated
from penstock.postgres.names import qualified
from penstock.postgres.queries import queries
from penstock.project.keys import ProjectKey

_SQL = queries("penstock.events.sql", "forget.sql")
#: Events that are transformed at once: fewer than make a transform look broken where all fail.
_FEW = 50
#: Events that are read at once.
_READ = 500
_COUNTED = sql.SQL("select 1 from {target} t, unnest({values}) n({names}) where {same}")
_DELETED = sql.SQL("delete from {target} t using unnest({values}) n({names}) where {same}")


@dataclass(frozen=True, slots=True)
class _Event:
    source: str
    chunk: int
    pos: int
    received_at: datetime
    raw: bytes
    encrypted: bool

    @property
    def place(self) -> tuple[int, int]:
        return self.chunk, self.pos


@dataclass(frozen=True, slots=True)
class _Looking:
    """Where a person is looked for."""

    connection: psycopg.Connection[Any]
    pipeline: Pipeline
    person: Person
    spec: TableSpec
    place: Place | None
    folder: Path
    reader: Reader


@dataclass(slots=True)
class _Found:
    """Where they are."""

    staged: list[_Event] = field(default_factory=list)
    archived: dict[str, list[_Event]] = field(default_factory=dict)
    unclear: list[str] = field(default_factory=list)

    def everywhere(self) -> list[_Event]:
        """Each event once."""
        parts = [self.staged, *self.archived.values()]
        return list({one.place: one for part in parts for one in part}.values())


def forget(
    dsn: str,
    pipeline: Pipeline,
    connectors: Mapping[str, Connector],
    root: Path,
    person: Person,
    *,
    key: ProjectKey | None = None,
) -> Forgotten:
    """Remove a person's events, and look for them once more.

    In staging and archive something stands in the place of each event, which workers drop, so that
    all counts hold; delivery ids stay, so that what comes again is known and not taken.

    Args:
        dsn: The database with the ledger.
        pipeline: Whose events.
        connectors: Of the environment, by name.
        root: The project's folder.
        person: Who.
        key: The project's, for events with encrypted fields; None: there is none.

    Raises:
        UsageError: Fields are encrypted, and the key is not here.
        TargetError: The role may not: only the owner of the ledger may, where it may delete from
            the target too.
        ConnectorError, SourceError: The archive cannot be read or written; or is not what it was.
        TryAgain: The database does not answer, or somebody writes the archive.
    """
    place = None
    if pipeline.archive is not None:
        place = place_of(pipeline, connectors, root)
        write_archive(dsn, pipeline, connectors, root)  # what was begun is ended before it changes
    busy = f"another process is writing the archive of {pipeline.name}"
    try:
        with (
            reserved(root / ON_THE_WAY / f"{pipeline.name}.write", busy) as folder,
            connect(dsn) as connection,
        ):
            _must_be_allowed(connection)
            spec = read_table(connection, pipeline.target)
            reader = Reader(pipeline.name, key)
            looking = _Looking(connection, pipeline, person, spec, place, folder, reader)
            return _forgotten(looking)
    except psycopg.Error as error:
        raise translated(error, "forget events") from None
    finally:
        if place is not None:
            place.close()


def _forgotten(looking: _Looking) -> Forgotten:
    found = _look(looking)
    events = found.everywhere()
    keys = _keys(looking, events)
    done = Forgotten()
    with looking.connection.transaction():
        _run(looking, "take_from_workers", events)
        done.removed.rows = _rows(looking, keys, delete=True)
        name = looking.spec.name
        of = {"schema": name.schema, "table": name.table, "keys": joined(keys).to_list()}
        looking.connection.execute(_SQL["forget_keys"], of)
        looking.connection.execute(_SQL["forget_checks"], of)
        rejects = _rejects(looking, events)
        looking.connection.execute(_SQL["forget_rejects"], {"ids": rejects})
        done.removed.rejects = len(rejects)
        done.removed.staged = _run(looking, "forget_events", found.staged)
        _run(looking, "forget_states", events)
        _run(looking, "forget_errors", events)
    _run(looking, "take_from_workers", events)  # who has read one since it was asked first
    for one in _files(looking):
        done.removed.archived += _rewrite(looking, one, found.archived.get(one.name, []))
    again = _look(looking)
    done.left = Counts(
        staged=len(again.staged),
        archived=sum(len(part) for part in again.archived.values()),
        rejects=len(_rejects(looking, events)),
        rows=_rows(looking, keys, delete=False),
    )
    done.unclear = again.unclear
    return done


def _must_be_allowed(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute(_SQL["may_forget"]).fetchone()
    if row is not None and not row[0]:
        raise TargetError(
            f'This role may not change what was received. Forget as "{row[1]}", which owns it, or '
            "as a member of it.",
            code="42501",
        )


# Looking ---------------------------------------------------------------------------------------


def _look(looking: _Looking) -> _Found:
    found = _Found()
    of = {"pipeline": looking.pipeline.name, "value": looking.person.value.encode()}
    with (
        looking.connection.transaction(),
        looking.connection.cursor("penstock_forget", binary=True) as cursor,
    ):
        cursor.itersize = _READ
        cursor.execute(_SQL["candidates"], of)
        for row in cursor:
            _note(looking, found, found.staged, _Event(*row))
    for one in _files(looking):
        part: list[_Event] = []
        local, _ = _fetched(looking, one)
        rows = looking.connection.execute(_SQL["encrypted_of"], {"file": one.name})
        encrypted = {int(chunk) for (chunk,) in rows}
        for line in read_lines(local, Content()):
            place = (line.chunk, line.pos, line.received_at)
            event = _Event(one.source, *place, line.raw, line.chunk in encrypted)
            _note(looking, found, part, event)
        if part:
            found.archived[one.name] = part
    found.unclear = sorted(set(found.unclear))
    return found


def _note(looking: _Looking, found: _Found, part: list[_Event], event: _Event) -> None:
    raw = _read(looking, event.source if event.encrypted else None, event.raw)
    about = None if raw is None else looking.person.is_in(raw)
    if about and raw is not None:
        part.append(replace(event, raw=raw))
    elif about is None:
        found.unclear.append(f"{event.chunk}/{event.pos}")


def _read(looking: _Looking, source: str | None, raw: bytes) -> bytes | None:
    """An event as it was received; None where it cannot be read.

    Args:
        looking: With the key.
        source: Of what is encrypted; None: it is as it was.
        raw: As it is kept.
    """
    try:
        return raw if source is None else looking.reader.one(source, raw)
    except Altered:
        return None


def _files(looking: _Looking) -> Iterator[Kept]:
    """The files of the archive.

    Raises:
        TryAgain: One is being written.
    """
    if looking.place is None:
        return
    for one in kept(looking.connection, looking.pipeline):
        if one.archived_at is None:
            raise TryAgain(
                f"{one.name} is being written, or was begun and not ended. Call it again.",
                code="archive",
            )
        yield one


def _fetched(looking: _Looking, one: Kept) -> tuple[Path, str]:
    assert looking.place is not None  # noqa: S101  files are of a place
    local = looking.folder / "events"
    sha256 = get(looking.place, one.name, local)
    if sha256 is None:
        raise SourceError(f"{one.name} is missing: see penstock archive verify")
    return local, sha256


def _keys(looking: _Looking, events: list[_Event]) -> pl.DataFrame:
    """The keys that the transform makes of events, as text, each once."""
    names = looking.pipeline.keys
    reading = Reading(looking.pipeline, looking.spec)
    parts = [pl.DataFrame(schema=dict.fromkeys(names, pl.String()))]
    for begin in range(0, len(events), _FEW):
        part = events[begin : begin + _FEW]
        origins = pl.DataFrame(
            {
                "source": [one.source for one in part],
                "received_at": [one.received_at for one in part],
            },
            schema={"source": pl.String(), "received_at": pl.Datetime("us", "UTC")},
        )
        made = transformed(looking.pipeline, [one.raw for one in part], origins)
        if set(names) <= set(made.frame.columns):
            parts.append(reading.keys(made.frame))
    found = pl.concat(parts).drop_nulls().unique()  # and no row has a key with a NUL
    return found.filter(~pl.any_horizontal(pl.all().str.contains("\0", literal=True)))


def _rejects(looking: _Looking, events: list[_Event]) -> list[int]:
    """The refused rows that were made of events, or are events of the person."""
    name = looking.pipeline.name
    of = {
        "pipeline": name,
        "value": looking.person.value.encode(),
        "origins": [f"{name}/{one.source} chunk {one.chunk}" for one in events],
        "places": [one.pos for one in events],
    }
    rows = looking.connection.execute(_SQL["reject_candidates"], of).fetchall()
    return [
        int(number)
        for number, raw, of_them, source in rows
        if of_them or looking.person.is_in(_read(looking, source, bytes(raw)) or b"")
    ]


# Removing --------------------------------------------------------------------------------------


def _run(looking: _Looking, name: str, events: list[_Event]) -> int:
    of = {
        "chunks": [one.chunk for one in events],
        "places": [one.pos for one in events],
        "received": [one.received_at for one in events],
        "forgotten": FORGOTTEN,
    }
    return looking.connection.execute(_SQL[name], of).rowcount


def _rows(looking: _Looking, keys: pl.DataFrame, *, delete: bool) -> int:
    """Count or delete the target's rows with these keys."""
    if keys.is_empty():
        return 0
    try:
        with looking.connection.transaction():
            return _rows_of(looking, keys, delete=delete)
    except psycopg.DataError:  # a key that the target's type does not take: no row has it
        if keys.height == 1:
            return 0
        half = keys.height // 2
        parts = (keys[:half], keys[half:])
        return sum(_rows(looking, part, delete=delete) for part in parts)


def _rows_of(looking: _Looking, keys: pl.DataFrame, *, delete: bool) -> int:
    types = {column.name: column.type for column in looking.spec.columns}
    names = keys.columns
    statement = (_DELETED if delete else _COUNTED).format(
        target=qualified(looking.spec.name),
        values=sql.SQL(", ").join(
            # Quoted: beside parameters, a name with a percent sign would be one.
            sql.SQL("{}::{}[]").format(sql.Literal(keys[name].to_list()), sql.SQL(types[name]))
            for name in names
        ),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        same=sql.SQL(" and ").join(
            sql.SQL("t.{0} = n.{0}").format(sql.Identifier(name)) for name in names
        ),
    )
    return looking.connection.execute(statement).rowcount


def _rewrite(looking: _Looking, one: Kept, events: list[_Event]) -> int:
    """Write a file of the archive anew without events; gives how many.

    Also a manifest that a call which was interrupted did not come to.

    Raises:
        SourceError: The file is not what was archived.
    """
    assert looking.place is not None  # noqa: S101  files are of a place
    local, sha256 = _fetched(looking, one)
    places = {event.place for event in events}
    content, noted = Content(), (one.sha256 or b"").hex()
    if places:
        new = looking.folder / "anew"
        lines = read_lines(local, Content())
        content = write_lines(
            new, (replace(line, raw=FORGOTTEN) if _at(line) in places else line for line in lines)
        )
        if sha256 != noted and content.sha256 != (one.content_sha256 or b"").hex():
            raise SourceError(f"{one.name} is not the file that was archived")
        new.replace(local)
        noted = _noted(looking, one, local, content)
        put(looking.place, looking.folder, one.name, local)
    elif sha256 != noted:
        raise SourceError(f"{one.name} is not the file that was archived")
    else:
        for _ in read_lines(local, content):
            """Count them."""
    beside, name = looking.folder / "manifest", manifest_name(one.name)
    text = manifest_text(described(looking.pipeline.name, one, content, local, noted))
    there = get(looking.place, name, beside)
    if there is None or beside.read_bytes() != text.encode():
        beside.write_text(text, encoding="utf-8")
        put(looking.place, looking.folder, name, beside)
    return len(places)


def _at(line: Line) -> tuple[int, int]:
    return line.chunk, line.pos


def _noted(looking: _Looking, one: Kept, local: Path, content: Content) -> str:
    """Note what a file is about to be, so that it is known again after an interruption."""
    with local.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256")
    hashes = {"sha256": sha256.digest(), "content_sha256": bytes.fromhex(content.sha256)}
    looking.connection.execute(_SQL["rehash"], {"file": one.name, **hashes})
    return sha256.hexdigest()
