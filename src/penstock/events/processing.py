"""Works on claimed batches: read, transform, load, acknowledge. Not for: claiming them (`worker`).

The rows, what was refused of them, the keys and the acknowledgement, which is the last write, are
one transaction: whoever has lost the batch meanwhile changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg

from penstock.errors import UsageError
from penstock.events import queue
from penstock.events.pipeline import Pipeline
from penstock.events.queue import Batch, Failure, Outcome
from penstock.events.registry import (
    Fresh,
    Overtaken,
    Registry,
    key_texts,
    load_key,
    moments,
    versions,
)
from penstock.events.transforming import Made, transformed
from penstock.ledger.runs import RunRecord
from penstock.loading.inputs.traced import Traced
from penstock.loading.load import options_from, run_load
from penstock.model.batch import ROW, Malformed, row_id
from penstock.model.options import LoadOptions
from penstock.model.result import LoadResult
from penstock.model.table import Column, TableSpec
from penstock.postgres.catalog import read_table

if TYPE_CHECKING:
    import sqlalchemy

#: Times that a batch is begun anew at once because another worker has changed the same keys.
_TRIES = 5
#: Columns that a target may have, and that the transform need not give.
_AUDIT = ("source", "ingested_at", "processed_at", "run_id")
#: Those of them that alone do not make a row a changed one.
_CARRIED = ("processed_at", "run_id")
_FAULTS = {
    "position": pl.UInt32(),
    "column": pl.String(),
    "code": pl.String(),
    "reason": pl.String(),
    "value": pl.String(),
}


@dataclass(slots=True)
class Processed:
    """What came of claimed batches.

    Attributes:
        outcome: Of each event.
        events: How many there were.
        result: The books of the load; None where there was nothing to load.
    """

    outcome: Outcome
    events: int
    result: LoadResult | None = None


@dataclass(slots=True)
class _Rows:
    """Rows on their way: of which event each is, and what was found out about it."""

    frame: pl.DataFrame
    events: pl.Series
    faults: list[tuple[int, str, str, str, str | None]] = field(default_factory=list)
    fresh: Fresh | None = None


class Processor:
    """Works on batches of one pipeline.

    Args:
        pipeline: The declaration.
        control: In autocommit; for reading, and for batches without rows.
        engine: Where rows are loaded.
        run: The worker's run in the ledger.

    Raises:
        UsageError: The target is not there, or has no unique key by which rows could be found.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        control: psycopg.Connection[Any],
        engine: sqlalchemy.Engine,
        run: RunRecord,
    ) -> None:
        self.pipeline = pipeline
        self._control = control
        self._engine = engine
        self._run = run
        self._spec = read_table(control, pipeline.target)
        _check_target(pipeline, self._spec)
        self._registry: Registry | None = None
        if pipeline.mode != "append":
            self._registry = Registry(control, pipeline, self._spec)

    def process(self, batches: Sequence[Batch]) -> Processed:
        """Work on batches, and finish them.

        Raises:
            Fenced: Another worker has them by now; nothing was changed.
            TransformBroken: The transform is to be mended.
            PenstockError: The load failed as a whole; nothing was changed.
        """
        raws = queue.read(self._control, batches)
        sources = [one.source for one in batches for _ in range(one.events)]
        received = [one.received_at for one in batches for _ in range(one.events)]
        made = transformed(self.pipeline, raws, sources, received)
        outcome = Outcome(dict(made.failures), made.dropped(len(raws)))
        frame = self._audited(made.frame, sources, received)
        if frame.is_empty() and not outcome.failures:
            with self._control.transaction():
                queue.finish(self._control, self.pipeline, batches, outcome)
            return Processed(outcome, len(raws))
        for turn in range(1, _TRIES + 1):
            try:
                return self._loaded(batches, raws, frame, made)
            except Overtaken:
                if turn == _TRIES:
                    raise
        raise AssertionError("unreachable")

    def _loaded(
        self, batches: Sequence[Batch], raws: Sequence[bytes], frame: pl.DataFrame, made: Made
    ) -> Processed:
        outcome = Outcome(dict(made.failures), made.dropped(len(raws)))
        rows = self._judged(frame)
        if rows.fresh is not None:
            outcome.older = frame[ROW].gather(rows.fresh.older).to_list()
        refused: set[int] = set()
        failed_first = dict(made.failures)

        def on_refused(found: list[tuple[int, str, str]]) -> None:
            refused.clear()
            outcome.failures = dict(failed_first)
            for number, code, reason in found:
                if number <= rows.frame.height:  # behind them are the events without a row
                    refused.add(number - 1)
                    outcome.failures.setdefault(rows.events[number - 1], Failure(code, reason))

        def along(connection: psycopg.Connection[Any]) -> None:
            if self._registry is not None and rows.fresh is not None:
                numbers = rows.fresh.rows
                gone = [int(numbers[number]) for number in refused]
                self._registry.write(connection, rows.fresh, gone, changed=True)
            queue.finish(connection, self.pipeline, batches, outcome)

        load = self._options(on_refused, along)
        source = self._traced(batches, raws, rows, made)
        result = run_load(self._engine, [(self.pipeline.target, source)], load, self._run)[0]
        outcome.load_id = result.load_id
        return Processed(outcome, len(raws), result)

    def _options(self, on_refused: Any, along: Any) -> LoadOptions:
        pipeline = self.pipeline
        own: dict[str, Any] = {}
        if pipeline.mode != "append":
            own["key"] = load_key(pipeline, self._spec)
        names = {column.name for column in self._spec.columns}
        return options_from(
            **{"max_rejects": "all", **pipeline.options},
            **own,
            mode=pipeline.mode,
            carried=tuple(name for name in _CARRIED if name in names),
            one_of_many=True,
            on_refused=on_refused,
            along=along,
        )

    # The rows --------------------------------------------------------------------------------

    def _audited(
        self, frame: pl.DataFrame, sources: Sequence[str], received: Sequence[datetime]
    ) -> pl.DataFrame:
        """With what the target wants to know of each row, and the transform does not say."""
        names = {column.name for column in self._spec.columns}
        wanted = [name for name in _AUDIT if name in names and name not in frame.columns]
        if not wanted or frame.is_empty():
            return frame
        events = frame[ROW]
        zone = pl.Datetime("us", "UTC")
        of: dict[str, pl.Series] = {
            "source": pl.Series(sources, dtype=pl.String).gather(events),
            "ingested_at": pl.Series(received, dtype=zone).gather(events),
            "processed_at": pl.Series([_now(self._control)] * len(events), dtype=zone),
            "run_id": pl.Series([self._run.run_id] * len(events), dtype=pl.String),
        }
        return frame.with_columns(of[name].alias(name) for name in wanted)

    def _judged(self, frame: pl.DataFrame) -> _Rows:
        """Rows with what the registry says of their keys; the older ones are left out."""
        pipeline, spec = self.pipeline, self._spec
        must = {*pipeline.keys, *filter(None, (pipeline.time,))}
        frame = frame.with_columns(
            pl.lit(None, dtype=pl.String).alias(one.name)
            for one in spec.columns
            if one.name not in frame.columns and (_needed(one) or one.name in must)
        )
        plain = frame.drop(ROW)
        rows = _Rows(plain, frame[ROW])
        if self._registry is None:
            return rows
        keys = key_texts(plain, pipeline.keys)
        times, numbers = self._times(plain)
        whole = keys.is_not_null() & (times.is_not_null() | pl.Series([pipeline.time is None]))
        found = pl.DataFrame({"key": keys, "held_at": times, "version": numbers})
        sound = whole.arg_true()
        fresh = self._registry.look_up(found.gather(sound))
        if pipeline.mode == "insert_new":
            known = fresh.keys.filter("known")["number"].implode()
            fresh = Fresh(
                fresh.rows.filter(~fresh.rows.is_in(known)),
                pl.concat([fresh.older, fresh.rows.filter(fresh.rows.is_in(known))]),
                fresh.keys.filter(~pl.col("known")),
            )
        # From numbers among the sound rows to those among all.
        older = sound.gather(fresh.older)
        kept = pl.int_range(plain.height, dtype=pl.UInt32, eager=True)
        kept = kept.filter(~kept.is_in(older.implode()))
        rows.frame, rows.events = plain.gather(kept), frame[ROW].gather(kept)
        rows.fresh = Fresh(
            kept, older, fresh.keys.with_columns(number=sound.gather(fresh.keys["number"]))
        )
        rows.faults = _key_faults(pipeline, plain, whole, kept)
        return rows

    def _times(self, plain: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """Of each row the time under which the target holds it, and its version."""
        nothing = pl.Series([None] * plain.height, dtype=pl.Int64)
        pipeline = self.pipeline
        times = nothing.cast(pl.Datetime("us", "UTC"))
        if pipeline.time is not None and pipeline.time in plain.columns:
            times = moments(plain[pipeline.time])
        newest = pipeline.newest
        if newest is None or newest not in plain.columns:
            return times, nothing
        return times, versions(plain[newest])

    def _traced(
        self, batches: Sequence[Batch], raws: Sequence[bytes], rows: _Rows, made: Made
    ) -> Traced:
        origins = [
            row_id(number, pos + 1)
            for number, one in enumerate(batches)
            for pos in range(one.pos_from, one.pos_to)
        ]
        numbered = pl.Series(origins, dtype=pl.Int64).gather(rows.events)
        names = {
            number: f"{self.pipeline.name}/{one.source} chunk {one.chunk}"
            for number, one in enumerate(batches)
        }
        lost = [
            Malformed(origins[event], 0, raws[event], why.code, why.reason)
            for event, why in sorted(made.failures.items())
        ]
        faults = pl.DataFrame(rows.faults, schema=_FAULTS, orient="row") if rows.faults else None
        frame = rows.frame.with_columns(numbered.alias(ROW))
        return Traced(frame=frame, names=names, malformed=lost, faults=faults)


def _key_faults(
    pipeline: Pipeline, plain: pl.DataFrame, whole: pl.Series, kept: pl.Series
) -> list[tuple[int, str, str, str, str | None]]:
    """Why rows without a key or a time cannot be loaded, by their places among those kept."""
    faults: list[tuple[int, str, str, str, str | None]] = []
    for place in (~whole.gather(kept)).arg_true().to_list():
        row = plain.row(kept[place], named=True)
        lacking = next((name for name in pipeline.keys if row[name] is None), None)
        if lacking is not None:
            faults.append((place, lacking, "null_key", f"no {lacking}", None))
            continue
        name = str(pipeline.time)
        value = row.get(name)
        said = f'"{value}" is no time with a zone (ISO 8601, such as 2026-01-31T12:00:00Z)'
        if value is None:
            faults.append((place, name, "null_key", f"no {name}", None))
        else:
            faults.append((place, name, "no_zone", said, str(value)))
    return faults


def _needed(column: Column) -> bool:
    """A row without it is refused, rather than a batch in which no row has it."""
    return not (column.nullable or column.has_default or column.identity or column.generated)


def _check_target(pipeline: Pipeline, spec: TableSpec) -> None:
    names = {column.name for column in spec.columns}
    named = [*pipeline.keys, *filter(None, (pipeline.time, pipeline.version))]
    if missing := [name for name in named if name not in names]:
        raise UsageError(f"{pipeline.name}: {spec.name} has no column {', '.join(missing)}")
    if pipeline.mode == "append":
        return
    wanted = [set(pipeline.keys)]
    if pipeline.time is not None:
        wanted.append({*pipeline.keys, pipeline.time})
    if not any(set(key.columns) in wanted for key in spec.keys):
        said = " or ".join(f"({', '.join(sorted(one))})" for one in wanted)
        raise UsageError(
            f"{pipeline.name}: {spec.name} has no primary key or unique constraint over {said}, by "
            "which rows could be found. Add one."
        )


def _now(connection: psycopg.Connection[Any]) -> datetime:
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM gives one row
    moment: datetime = row[0]
    return moment
