"""Starts of flows that are due: who has each of them, and what came of it.

Not for: when they are due (`schedule`), nor what the flows do (`flows`).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from penstock.ledger.flows import FlowRun
from penstock.postgres.encodings import holdable
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "schedules.sql")
#: Seconds without a sign of life after which another scheduler sees to a start.
LEASE = 90.0


@dataclass(frozen=True, slots=True)
class Due:
    """A start of a flow.

    Attributes:
        flow: Project and main, such as `shop/main`.
        at: When it is due.
    """

    flow: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Stale:
    """A start that was claimed and never begun.

    Attributes:
        due: Which.
        claim: Whose it was.
        overtaken: True where a later start of the flow was begun since.
    """

    due: Due
    claim: str
    overtaken: bool


@dataclass(frozen=True, slots=True)
class Started:
    """What became of a start.

    Attributes:
        due: Which.
        status: `claimed`, `running`, `ended`, `skipped` or `lost`.
        missed: How many starts before it nobody saw to.
        started_at: When the flow began.
        finished_at: When its process ended.
        exit_code: Of its process.
        run_id: The run in the ledger.
        note: More, for people.
    """

    due: Due
    status: str
    missed: int
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    run_id: str | None
    note: str | None


def watch(connection: psycopg.Connection[Any], flow: str, since: datetime) -> None:
    """From this moment on the flow's starts count, where they do not yet."""
    connection.execute(_SQL["watch"], {"flow": flow, "since": since})


def last_due(connection: psycopg.Connection[Any], flows: Sequence[str]) -> dict[str, datetime]:
    """The last start of each flow that somebody has seen to."""
    return dict(connection.execute(_SQL["last_due"], {"flows": list(flows)}).fetchall())


def claim(connection: psycopg.Connection[Any], due: Due, claim: str, missed: int = 0) -> bool:
    """Take a start; False where another scheduler has it, or a later one.

    Args:
        connection: In autocommit.
        due: Which.
        claim: A new UUID, by which the flow begins it.
        missed: How many starts before it nobody saw to.
    """
    said = _mine(due) | {"status": "claimed", "missed": missed, "claim": claim, "note": None}
    return connection.execute(_SQL["claim"], said).fetchone() is not None


def skip(connection: psycopg.Connection[Any], due: Due, missed: int, note: str) -> bool:
    """Book that a start is left out; False where another scheduler has seen to it."""
    said = _mine(due) | {"status": "skipped", "missed": missed, "claim": None, "note": note}
    return connection.execute(_SQL["claim"], said).fetchone() is not None


def confirm(connection: psycopg.Connection[Any], run: FlowRun, claim: str) -> bool:
    """The flow begins this start; False where it belongs to another claim by now."""
    said = {"flow": run.flow, "run_id": run.run_id, "claim": claim}
    return connection.execute(_SQL["confirm"], said).fetchone() is not None


def beat(connection: psycopg.Connection[Any], claims: Sequence[str]) -> None:
    """Show that the scheduler of these lives."""
    connection.execute(_SQL["beat"], {"claims": list(claims)})


def finish(
    connection: psycopg.Connection[Any],
    claim: str,
    exit_code: int,
    *,
    started_at: datetime,
    finished_at: datetime,
    note: str | None = None,
) -> None:
    """Write how the flow's process ended."""
    connection.execute(
        _SQL["finish"],
        {
            "claim": claim,
            "exit_code": exit_code,
            "started_at": started_at,
            "finished_at": finished_at,
            "note": None if note is None else holdable(connection, note),
        },
    )


def stale(connection: psycopg.Connection[Any], flows: Sequence[str]) -> list[Stale]:
    """Starts that were claimed by a scheduler that is gone, and never begun."""
    said = {"flows": list(flows), "seconds": LEASE}
    rows = connection.execute(_SQL["stale"], said).fetchall()
    return [Stale(Due(flow, at), claim, overtaken) for flow, at, claim, overtaken in rows]


def take_over(
    connection: psycopg.Connection[Any], gone: Stale, claim: str | None, note: str
) -> bool:
    """See to a stale start; False where another scheduler was quicker, or the flow has begun it.

    Args:
        connection: In autocommit.
        gone: Which.
        claim: A new UUID, to begin it; None: it is left out.
        note: Why.
    """
    said = _mine(gone.due) | {
        "claim": claim,
        "earlier": gone.claim,
        "status": "skipped" if claim is None else "claimed",
        "note": note,
    }
    return connection.execute(_SQL["take_over"], said).fetchone() is not None


def give_up(connection: psycopg.Connection[Any], flows: Sequence[str]) -> list[Due]:
    """Mark flows as lost that run on without a scheduler, or ended so; gives them."""
    said = {"flows": list(flows), "seconds": LEASE}
    return [Due(*row) for row in connection.execute(_SQL["give_up"], said).fetchall()]


def starts(
    connection: psycopg.Connection[Any], flows: Sequence[str], limit: int = 20
) -> list[Started]:
    """What became of the last starts, the newest first."""
    rows = connection.execute(_SQL["starts"], {"flows": list(flows), "limit": limit}).fetchall()
    return [Started(Due(flow, at), *rest) for flow, at, *rest in rows]


def _mine(due: Due) -> dict[str, Any]:
    where = {"host": platform.node(), "process": os.getpid()}
    return {"flow": due.flow, "due_at": due.at} | where
