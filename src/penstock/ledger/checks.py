"""What quality checks found, in the ledger. Not for: trying them (`penstock.quality`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from penstock.ledger.quarantine import KEPT_DAYS
from penstock.ledger.runs import RunRecord
from penstock.model.checked import CheckResult
from penstock.model.table import TableName
from penstock.postgres.encodings import holdable
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "checks.sql")


def write(
    connection: psycopg.Connection[Any],
    run: RunRecord,
    table: TableName,
    results: Sequence[CheckResult],
    *,
    load_id: str | None = None,
) -> None:
    """Keep results.

    Args:
        connection: Within a transaction, where they are to share one.
        run: Whose, with the name of its pipeline.
        table: That was checked, or into which was loaded.
        results: Of a load those that are not as declared: workers commit many loads a second.
        load_id: Of the load whose rows were checked; None: the table was.
    """
    if not results:
        return
    connection.cursor().executemany(
        _SQL["write"],
        [
            {
                "run_id": run.run_id,
                "load_id": load_id,
                "pipeline": run.pipeline or None,
                "schema": table.schema,
                "table": table.table,
                "name": holdable(connection, one.name),
                "columns": list(one.columns),
                "severity": one.severity,
                "outcome": one.outcome,
                "figure": one.figure,
                "bound": one.bound,
                "rows": one.rows,
                "wrong": one.wrong,
                "examples": [holdable(connection, example) for example in one.examples],
                "reason": holdable(connection, one.reason),
            }
            for one in results
        ],
    )


def of_run(
    connection: psycopg.Connection[Any], run_id: str, loads: Sequence[str] = ()
) -> list[tuple[TableName, CheckResult]]:
    """What is kept of a run or of loads, in the order in which it was found: table and result.

    Args:
        connection: To the ledger.
        run_id: The run.
        loads: Loads of runs that are a part of it.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_SQL["kept"], {"run_id": run_id, "loads": list(loads)}).fetchall()
    kept = []
    for row in found:
        table = TableName(row.pop("schema_name"), row.pop("table_name"))
        row |= {name: tuple(row[name]) for name in ("columns", "examples")}
        kept.append((table, CheckResult(**row)))
    return kept


def purge(connection: psycopg.Connection[Any], days: int = KEPT_DAYS) -> int:
    """Delete results that are older than so many days; the role may, as for rejects."""
    return connection.execute(_SQL["purge"], {"days": days}).rowcount
