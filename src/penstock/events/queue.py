"""The queue: batches of events are claimed, kept alive, finished or given back, each by its token.

Attempts are raised before the work and the lease outlives the worker: what ended a worker is worked
on again in smaller parts, until the one event is found that does it. Not for: the work itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any

import psycopg

from penstock.errors import TryAgain
from penstock.events.personal import FORGOTTEN
from penstock.events.pipeline import Pipeline
from penstock.postgres.queries import queries

_SQL = queries("penstock.events.sql", "queue.sql")

#: Seconds after which a worker that gives no sign of life has lost its batches.
LEASE = 45.0
#: Parts into which a batch is cut whose worker has ended.
_PARTS = 10


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event is not in the target.

    Attributes:
        code: A rule or an SQLSTATE.
        reason: In plain words.
    """

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A range of events that one worker has claimed.

    Attributes:
        batch_id: Its number.
        token: Raised with each claim: who holds an older one can finish nothing.
        kind: `new`, `requeue` or `replay`.
        source: Name of the source.
        chunk: The commit of intake that the events came with.
        pos_from: Of the first event.
        pos_to: After the last one.
        received_at: Of all of them.
        attempts: How often it was claimed, this time included, and not ended properly.
        encrypted: True: fields of the events are encrypted.
    """

    batch_id: int
    token: int
    kind: str
    source: str
    chunk: int
    pos_from: int
    pos_to: int
    received_at: datetime
    attempts: int
    encrypted: bool

    @property
    def events(self) -> int:
        """How many there are."""
        return self.pos_to - self.pos_from


@dataclass(slots=True)
class Outcome:
    """What became of the events of claimed batches; numbered as they were read, from 0.

    Attributes:
        failures: Event -> why.
        dropped: Events of which the transform made no row.
        older: Rows that were left out because the target has newer ones, by event.
        load_id: Of the load that took the rows; None: there was none.
    """

    failures: dict[int, Failure] = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)
    older: list[int] = field(default_factory=list)
    load_id: str | None = None


class Fenced(TryAgain):
    """Another worker has taken the batches over: what was done here is rolled back."""


def claim(
    connection: psycopg.Connection[Any], pipeline: Pipeline, worker: Mapping[str, Any]
) -> list[Batch]:
    """Claim batches with up to `pipeline.batch` events; none where there is nothing to do.

    Args:
        connection: In autocommit.
        pipeline: Whose.
        worker: `worker` (its name), `pid` and `started` of the session that will load, or None.
    """
    connection.execute(_SQL["end_expired"], {"pipeline": pipeline.name})
    found = connection.execute(
        _SQL["claim"],
        {"pipeline": pipeline.name, "events": pipeline.batch, "lease": LEASE, **worker},
    ).fetchall()
    return sorted((Batch(*row) for row in found), key=lambda one: one.batch_id)


def ripe(connection: psycopg.Connection[Any], pipeline: Pipeline, one: Batch) -> bool:
    """Whether a claimed batch can be worked on as it is.

    One that was begun before, and whose worker has ended, is cut in parts; where it is a single
    event and has had its attempts, it is dead.
    """
    if one.attempts == 1:
        return True
    if one.events > 1:
        size = -(-one.events // _PARTS)
        of = {"batch_id": one.batch_id, "token": one.token, "size": size}
        connection.execute(_SQL["split"], of)
        return False
    if one.attempts <= pipeline.attempts:
        return True
    said = f"the process that worked on it ended {one.attempts - 1} times"
    with connection.transaction():
        _write_failures(connection, pipeline, [one], {0: Failure("poison", said)}, "dead")
        finish(connection, pipeline, [one], Outcome(), status="dead")
    return False


def read(connection: psycopg.Connection[Any], batches: Sequence[Batch]) -> list[bytes]:
    """The events of batches as they were received, in order.

    In the place of those that somebody has discarded stands what stands for forgotten ones.

    Raises:
        TryAgain: Some are not there any more: their day was dropped meanwhile.
    """
    raws: list[bytes] = []
    with connection.cursor(binary=True) as cursor:
        for one in batches:
            of = {name: getattr(one, name) for name in ("chunk", "pos_from", "pos_to")}
            found = cursor.execute(_SQL["read"], {**of, "received_at": one.received_at})
            row = found.fetchone()
            assert row is not None  # noqa: S101  an aggregate gives one row
            if len(row[0]) != one.events:
                said = f"{len(row[0])} of its {one.events} events are in staging"
                raise TryAgain(f"batch {one.batch_id}: {said}", code="gone")
            raws += row[0]
    for event in _discarded(connection, batches):
        raws[event] = FORGOTTEN
    return raws


def _discarded(connection: psycopg.Connection[Any], batches: Sequence[Batch]) -> list[int]:
    """Events that were discarded, numbered from 0; only what is tried again can have been."""
    begins = dict(enumerate(accumulate((one.events for one in batches), initial=0)))
    again = [(number, one) for number, one in enumerate(batches) if one.kind != "new"]
    if not again:
        return []
    found = connection.execute(
        _SQL["discarded"],
        {"numbers": [number for number, _ in again], **_ranges([one for _, one in again])},
    )
    return [begins[number] + place for number, place in found]


def beat(connection: psycopg.Connection[Any], batches: Sequence[Batch]) -> bool:
    """Keep batches; False where one of them is another worker's by now."""
    done = connection.execute(_SQL["beat"], {**_named(batches), "lease": LEASE})
    return done.rowcount == len(batches)


def unasked(connection: psycopg.Connection[Any], pids: Sequence[int]) -> list[tuple[Any, ...]]:
    """Of sessions that owe somebody an answer, those that know of no question.

    Where the same comes again and again, the question or the answer got lost on its way.
    """
    return connection.execute(_SQL["unasked"], {"pids": list(pids)}).fetchall()


def finish(
    connection: psycopg.Connection[Any],
    pipeline: Pipeline,
    batches: Sequence[Batch],
    outcome: Outcome,
    *,
    status: str = "succeeded",
) -> None:
    """Finish batches: the last write of the transaction that has their rows.

    Raises:
        Fenced: One of them is another worker's: roll back.
    """
    places = list(_places(batches))
    if status == "succeeded":
        _book(connection, pipeline, batches, outcome)
    counts: dict[str, list[int]] = {}
    for name, events in (
        ("dropped", outcome.dropped),
        ("failed", outcome.failures),
        ("older", outcome.older),
    ):
        by_batch = [0] * len(batches)
        for event in events:
            by_batch[places[event][0]] += 1
        counts[name] = by_batch
    done = connection.execute(
        _SQL["finish"],
        {
            **_named(batches),
            **counts,
            "statuses": [status] * len(batches),
            "load_id": outcome.load_id,
        },
    )
    if done.rowcount != len(batches):
        raise Fenced(
            f"{pipeline.name}: another worker has taken over what this one had claimed, because "
            "its lease was over. What this one did was rolled back.",
            code="fenced",
        )


def _book(
    connection: psycopg.Connection[Any],
    pipeline: Pipeline,
    batches: Sequence[Batch],
    outcome: Outcome,
) -> None:
    """Write what became of events that are not what their batch is, or were."""
    again = [one for one in batches if one.kind != "new"]
    healed = set(connection.execute(_SQL["heal_events"], _ranges(again)) if again else ())
    _write_failures(connection, pipeline, batches, outcome.failures, "failed")
    if not again:
        return
    places = _places(batches)
    dropped = {places[event][1:] for event in outcome.dropped}
    ranges = _ranges(again)
    for name, found in (("drop_healed", dropped & healed), ("recount", dropped)):
        of = {"chunks": [chunk for chunk, _ in found], "places": [pos for _, pos in found]}
        connection.execute(_SQL[name], {**ranges, "of_chunks": ranges["chunks"], **of})


def put_back(
    connection: psycopg.Connection[Any], batches: Sequence[Batch], error: str, wait: float
) -> None:
    """Give batches back, to be tried again after some seconds; the attempt does not count."""
    connection.execute(
        _SQL["put_back"], {**_named(batches), "error": error[:4000], "wait": max(wait, 0.0)}
    )


def let_go(connection: psycopg.Connection[Any], pipeline: str, worker: str) -> None:
    """End the leases of a worker whose process is known to have ended."""
    connection.execute(_SQL["let_go"], {"pipeline": pipeline, "worker": worker})


def regain(connection: psycopg.Connection[Any], pipeline: str, worker: str) -> None:
    """Give back what a worker had claimed before its connection broke; the attempts do not count.

    Called by that worker itself, on a new connection.
    """
    end_own(connection, pipeline, worker)
    connection.execute(_SQL["regain"], {"pipeline": pipeline, "worker": worker})


def end_own(connection: psycopg.Connection[Any], pipeline: str, worker: str) -> None:
    """End the session in which a worker loaded before it was cut off, where it waits for it."""
    connection.execute(_SQL["end_own"], {"pipeline": pipeline, "worker": worker})


def waiting(connection: psycopg.Connection[Any], pipeline: str) -> tuple[int, int, datetime | None]:
    """Batches and events that wait or are worked on, and when the next is due."""
    row = connection.execute(_SQL["waiting"], {"pipeline": pipeline}).fetchone()
    assert row is not None  # noqa: S101  an aggregate gives one row
    return int(row[0]), int(row[1]), row[2]


def _places(batches: Sequence[Batch]) -> list[tuple[int, int, int]]:
    """Of each event: the number of its batch in the list, chunk and position."""
    return [
        (number, one.chunk, pos)
        for number, one in enumerate(batches)
        for pos in range(one.pos_from, one.pos_to)
    ]


def _write_failures(
    connection: psycopg.Connection[Any],
    pipeline: Pipeline,
    batches: Sequence[Batch],
    failures: Mapping[int, Failure],
    status: str,
) -> None:
    if not failures:
        return
    places = _places(batches)
    # Two batches may hold one event: it was replayed twice, or replayed and requeued.
    failed = {places[event][1:]: why for event, why in failures.items()}
    connection.execute(
        _SQL["fail_events"],
        {
            "pipeline": pipeline.name,
            "status": status,
            "attempts": max(one.attempts for one in batches),
            "chunks": [chunk for chunk, _ in failed],
            "places": [pos for _, pos in failed],
            "codes": [one.code for one in failed.values()],
            "reasons": [one.reason[:4000].replace("\0", "") for one in failed.values()],
        },
    )


def _ranges(batches: Sequence[Batch]) -> dict[str, list[int]]:
    return {
        "chunks": [one.chunk for one in batches],
        "froms": [one.pos_from for one in batches],
        "tos": [one.pos_to for one in batches],
    }


def _named(batches: Sequence[Batch]) -> dict[str, list[int]]:
    return {
        "ids": [one.batch_id for one in batches],
        "tokens": [one.token for one in batches],
    }
