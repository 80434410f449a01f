"""The planner's statistics after a load. Not for: when a load is done (`loading`)."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from penstock.model.table import TableSpec
from penstock.postgres.names import qualified

#: Fewer rows are left to autovacuum. With more it would come too late: a minute after the load, and
#: a plan made for the old contents can be very slow.
_FROM = 10_000
#: So are updates of a smaller share of the table: autovacuum looks again after a tenth.
_SHARE = 0.05


def worth_analyzing(
    connection: psycopg.Connection[Any], spec: TableSpec, inserted: int, updated: int
) -> bool:
    """True where plans made with the old statistics could be much worse.

    New rows may lie outside of what the histograms know (dates), so their number counts; updates
    count by their share of the rows that the last ANALYZE found.

    Args:
        connection: Any.
        spec: The table.
        inserted: New rows.
        updated: Changed ones.
    """
    if inserted + updated < _FROM or not spec.owned:
        return False
    if inserted >= _FROM:
        return True
    row = connection.execute(
        "select reltuples from pg_catalog.pg_class where oid = %s", [spec.oid]
    ).fetchone()
    known = -1.0 if row is None else float(row[0])
    return known < 0 or inserted + updated >= _SHARE * known


def analyze(connection: psycopg.Connection[Any], spec: TableSpec) -> None:
    """ANALYZE the table."""
    connection.execute(sql.SQL("analyze {}").format(qualified(spec.name)))
