"""What the planner is told of a load's tables. Not for: when a load is done (`loading`)."""

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
#: A table that is so many times larger than the stage is better looked up in than read whole:
#: measured in memory, 50,000 rows are looked up among 1,000,000 in 0.08 to 0.32 s, and joined by a
#: hash of them in 0.5 to 0.6 s.
_LARGER = 16
_BYTES = """
select sum(pg_relation_size(one)) >= %(times)s * pg_relation_size(%(stage)s::regclass)
from (
  select %(table)s::oid::regclass union select relid from pg_partition_tree(%(table)s::oid)
) t(one)
"""


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


def small_beside(
    connection: psycopg.Connection[Any], stage: sql.Identifier, spec: TableSpec
) -> bool:
    """True where a stage is so small beside the table that looking its keys up is the better way.

    The planner takes another one: nobody has analyzed the stage, and it takes a page that is looked
    up for four times as dear as one of a scan, as if it were on a disk that turns.

    Args:
        connection: Any.
        stage: The staging table, with its rows.
        spec: The table; of a partitioned one all partitions count.
    """
    of = {"times": _LARGER, "stage": stage.as_string(connection), "table": spec.oid}
    row = connection.execute(_BYTES, of).fetchone()
    return row is not None and bool(row[0])
