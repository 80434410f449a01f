"""Arranges the rows that a transform gave for their load. Not for: the load (`processing`).

What the target wants to know of each row is added, rows without a key are refused with that reason,
and rows that are older than the target's are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl
import psycopg

from penstock.events.pipeline import Pipeline
from penstock.events.queue import Batch
from penstock.events.reading import Reading, joined, versions
from penstock.events.registry import Fresh, Registry, moments
from penstock.events.transforming import Made
from penstock.loading.inputs.traced import Traced
from penstock.model.batch import ROW, Malformed, row_id
from penstock.model.table import Column, TableSpec

#: Columns that a target may have, and that the transform need not give.
_AUDIT = ("source", "ingested_at", "processed_at", "run_id")
#: Bytes of a key: an index of PostgreSQL holds 2704 (its chapter "B-Tree Indexes"), and what names
#: the target stands beside it.
_LONGEST_KEY = 2600
_TOO_LONG = f"the key is longer than {_LONGEST_KEY:,} bytes, which no index holds"
_FAULTS = {
    "position": pl.UInt32(),
    "column": pl.String(),
    "code": pl.String(),
    "reason": pl.String(),
    "value": pl.String(),
}
_Fault = tuple[int, str, str, str, str | None]


@dataclass(frozen=True, slots=True)
class Work:
    """Claimed batches, and what the transform made of their events.

    Attributes:
        batches: In the order of their events.
        raws: The events, as they are staged.
        origins: Of each event `source` (String) and `received_at` (Datetime, UTC).
        made: Their rows, and the events that failed.
        hidden: Events with encrypted fields.
        apart: They are of one commit, and a check has stopped the load of this and others: it
            judges them however few they are.
    """

    batches: Sequence[Batch]
    raws: Sequence[bytes]
    origins: pl.DataFrame
    made: Made
    hidden: frozenset[int] = frozenset()
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Arranged:
    """Rows on their way into the target.

    Attributes:
        source: What is loaded.
        events: The event that each row was made of (Int64), in the order of the rows.
        older: The events of rows that are left out because the target has newer ones.
        fresh: What is known of the keys; None: the target's mode asks for none.
    """

    source: Traced
    events: pl.Series
    older: list[int]
    fresh: Fresh | None

    @property
    def all_new(self) -> bool:
        """No key of them is known to be in the target."""
        return self.fresh is not None and not self.fresh.keys["known"].any()


class Arranger:
    """Arranges rows of one pipeline.

    Args:
        pipeline: The declaration.
        spec: Its target.
        registry: Which keys the target holds; None: every row is a new one.
        run_id: The worker's run.
    """

    def __init__(
        self, pipeline: Pipeline, spec: TableSpec, registry: Registry | None, run_id: str
    ) -> None:
        self._pipeline = pipeline
        self._spec = spec
        self._registry = registry
        self._run_id = run_id
        self._reading = Reading(pipeline, spec)
        self._columns = {column.name: column for column in spec.columns}

    def arranged(
        self, work: Work, now: datetime, without: Collection[int] = frozenset()
    ) -> Arranged:
        """Rows, as they are to be loaded.

        Args:
            work: What the transform gave.
            now: When that was.
            without: Numbers of rows, as the transform gave them, that are refused anyhow: they
                hold no key, so that an older row may be loaded in their place.
        """
        whole = self._completed(work, now)
        events, plain = whole[ROW], whole.drop(ROW)
        if self._registry is None:
            return Arranged(self._traced(work, plain, events, []), events, [], None)
        keys = joined(self._reading.keys(plain))
        times, numbers, unread = self._times(plain)
        sound = keys.is_not_null() & (
            times.is_not_null() | pl.Series([self._pipeline.time is None])
        )
        # No text of PostgreSQL holds a NUL: the load refuses such a row, and nobody can be asked.
        lengthy = (keys.str.len_bytes() > _LONGEST_KEY).fill_null(value=False)
        nul = keys.str.contains("\0", literal=True).fill_null(value=False)
        askable = sound & ~unread & ~lengthy & ~nul
        known = askable & ~pl.int_range(plain.height, eager=True).is_in(list(without))
        places = known.arg_true()
        found = pl.DataFrame({"key": keys, "held_at": times, "version": numbers})
        fresh = self._registry.look_up(found.gather(places))
        if self._pipeline.mode == "insert_new":
            fresh = fresh.only_new()
        fresh = fresh.renumbered(places)
        kept = pl.int_range(plain.height, dtype=pl.UInt32, eager=True)
        kept = kept.filter(~kept.is_in(fresh.older.implode()))
        rows, of = plain.gather(kept), events.gather(kept)
        faults = _key_faults(self._pipeline, plain, sound, kept)
        faults += _version_faults(self._pipeline, plain, unread & sound, kept)
        faults += [
            (place, self._pipeline.keys[0], "54000", _TOO_LONG, None)
            for place in lengthy.gather(kept).arg_true().to_list()
        ]
        older = events.gather(fresh.older).to_list()
        fresh = replace(fresh, rows=kept)
        return Arranged(self._traced(work, rows, of, faults), of, older, fresh)

    def _completed(self, work: Work, now: datetime) -> pl.DataFrame:
        """With what the target wants to know, and the transform does not say."""
        frame, pipeline = work.made.frame, self._pipeline
        names = {column.name for column in self._spec.columns}
        wanted = [name for name in _AUDIT if name in names and name not in frame.columns]
        events = frame[ROW]
        of: dict[str, Callable[[], pl.Series | pl.Expr]] = {
            "source": lambda: work.origins["source"].gather(events),
            "ingested_at": lambda: work.origins["received_at"].gather(events),
            "processed_at": lambda: pl.lit(now, dtype=pl.Datetime("us", "UTC")),
            "run_id": lambda: pl.lit(self._run_id),
        }
        must = {*pipeline.keys, *filter(None, (pipeline.time,))}
        return frame.with_columns(of[name]().alias(name) for name in wanted).with_columns(
            pl.lit(None, dtype=pl.String).alias(one.name)
            for one in self._spec.columns
            if one.name not in {*frame.columns, *wanted} and (_needed(one) or one.name in must)
        )

    def _times(self, plain: pl.DataFrame) -> tuple[pl.Series, pl.Series, pl.Series]:
        """Of each row the time under which the target holds it, its version, and whether it has
        one that nothing can be compared with.
        """  # noqa: D205  three things of one row
        pipeline = self._pipeline
        numbers = pl.Series([None] * plain.height, dtype=pl.Int64)
        times = numbers.cast(pl.Datetime("us", "UTC"))
        unread = pl.repeat(value=False, n=plain.height, dtype=pl.Boolean, eager=True)
        if pipeline.time is not None:
            loaded = self._reading.values(plain[pipeline.time])
            times = loaded.zip_with(loaded.is_not_null(), moments(plain[pipeline.time]))
        newest = pipeline.newest
        if newest is not None and newest in plain.columns:
            read = self._reading.values(plain[newest])
            numbers = versions(self._columns[newest], read)
            unread = read.is_not_null() & numbers.is_null()
        return times, numbers, unread

    def _traced(
        self, work: Work, rows: pl.DataFrame, events: pl.Series, faults: list[_Fault]
    ) -> Traced:
        origins = pl.concat(
            pl.int_range(
                row_id(number, one.pos_from + 1), row_id(number, one.pos_to + 1), eager=True
            )
            for number, one in enumerate(work.batches)
        )
        names = {
            number: f"{self._pipeline.name}/{one.source} chunk {one.chunk}"
            for number, one in enumerate(work.batches)
        }
        lost = [
            Malformed(origins[event], 0, work.raws[event], why.code, why.reason)
            for event, why in sorted(work.made.failures.items())
        ]
        numbered = origins.gather(events)
        return Traced(
            frame=rows.with_columns(numbered.alias(ROW)),
            names=names,
            malformed=lost,
            faults=pl.DataFrame(faults, schema=_FAULTS, orient="row") if faults else None,
        )


def _key_faults(
    pipeline: Pipeline, plain: pl.DataFrame, sound: pl.Series, kept: pl.Series
) -> list[_Fault]:
    """Why rows without a key or a time cannot be loaded, by their places among those kept."""
    faults: list[_Fault] = []
    for place in (~sound.gather(kept)).arg_true().to_list():
        row = plain.row(kept[place], named=True)
        lacking = next((name for name in pipeline.keys if row[name] is None), None)
        name = lacking or str(pipeline.time)
        value = row[name]
        if value is None:
            faults.append((place, name, "null_key", f"no {name}", None))
        else:
            said = f'"{value}" is no time with a zone (ISO 8601, such as 2026-01-31T12:00:00Z)'
            faults.append((place, name, "no_zone", said, str(value)))
    return faults


def _version_faults(
    pipeline: Pipeline, plain: pl.DataFrame, unread: pl.Series, kept: pl.Series
) -> list[_Fault]:
    """Why rows cannot be told from older ones, by their places among those kept."""
    name = str(pipeline.newest)
    faults: list[_Fault] = []
    for place in unread.gather(kept).arg_true().to_list():
        value = str(plain[name][kept[place]])
        said = f'"{value}" is no version: a whole number of 64 bits, or a time'
        faults.append((place, name, "no_version", said, value))
    return faults


def _needed(column: Column) -> bool:
    """A row without it is refused, rather than a batch in which no row has it."""
    return not (column.nullable or column.has_default or column.identity or column.generated)


def now_of(connection: psycopg.Connection[Any]) -> datetime:
    """What time it is for the server."""
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM gives one row
    moment: datetime = row[0]
    return moment


def origins_of(batches: Sequence[Batch]) -> pl.DataFrame:
    """Of each event of batches `source` (String) and `received_at` (Datetime, UTC)."""
    zone = pl.Datetime("us", "UTC")
    return pl.concat(
        pl.select(
            source=pl.repeat(one.source, one.events, dtype=pl.String),
            received_at=pl.repeat(one.received_at, one.events, dtype=zone),
        )
        for one in batches
    )
