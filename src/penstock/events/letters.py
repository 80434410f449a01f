"""Events that are not in their target: listed, shown, worked on again, discarded.

Not for: the work (`worker`), nor the rows that were refused of them (`penstock rejects`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from penstock.errors import UsageError
from penstock.events.staging import CHANNEL
from penstock.postgres.queries import queries

_SQL = queries("penstock.events.sql", "listing.sql")
_TAKE_FROM_WORKERS = queries("penstock.events.sql", "forget.sql")["take_from_workers"]
_PLACE = re.compile(r"(\d{1,18})/(\d{1,9})")
#: What `events list` shows where nothing is said.
OPEN = ("failed", "dead")
STATUSES = ("failed", "dead", "discarded")


@dataclass(frozen=True, slots=True)
class SourceBalance:
    """Where the events of one source are: `received` is the sum of those after it.

    Attributes:
        pipeline: Its pipeline.
        source: Its name.
        received: Messages.
        repeated: Of them, such as had been received before.
        waiting: Wait for a worker, or are worked on.
        loaded: Made rows that the target took.
        dropped: The transform made no row of them, or somebody discarded them.
        failed: The transform or the target refused them.
        dead: Ended the process that worked on them.
        balanced: The equation holds.
    """

    pipeline: str
    source: str
    received: int
    repeated: int
    waiting: int
    loaded: int
    dropped: int
    failed: int
    dead: int
    balanced: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """Why events of one source, of one version of their schema, are not in the target.

    Attributes:
        pipeline: Its pipeline.
        source: The source.
        status: `failed` or `dead`.
        code: The rule, or an SQLSTATE.
        schema_version: Theirs; None: they say none, or their source declares no path to it.
        events: How many.
        first: When the first of them was met.
        last: When the last one was.
        reason: Of the last one.
        example: The last one: CHUNK/POSITION.
    """

    pipeline: str
    source: str
    status: str
    code: str
    schema_version: str | None
    events: int
    first: datetime
    last: datetime
    reason: str
    example: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One event that is not in its target.

    Attributes:
        chunk: The commit of intake it came with.
        pos: Its position there.
        pipeline: Its pipeline.
        source: Its source.
        status: `failed`, `dead` or `discarded`.
        attempts: How often it was worked on.
        code: Why, as a rule or an SQLSTATE.
        reason: Why, in plain words.
        changed_at: When that was found.
    """

    chunk: int
    pos: int
    pipeline: str
    source: str
    status: str
    attempts: int
    code: str
    reason: str
    changed_at: datetime

    @property
    def place(self) -> str:
        """How it is named: CHUNK/POSITION."""
        return f"{self.chunk}/{self.pos}"


def balances(
    connection: psycopg.Connection[Any], pipeline: str | None = None
) -> list[SourceBalance]:
    """The equation of each source."""
    found = connection.execute(_SQL["balance"], {"pipeline": pipeline})
    return [SourceBalance(*row) for row in found]


def reasons(connection: psycopg.Connection[Any], pipeline: str | None = None) -> list[Reason]:
    """Why events are not in their targets, the commonest first."""
    found = connection.execute(_SQL["reasons"], {"pipeline": pipeline})
    return [Reason(*row) for row in found]


def letters(
    connection: psycopg.Connection[Any],
    *,
    pipeline: str | None = None,
    statuses: Sequence[str] = OPEN,
    code: str | None = None,
    places: Sequence[tuple[int, int]] | None = None,
    limit: int | None = 20,
) -> list[Letter]:
    """Events that are not in their target, the newest first.

    Args:
        connection: Any.
        pipeline: Of this one only.
        statuses: Which; default: those that wait for somebody.
        code: Of this reason only.
        places: These only.
        limit: At most so many.
    """
    found = connection.execute(
        _SQL["listed"],
        {
            "pipeline": pipeline,
            "statuses": list(statuses),
            "code": code,
            "limit": limit,
            **_columns(places),
        },
    )
    return [Letter(*row) for row in found]


def find(connection: psycopg.Connection[Any], named: str) -> list[tuple[int, int]]:
    """The places of an event: CHUNK/POSITION, or its id, which may have come in many versions.

    Raises:
        UsageError: There is no such event.
    """
    match = _PLACE.fullmatch(named)
    if match is not None:
        place = (int(match[1]), int(match[2]))
        if show(connection, place) is not None:
            return [place]
    found = connection.execute(_SQL["delivered"], {"id": named}).fetchall()
    if not found:
        raise UsageError(
            f'No event is called "{named}": give its id as the source has it, or CHUNK/POSITION as '
            "penstock events list shows it."
        )
    return [(int(chunk), int(pos)) for chunk, pos in found]


def show(connection: psycopg.Connection[Any], place: tuple[int, int]) -> dict[str, Any] | None:
    """One event: `chunk`, `pos`, `pipeline`, `source`, `delivery_id`, `received_at`, `status`,
    `attempts`, `processed_at`, `last_error`, `schema_version`, `raw` (bytes) and `encrypted`
    (whether fields of it are); None where it is no more in staging.
    """  # noqa: D205  a list of names is longer than a line
    with connection.cursor() as cursor:
        cursor.execute(_SQL["found"], {"chunk": place[0], "pos": place[1]})
        row = cursor.fetchone()
        names = [one.name for one in cursor.description or ()]
    return None if row is None else dict(zip(names, row, strict=True))


def requeue(connection: psycopg.Connection[Any], chosen: Sequence[Letter]) -> int:
    """Let workers try events again; gives how many, those left out that are about to be."""
    places = _columns([(one.chunk, one.pos) for one in chosen])
    with connection.transaction():
        connection.execute(_SQL["take_back"], places)
        connection.execute(_SQL["hold"], places)
        done = connection.execute(_SQL["requeue"], places)
    for name in {one.pipeline for one in chosen}:
        connection.execute("select pg_notify(%s, %s)", [CHANNEL, name])
    return done.rowcount


def discard(connection: psycopg.Connection[Any], chosen: Sequence[Letter], note: str) -> int:
    """Leave events out for good; they stay in staging as long as all others. Gives how many.

    Who works on one again just now cannot finish: no replay makes a row of it.
    """
    of = _columns([(one.chunk, one.pos) for one in chosen])
    with connection.transaction():
        done = connection.execute(_SQL["discard"], {**of, "note": note}).rowcount
        connection.execute(_TAKE_FROM_WORKERS, of)
    return done


def _columns(places: Sequence[tuple[int, int]] | None) -> dict[str, list[int] | None]:
    if places is None:
        return {"chunks": None, "places": None}
    return {"chunks": [chunk for chunk, _ in places], "places": [pos for _, pos in places]}
