"""Takes events from an HTTP API, page by page; the cursor moves with the rows.

Each page is staged in a transaction of its own, which also keeps where the next page is: an intake
that was stopped goes on there. The cursor moves when the last page is staged and none is missing,
as an API need not give its events in the order of their times. Every read begins some time before
it, as clocks and commits differ; delivery ids make that harmless.
Not for: how an API is asked (`connectors.rest`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import polars as pl
import psycopg

from penstock.connectors.protocol import Connector
from penstock.connectors.rest.connector import Rest
from penstock.connectors.rest.modules import Cursor, Link, NextUrl, Window
from penstock.connectors.rest.paths import at
from penstock.connectors.rest.reading import Page, whole
from penstock.errors import ConnectorError, SourceError, UsageError
from penstock.events.encrypting import Cipher, cipher_of
from penstock.events.pipeline import Pipeline
from penstock.events.sources import MAX_EVENT_BYTES, HttpSource, name_of
from penstock.events.staging import identified, source_id, stage
from penstock.events.taken import OnStep, Taken, unobserved
from penstock.formats.jsons.cutting import Cutter
from penstock.postgres.connection import connect
from penstock.postgres.queries import queries
from penstock.project.keys import ProjectKey

#: A time in UTC, or a whole number as the API has it.
Moment: TypeAlias = datetime | int

_SQL = queries("penstock.events.sql", "intake.sql")
#: Whole numbers from here on are milliseconds since 1970, below seconds: the year 5138.
_MILLISECONDS = 100_000_000_000
#: Pages whose place stays what it is when events are added: an intake may go on at one.
_STEADY = (Cursor, Link, NextUrl, Window)
#: What an API answers that does not know a place any more.
_GONE = ("400", "404", "410", "422")


def take_pages(
    dsn: str,
    pipeline: Pipeline,
    source: HttpSource,
    connectors: Mapping[str, Connector],
    *,
    key: ProjectKey | None = None,
    on_step: OnStep = unobserved,
) -> Taken:
    """Read what is new of an API, once.

    Args:
        dsn: The database with the ledger; today's part of staging is there.
        pipeline: Whose source it is.
        source: Which API, and what of it.
        connectors: Of the environment, by name.
        key: The project's, for a source that declares `encrypt`.
        on_step: Called with `read`, `staged` (before the commit) and `committed`, for each page.

    Returns:
        The counts; what the API did wrong is among the problems, and the pages before it are
        staged.

    Raises:
        UsageError: The connector is no API, the module cannot be read so, or there is no key.
        psycopg.Error: The database refuses, or the connection broke.
    """
    rest = _rest_of(source, connectors)
    cipher = cipher_of(key, pipeline.name, name_of(source), source.encrypt)
    with connect(dsn) as connection:
        named = (pipeline.name, name_of(source))
        number = source_id(connection, *named, source.schema_version)
        reading = _Reading(connection, rest, source, pipeline.name, number, on_step, cipher)
        try:
            reading.read()
            reading.taken.note_paths(cipher)
        except ConnectorError as error:
            reading.taken.problems.append(f"{error.message}. {error.advice}".removesuffix(". "))
        finally:
            rest.close()
        return reading.taken


@dataclass(slots=True)
class _Kept:
    """What `penstock.cursors` has of a source.

    Attributes:
        value: The cursor: a time in UTC, or a whole number as the API has it; None: none yet.
        reached: Where it will be when the read that was begun is complete.
        place: Of the next page of that read; None: none was begun.
        declared: What was declared then.
    """

    value: Moment | None = None
    reached: Moment | None = None
    place: Mapping[str, Any] | None = None
    declared: str = ""


@dataclass(slots=True)
class _Reading:
    """One intake of a source."""

    connection: psycopg.Connection[Any]
    rest: Rest
    source: HttpSource
    pipeline: str
    number: int
    on_step: OnStep
    cipher: Cipher | None
    taken: Taken = field(default_factory=Taken)
    kept: _Kept = field(default_factory=_Kept)
    timeless: int = 0
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def read(self) -> None:
        """All pages."""
        self.kept = self._known()
        start = self.kept.place
        if start is None or self.kept.declared != self.rest.declared(self.source.module):
            self._from(None)
            return
        try:
            self._from(start)
        except ConnectorError as error:
            if self.taken.pages or error.code not in _GONE:
                raise
            self.taken.notes.append(f"{self.rest.name} does not know the last place any more")
            self._from(None)

    def _from(self, start: Mapping[str, Any] | None) -> None:
        if start is None:
            self.kept.reached = None
        since = None if start is not None else self._since()
        for page in self.rest.pages(self.source.module, since=since, start=start):
            self.on_step("read")
            self._take(page)
        if self.timeless:
            self.taken.notes.append(
                f"{self.timeless:,} events have no time with a zone at {self.source.at}: they do "
                "not move the cursor"
            )

    def _since(self) -> str | int | None:
        """What the API is asked for; times end in Z, as a + is a blank to some."""
        value, overlap = self.kept.value, self.source.overlap
        if value is None:
            return None
        if isinstance(value, datetime):
            return (value - overlap).isoformat().replace("+00:00", "Z")
        unit = timedelta(milliseconds=1) if value >= _MILLISECONDS else timedelta(seconds=1)
        return value - overlap // unit

    def _take(self, page: Page) -> None:
        """Stage a page, and keep how far the read is."""
        raws = self._records(page) if page.records else []
        reached = self._reached(raws)
        with self.connection.transaction():
            if raws:
                series = pl.Series("raw", raws, dtype=pl.Binary)
                frame = identified(self.source, series, self.cipher)
                staged = stage(
                    self.connection,
                    self.number,
                    frame,
                    f"{name_of(self.source)} page {page.number}",
                    encrypted=self.cipher is not None,
                )
            self._keep(page, reached)
            self.on_step("staged")
        if raws:
            self.taken.add(staged)
        self.kept.reached = reached
        self.taken.pages += 1
        self.on_step("committed")

    def _records(self, page: Page) -> list[bytes]:
        """The records as the API wrote them."""
        text = page.content.decode(json.detect_encoding(page.content))
        where = f"{name_of(self.source)} page {page.number}"
        cutter = Cutter(iter([text]), where, MAX_EVENT_BYTES)
        path = self.rest.records_at(self.source.module)
        try:
            cutter.enter(path)
            found = [element.text.encode() for element in cutter.elements()]
            cutter.leave(path)
        except SourceError as error:
            raise ConnectorError(error.message, code=error.code) from None
        return found

    def _reached(self, raws: list[bytes]) -> Moment | None:
        """How far a page brings the cursor: to its newest event, but not into the future."""
        reached = self.kept.reached
        if self.source.at is None:
            return None
        now = datetime.now(UTC)
        for raw in raws:
            moment = _moment(at(json.loads(raw, parse_int=whole), self.source.at), now)
            if moment is None or not (reached is None or _same_kind(moment, reached)):
                self.timeless += 1
            elif reached is None or moment > reached:  # type: ignore[operator]
                reached = moment
        return reached

    def _known(self) -> _Kept:
        row = self.connection.execute(_SQL["cursor"], self._named()).fetchone()
        return _Kept() if row is None else _kept(row[0])

    def _keep(self, page: Page, reached: Moment | None) -> None:
        row = self.connection.execute(_SQL["lock_cursor"], self._named()).fetchone()
        before = _kept(row[0]) if row is not None else _Kept()
        value = before.value
        if page.complete and reached is not None:
            forward = value is None or not _same_kind(reached, value) or reached > value  # type: ignore[operator]
            value = reached if forward else value
        place = page.after if self._steady(page.after) else None
        if (value, place, before.place) == (before.value, None, None):
            return
        told = {
            **_told(value),
            "reached": _told(reached) if place is not None else None,
            "place": place,
            "declared": self.rest.declared(self.source.module),
        }
        said = self._named() | {"value": json.dumps(told), "run_id": self.run_id}
        self.connection.execute(_SQL["move_cursor"], said)

    def _steady(self, place: Mapping[str, Any] | None) -> bool:
        """True where a read may go on at a place, and the place may be kept."""
        its = self.rest.modules[self.source.module].page
        return (
            place is not None
            and isinstance(its, _STEADY)
            and not self.rest.shows_secret(json.dumps(place))
        )

    def _named(self) -> dict[str, Any]:
        return {"flow": f"pipeline {self.pipeline}", "name": name_of(self.source)}


def _rest_of(source: HttpSource, connectors: Mapping[str, Connector]) -> Rest:
    found = connectors.get(source.connector)
    if not isinstance(found, Rest):
        known = sorted(name for name, one in connectors.items() if isinstance(one, Rest))
        what = "is no API" if found is not None else "is no connector in env"
        raise UsageError(
            f"source {name_of(source)}: {source.connector!r} {what}; APIs are "
            f"{', '.join(known) or 'not set'}"
        )
    return found


def _moment(value: Any, now: datetime) -> Moment | None:
    """A time of an event; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return min(value, int(now.timestamp() * (1000 if value >= _MILLISECONDS else 1)))
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return None if moment.tzinfo is None else min(moment.astimezone(UTC), now)


def _same_kind(one: Moment, other: Moment) -> bool:
    return isinstance(one, datetime) == isinstance(other, datetime)


def _told(value: Moment | None) -> dict[str, str]:
    """A value as the cursors of flows are kept: its type beside its text."""
    if value is None:
        return {}
    kind = "timestamptz" if isinstance(value, datetime) else "integer"
    return {"type": kind, "value": value.isoformat() if isinstance(value, datetime) else str(value)}


def _kept(told: Mapping[str, Any]) -> _Kept:
    return _Kept(
        value=_value(told),
        reached=_value(told.get("reached") or {}),
        place=told.get("place"),
        declared=told.get("declared", ""),
    )


def _value(told: Mapping[str, Any]) -> Moment | None:
    if "value" not in told:
        return None
    text = told["value"]
    return datetime.fromisoformat(text) if told["type"] == "timestamptz" else int(text)
