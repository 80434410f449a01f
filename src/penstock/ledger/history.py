"""Reads the runs and loads of the ledger. Not for: writing them (`runs`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from penstock.errors import TargetError, UsageError
from penstock.ledger import install
from penstock.model.table import TableName
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "history.sql")
_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]{0,35}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run as the ledger knows it, with the sums of its loads.

    Attributes:
        run_id: Its id.
        kind: `load`, `load-star`, `unit`, `flow` ...
        command: What was asked for, without secrets; may be empty.
        status: `running`, `succeeded`, `failed`, `interrupted`, `dry_run`. A run whose backend
            is gone is `interrupted`, also where nobody has written that down yet.
        started_at: When it began.
        finished_at: When it ended; None while it runs, or where nobody knows.
        target: `user@host:port/database`.
        host: The machine it ran on.
        process: Its process there.
        backend_pid: Its backend on the server.
        version: Penstock's.
        error: Why it failed.
        seconds: How long it took, or has run.
        tables: Its tables, in their order.
        read: Records read.
        inserted: Rows inserted.
        updated: Rows updated.
        unchanged: Rows that were there, equal.
        ignored: Rows left alone.
        filtered: Wholly blank records.
        deleted: Rows removed or marked.
        quarantined: Rows refused.
        jobs: Of a flow, in their order: `job`, `status`, `attempts`, `read`, `loaded`, `refused`,
            `dropped`, `error`.
    """

    run_id: str
    kind: str
    command: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    target: str
    host: str
    process: int | None
    backend_pid: int | None
    version: str
    error: str | None
    seconds: float
    tables: list[str]
    read: int
    inserted: int
    updated: int
    unchanged: int
    ignored: int
    filtered: int
    deleted: int
    quarantined: int
    jobs: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReason:
    """Why rows of a load were refused, as far as they are kept.

    Attributes:
        column: The target column; empty where the whole row is at fault.
        code: An SQLSTATE or a rule name.
        rows: How many; of a load that was rolled back the first thousand are kept.
        reason: Of the first of them.
        source: Its input.
        line: Its physical line, from 1; 0 where there is none.
        record: Its record, from 1.
    """

    column: str
    code: str
    rows: int
    reason: str
    source: str
    line: int
    record: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLoad:
    """A load as the ledger knows it.

    Attributes:
        load_id: Its id.
        table: Its table.
        mode: The load mode.
        status: As of `PastRun`.
        sources: Names of its inputs.
        seconds: How long it took; None where it did not end.
        counts: `read`, `inserted`, `updated`, `unchanged`, `ignored`, `filtered`, `quarantined`,
            `deleted`, `inferred`.
        changes: Values changed because the user said so.
        skipped: Files skipped because their content was loaded before.
        strategy: How it was carried out.
        error: Why it failed.
        reasons: Why rows were refused, commonest first.
    """

    load_id: str
    table: TableName
    mode: str
    status: str
    sources: tuple[str, ...]
    seconds: float | None
    counts: dict[str, int]
    changes: dict[str, int]
    skipped: tuple[str, ...]
    strategy: str
    error: str | None
    reasons: tuple[KeptReason, ...]


#: The counts of a load, the equation's first.
COUNTS = (
    *("read", "inserted", "updated", "unchanged", "ignored", "filtered", "quarantined"),
    *("deleted", "inferred"),
)


def require_ledger(connection: psycopg.Connection[Any]) -> None:
    """Make sure that there is a ledger to read, and that this role may.

    Raises:
        TargetError: It is not installed, not readable, or of an older Penstock.
    """
    try:
        found = install.revision(connection)
    except psycopg.errors.InsufficientPrivilege:
        raise TargetError(
            "This role may not read the penstock schema. Grant it a reader's rights: "
            "penstock roles --reader ROLE.",
            code="42501",
        ) from None
    if not found["there"]:
        raise TargetError(
            "The ledger (schema penstock) is not installed in this database. The first load "
            "installs it, or: penstock migrate.",
            code="3F000",
        )
    install.require_current(found)


def runs(connection: psycopg.Connection[Any], limit: int = 20) -> list[PastRun]:
    """The last runs, the newest first."""
    return _runs(connection, None, limit)


def run(connection: psycopg.Connection[Any], prefix: str) -> PastRun:
    """The run whose id begins so, or that has a load whose id does.

    Raises:
        UsageError: There is none, or more than one.
    """
    wanted = prefix_of(prefix)
    found = [row[0] for row in connection.execute(_SQL["run_ids"], {"prefix": wanted})]
    if not found:
        raise UsageError(f"No run has an id that begins with {wanted}: see penstock runs.")
    if len(found) > 1:
        raise UsageError(
            f"{wanted} begins the ids of several runs: {', '.join(found[:5])}"
            f"{' and others' if len(found) > 5 else ''}. Write more of it."
        )
    return _runs(connection, found, 1)[0]


def loads(connection: psycopg.Connection[Any], past: PastRun) -> list[PastLoad]:
    """The loads of a run, in their order."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_SQL["loads"], {"run_id": past.run_id}).fetchall()
    cut = past.status == "interrupted"
    return [
        PastLoad(
            load_id=row["load_id"],
            table=TableName(row["schema_name"], row["table_name"]),
            mode=row["mode"],
            status="interrupted" if cut and row["status"] == "running" else row["status"],
            sources=tuple(row["sources"]),
            seconds=row["seconds"],
            counts={name: row[name] for name in COUNTS},
            changes=dict(row["changes"]),
            skipped=tuple(row["skipped"]),
            strategy=row["strategy"],
            error=row["error"],
            reasons=_reasons(connection, row["load_id"]),
        )
        for row in rows
    ]


def interrupted(connection: psycopg.Connection[Any]) -> list[tuple[str, str, datetime]]:
    """Id, kind and start of runs whose backend is gone while they are said to run."""
    return connection.execute(_SQL["interrupted"]).fetchall()


def prefix_of(text: str) -> str:
    """The beginning of an id, in lower case.

    Raises:
        UsageError: No id begins so.
    """
    wanted = text.strip().lower()
    if not _PREFIX.fullmatch(wanted):
        raise UsageError(
            f'"{text}" is not the beginning of an id, such as 3f2a91: see penstock runs.'
        )
    return wanted


def _runs(
    connection: psycopg.Connection[Any], run_ids: list[str] | None, limit: int
) -> list[PastRun]:
    with connection.cursor(row_factory=class_row(PastRun)) as cursor:
        return cursor.execute(_SQL["runs"], {"run_ids": run_ids, "limit": limit}).fetchall()


def _reasons(connection: psycopg.Connection[Any], load_id: str) -> tuple[KeptReason, ...]:
    with connection.cursor(row_factory=class_row(KeptReason)) as cursor:
        return tuple(cursor.execute(_SQL["reasons"], {"load_id": load_id}).fetchall())
