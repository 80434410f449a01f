"""Writes what flows do, and reads it again. Not for: loads (`runs`), nor mails (`outbox`)."""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import Any

import psycopg

from penstock.errors import UsageError
from penstock.postgres.encodings import holdable
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "flows.sql")
#: Seconds without a sign of life after which a flow's lease can be taken.
LEASE = 90.0
#: Characters of an error message that are kept.
_ERROR_LENGTH = 4000


@dataclass(frozen=True, slots=True)
class FlowRun:
    """A run of a flow.

    Attributes:
        flow: Project and main, such as `shop/main`.
        run_id: Its id.
    """

    flow: str
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a flow.

    Attributes:
        run_id: Its run.
        host: Where it runs.
        process: Its process there.
        since: When it began.
        alive: False where nothing was heard of it for `LEASE` seconds.
    """

    run_id: str
    host: str
    process: int
    since: datetime
    alive: bool


@dataclass(slots=True, kw_only=True)
class JobRecord:
    """What became of a job.

    Attributes:
        number: Its place in the run, from 1.
        job: Its name.
        status: `running`, `succeeded`, `failed` or `skipped`.
        extracted: Rows that it read.
        loaded: Rows that its loads took: inserted, updated, unchanged or ignored.
        rejected: Rows that they refused.
        dropped: Rows that reached no load.
        details: More, for people.
        error: Why it failed or was skipped.
    """

    number: int
    job: str
    status: str = "running"
    extracted: int = 0
    loaded: int = 0
    rejected: int = 0
    dropped: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


def begin_run(connection: psycopg.Connection[Any], run: FlowRun, target: str) -> None:
    """Record the run, once it has the flow's lease; earlier ones that never ended are closed."""
    connection.execute(_SQL["close_interrupted"], {"flow": run.flow, "run_id": run.run_id})
    connection.execute(
        _SQL["begin_run"],
        {
            "run_id": run.run_id,
            "command": holdable(connection, run.flow),
            "target": holdable(connection, target),
            "host": holdable(connection, platform.node()),
            "process": os.getpid(),
            "version": version("penstock"),
        },
    )


def finish_run(
    connection: psycopg.Connection[Any], run: FlowRun, status: str, error: str | None
) -> None:
    """Write the run's outcome."""
    said = {"run_id": run.run_id, "status": status, "error": _kept(connection, error)}
    connection.execute(_SQL["finish_run"], said)


def take(connection: psycopg.Connection[Any], run: FlowRun, dead: str | None = None) -> bool:
    """Take the flow's lease; False where another run has it.

    Args:
        connection: In autocommit.
        run: Who wants it.
        dead: The run of a holder that is known to live no more.
    """
    said = {
        "flow": run.flow,
        "run_id": run.run_id,
        "host": platform.node(),
        "process": os.getpid(),
        "dead": dead,
        "seconds": LEASE,
    }
    return connection.execute(_SQL["take"], said).fetchone() is not None


def holder(connection: psycopg.Connection[Any], flow: str) -> Holder | None:
    """Who has the flow now."""
    row = connection.execute(_SQL["holder"], {"flow": flow, "seconds": LEASE}).fetchone()
    return None if row is None or row[0] is None else Holder(*row)


def beat(connection: psycopg.Connection[Any], run: FlowRun) -> bool:
    """Show that the run lives; False where it has lost the lease."""
    said = {"flow": run.flow, "run_id": run.run_id}
    return connection.execute(_SQL["beat"], said).rowcount == 1


def give_back(connection: psycopg.Connection[Any], run: FlowRun) -> None:
    """Give the lease back."""
    connection.execute(_SQL["give_back"], {"flow": run.flow, "run_id": run.run_id})


def begin_job(connection: psycopg.Connection[Any], run: FlowRun, job: JobRecord) -> None:
    """Record a job before its work, or that it is skipped; called again for another attempt."""
    connection.execute(
        _SQL["begin_job"],
        {
            "run_id": run.run_id,
            "number": job.number,
            "job": holdable(connection, job.job),
            "status": job.status,
            "error": _kept(connection, job.error),
        },
    )


def finish_job(connection: psycopg.Connection[Any], run: FlowRun, job: JobRecord) -> None:
    """Write what came of a job."""
    connection.execute(
        _SQL["finish_job"],
        {
            "run_id": run.run_id,
            "number": job.number,
            "status": job.status,
            "extracted": job.extracted,
            "loaded": job.loaded,
            "rejected": job.rejected,
            "dropped": job.dropped,
            "details": json.dumps(job.details, default=str),
            "error": _kept(connection, job.error),
        },
    )


def close_job(connection: psycopg.Connection[Any], run: FlowRun, job: JobRecord) -> None:
    """Write the end of a job whose own process ended before it could."""
    said = {"run_id": run.run_id, "number": job.number, "job": holdable(connection, job.job)}
    said |= {"status": job.status, "error": _kept(connection, job.error)}
    connection.execute(_SQL["close_job"], said)


def done_jobs(connection: psycopg.Connection[Any], flow: str, run_id: str) -> dict[str, str]:
    """Jobs that an earlier run of the flow has done, each with the run that did it.

    Args:
        connection: To the ledger.
        flow: Which flow.
        run_id: The run, or how its id begins.

    Raises:
        UsageError: No run of this flow is meant, or several.
    """
    found = connection.execute(_SQL["runs_named"], {"flow": flow, "run_id": run_id}).fetchall()
    if len(found) != 1:
        which = "several runs" if found else "no run"
        raise UsageError(
            f"--resume: there {'are' if found else 'is'} {which} of {flow} whose id begins with "
            f"{run_id!r}: see penstock runs"
        )
    return dict(connection.execute(_SQL["done_jobs"], {"run_id": found[0][0]}).fetchall())


def details_of(connection: psycopg.Connection[Any], run_id: str, job: str) -> list[dict[str, Any]]:
    """What a run has noted of a job that it has done; of each, where it has several of the name."""
    found = connection.execute(_SQL["details_of"], {"run_id": run_id, "job": job})
    return [details or {} for (details,) in found]


def last_success(connection: psycopg.Connection[Any], flow: str) -> datetime | None:
    """When the flow succeeded last."""
    row = connection.execute(_SQL["last_success"], {"flow": flow}).fetchone()
    return None if row is None else row[0]


def cursor(connection: psycopg.Connection[Any], flow: str, name: str) -> Any:
    """How far a source has been read; None where it was not yet."""
    row = connection.execute(_SQL["cursor"], {"flow": flow, "name": name}).fetchone()
    return None if row is None else row[0]


def move_cursor(connection: psycopg.Connection[Any], run: FlowRun, name: str, value: Any) -> None:
    """A source has been read up to here; in the transaction of what was read, where it is one."""
    said = {"flow": run.flow, "name": name, "value": json.dumps(value, default=str)}
    connection.execute(_SQL["move_cursor"], said | {"run_id": run.run_id})


def part_of(
    connection: psycopg.Connection[Any], run: FlowRun, job: str, runs: Sequence[str]
) -> None:
    """These runs of loads belong to a job of the flow's run."""
    said = {"flow_run": run.run_id, "job": job, "runs": list(runs)}
    connection.execute(_SQL["part_of"], said)


def _kept(connection: psycopg.Connection[Any], error: str | None) -> str | None:
    return None if error is None else holdable(connection, error)[:_ERROR_LENGTH]
