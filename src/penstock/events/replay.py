"""What was received once more through today's transform; or what that would change.

Not for: single events that failed (`letters`), nor what left staging (`restoring`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg
from psycopg import sql

from penstock.events.pipeline import Pipeline
from penstock.events.processing import CARRIED, Processor
from penstock.events.queue import Batch, Outcome
from penstock.events.staging import CHANNEL
from penstock.ledger.runs import RunRecord
from penstock.model.table import TableSpec
from penstock.postgres.connection import target_of
from penstock.postgres.names import qualified
from penstock.postgres.queries import queries
from penstock.project.keys import ProjectKey

if TYPE_CHECKING:
    import sqlalchemy

_SQL = queries("penstock.events.sql", "listing.sql")
_REPLAY, _TO_REPLAY = (
    sql.SQL(_SQL[name]).format(span=sql.SQL(_SQL["span"])) for name in ("replay", "to_replay")
)
#: Changed rows that are shown.
_SAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which events.

    Attributes:
        source: Of this source only.
        since: Received then or later.
        until: Received before.
    """

    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the target that would be another.

    Attributes:
        key: The values of its key.
        before: The columns that differ, as they are; None: the row is not there.
        after: As they would be; None: the row would be elsewhere.
    """

    key: dict[str, Any]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(slots=True)
class Difference:
    """What a replay would do.

    Attributes:
        events: That were looked at.
        added: Rows that the target does not have.
        changed: Rows that it has otherwise.
        unchanged: Rows that it has just so.
        removed: Rows that would be taken away: their newer version stands under another time.
        failed: Events that would fail.
        dropped: Events that would make no row.
        samples: Some of the rows added and changed.
        reasons: Why events would fail, with how many.
    """

    events: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    dropped: int = 0
    samples: list[Change] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)


def enqueue(connection: psycopg.Connection[Any], pipeline: Pipeline, span: Span) -> int:
    """Let workers work again on what was received; gives how many batches.

    Args:
        connection: In autocommit.
        pipeline: Whose events.
        span: Which of them.
    """
    count = connection.execute(_REPLAY, _of(pipeline, span)).rowcount
    connection.execute("select pg_notify(%s, %s)", [CHANNEL, pipeline.name])
    return count


def not_staged(connection: psycopg.Connection[Any], pipeline: Pipeline, span: Span) -> int:
    """How many events of a span are not in staging any more: a replay leaves them out."""
    row = connection.execute(_SQL["not_staged"], _of(pipeline, span)).fetchone()
    assert row is not None  # noqa: S101  an aggregate gives one row
    return int(row[0])


def difference(
    control: psycopg.Connection[Any],
    engine: sqlalchemy.Engine,
    pipeline: Pipeline,
    span: Span,
    *,
    key: ProjectKey | None = None,
) -> Difference:
    """What a replay would do; every change is rolled back.

    Args:
        control: In autocommit.
        engine: Where the target is; rows are loaded there, looked at, and rolled back.
        pipeline: Whose events.
        span: Which of them.
        key: The project's, for events with encrypted fields; None: there is none.

    Raises:
        PenstockError: As for the work itself.
    """
    total = Difference()
    run = RunRecord("replay", f"penstock replay {pipeline.name} --dry-run")
    processor = Processor(pipeline, control, engine, run, key=key)
    for row in control.execute(_TO_REPLAY, _of(pipeline, span)).fetchall():
        with engine.connect() as connection:
            transaction = connection.begin()
            try:
                _look_at(processor, connection, Batch(*row), total)
            finally:
                transaction.rollback()
    return total


def _look_at(
    processor: Processor,
    connection: sqlalchemy.Connection,
    batch: Batch,
    total: Difference,
) -> None:
    work = processor.transform([batch])
    pipeline, outcome = processor.pipeline, Outcome(dropped=work.made.dropped(len(work.raws)))
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    if not work.made.frame.is_empty() or work.made.failures:
        keys = _keys(work.made.frame, pipeline)
        with target_of(connection) as target:
            before = _rows(target.connection, pipeline, processor.spec, keys)

            def finish(driver: psycopg.Connection[Any], found: Outcome) -> None:
                nonlocal outcome
                after.update(_rows(driver, pipeline, processor.spec, keys))
                outcome = found

            processor.load(work, connection, finish)
    _compare(before, after, total, pipeline)
    total.events += batch.events
    total.failed += len(outcome.failures)
    total.dropped += len(outcome.dropped)
    for one in outcome.failures.values():
        total.reasons[one.reason] = total.reasons.get(one.reason, 0) + 1


def _compare(
    before: dict[str, str], after: dict[str, str], total: Difference, pipeline: Pipeline
) -> None:
    for place in sorted(after.keys() | before.keys()):  # the same samples each time
        old, new = before.get(place), after.get(place)
        if old == new:
            total.unchanged += 1
            continue
        if old is None:
            total.added += 1
        elif new is None:
            total.removed += 1
        else:
            total.changed += 1
        if len(total.samples) < _SAMPLES:
            total.samples.append(_change(pipeline, old, new))


def _change(pipeline: Pipeline, old: str | None, new: str | None) -> Change:
    one: dict[str, Any] = json.loads(old) if old else {}
    two: dict[str, Any] = json.loads(new) if new else {}
    key = {name: (two or one).get(name) for name in pipeline.keys}
    differing = [name for name in (two or one) if one.get(name) != two.get(name)]
    return Change(
        key,
        {name: one.get(name) for name in differing} if old else None,
        {name: two.get(name) for name in differing} if new else None,
    )


def _rows(
    connection: psycopg.Connection[Any], pipeline: Pipeline, spec: TableSpec, keys: pl.DataFrame
) -> dict[str, str]:
    """Rows of the target with these keys: place in the table's own terms -> the row as JSON."""
    types = {column.name: column.type for column in spec.columns}
    names = pipeline.keys
    # Quoted: beside parameters, a name with a percent sign would be one.
    columns = [
        sql.SQL("{}::{}[]").format(sql.Literal(keys[name].to_list()), sql.SQL(types[name]))
        for name in names
    ]
    place: Sequence[str] = [*names, *filter(None, (pipeline.time,))]
    carried = [name for name in CARRIED if name in types]
    statement = sql.SQL(
        "select jsonb_build_array({place})::text, (to_jsonb(t) - {carried}::text[])::text "
        "from unnest({values}) n({names}) join {target} t on {same}"
    ).format(
        place=sql.SQL(", ").join(sql.Identifier("t", name) for name in place),
        carried=sql.Literal(carried),
        values=sql.SQL(", ").join(columns),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        target=qualified(spec.name),
        same=sql.SQL(" and ").join(
            sql.SQL("t.{0} = n.{0}").format(sql.Identifier(name)) for name in names
        ),
    )
    return dict(connection.execute(statement).fetchall())


def _keys(frame: pl.DataFrame, pipeline: Pipeline) -> pl.DataFrame:
    """The keys that rows name; as text, which the server reads as it reads the rows."""
    names = [name for name in pipeline.keys if name in frame.columns]
    if len(names) < len(pipeline.keys):
        return pl.DataFrame(schema=dict.fromkeys(pipeline.keys, pl.String()))
    return frame.select(pl.col(name).cast(pl.String) for name in names).drop_nulls().unique()


def _of(pipeline: Pipeline, span: Span) -> dict[str, Any]:
    return {
        "pipeline": pipeline.name,
        "source": span.source,
        "since": span.since,
        "until": span.until,
        "size": pipeline.batch,
    }
