"""Writes what runs and loads did, in three transactions. Not for: the rejects (`rejects`)."""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from penstock.model.result import LoadResult
from penstock.model.table import TableName
from penstock.postgres.encodings import holdable
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "ledger.sql")
#: Characters of an error message that are kept.
_ERROR_LENGTH = 4000


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run in the ledger, and the loads in it.

    Attributes:
        run_id: Its id.
        kind: `load`, `load-star` or `clear`.
        command: What was asked for, without secrets.
        part_of: The run of the flow that it belongs to, where that is in the same ledger.
        job: The flow's job.
        pipeline: Whose worker or check it is, where it is one.
    """

    kind: str
    command: str = ""
    part_of: str | None = None
    job: str = ""
    pipeline: str = ""
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def begin_run(connection: psycopg.Connection[Any], run: RunRecord, target: str) -> None:
    """Record the run, and mark earlier runs whose backend is gone as interrupted.

    Args:
        connection: The data's own, before its transaction: its backend is recorded.
        run: The run.
        target: `user@host:port/database`.
    """
    connection.execute(_SQL["mark_interrupted"], {"own": [run.run_id]})
    connection.execute(
        _SQL["begin_run"],
        {
            "run_id": run.run_id,
            "kind": run.kind,
            "command": holdable(connection, run.command),
            "target": holdable(connection, target),
            "host": holdable(connection, platform.node()),
            "process": os.getpid(),
            "version": version("penstock"),
            "part_of": run.part_of,
            "job": holdable(connection, run.job),
        },
    )


def begin_load(
    connection: psycopg.Connection[Any],
    run: RunRecord,
    load_id: str,
    *,
    table: TableName,
    mode: str,
    sources: Sequence[str],
    options: Mapping[str, Any] | None = None,
) -> None:
    """Record a load of the run; `options` say how values are written, as for `load_table`."""
    connection.execute(
        _SQL["begin_load"],
        {
            "load_id": load_id,
            "run_id": run.run_id,
            "schema": table.schema,
            "table": table.table,
            "mode": mode,
            "sources": [holdable(connection, source) for source in sources],
            "options": json.dumps(options or {}),
        },
    )


def finish_load(
    connection: psycopg.Connection[Any],
    result: LoadResult,
    status: str,
    error: str | None = None,
) -> bool:
    """Write the load's counts; in the transaction of the data when it succeeds.

    Returns:
        False where the load was finished before: a commit is not taken back by what comes after.

    Raises:
        psycopg.errors.CheckViolation: The books do not balance.
    """
    cursor = connection.execute(
        _SQL["finish_load"],
        {
            "load_id": result.load_id,
            "status": status,
            "seconds": result.seconds,
            "read": result.read,
            "inserted": result.inserted,
            "updated": result.updated,
            "unchanged": result.unchanged,
            "deleted": result.deleted,
            "inferred": result.inferred,
            "ignored": result.ignored,
            "filtered": result.filtered,
            "quarantined": result.quarantined,
            "changes": Jsonb(dict(result.changes)),
            "skipped": [holdable(connection, one) for one in result.skipped],
            "strategy": holdable(connection, result.strategy),
            "error": _kept(connection, error),
        },
    )
    return cursor.rowcount == 1


def finish_run(
    connection: psycopg.Connection[Any], run: RunRecord, status: str, error: str | None = None
) -> None:
    """Write the run's outcome."""
    connection.execute(
        _SQL["finish_run"],
        {
            "run_id": run.run_id,
            "status": status,
            "error": _kept(connection, error),
        },
    )


def _kept(connection: psycopg.Connection[Any], error: str | None) -> str | None:
    return None if error is None else holdable(connection, error)[:_ERROR_LENGTH]


def lock_load(connection: psycopg.Connection[Any], load_id: str) -> None:
    """Hold the load's advisory lock until the transaction ends."""
    connection.execute(_SQL["lock_load"], {"load_id": load_id})


def status_of(connection: psycopg.Connection[Any], load_id: str) -> str | None:
    """What the ledger says of a load, once the transaction that may still commit it is gone.

    Args:
        connection: Another connection than the data's, inside a transaction.
        load_id: The load.
    """
    lock_load(connection, load_id)
    row = connection.execute(_SQL["load_status"], {"load_id": load_id}).fetchone()
    return None if row is None else str(row[0])
