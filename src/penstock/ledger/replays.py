"""Rejects that are tried again: found, held, closed. Not for: loading their rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import polars as pl
import psycopg

from penstock.ledger.quarantine import Selection, texts_of
from penstock.ledger.rejects import as_kept, waits
from penstock.ledger.rows import copy_rows
from penstock.model.batch import ROW
from penstock.model.table import TableName
from penstock.postgres.encodings import encoding_of, holdable
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "replays.sql")
_SELECTED = queries("penstock.ledger.sql", "quarantine.sql")["selected"]


@dataclass(frozen=True, slots=True)
class Replayable:
    """A reject as far as a replay needs it.

    Attributes:
        reject_id: Its number.
        table: The table that refused it.
        status: Of `quarantine.STATUSES`.
        values: Source column -> text, in the source's order; None where it could not be split.
        options: How the load that last met it was told to read: JSON of `load_table`'s options.
        has_key: True where the row's key is known.
        mode: Of the load that last met it.
        load_id: The load that met it first.
    """

    reject_id: int
    table: TableName
    status: str
    values: Mapping[str, str | None] | None
    options: str
    has_key: bool
    mode: str
    load_id: str


def replayable(connection: psycopg.Connection[Any], selection: Selection) -> list[Replayable]:
    """The rejects that are meant, in the order of their numbers."""
    parts: list[LiteralString] = [_SQL["sources"], _SELECTED, _SQL["sources_ordered"]]
    return _found(connection, parts, selection.parameters())


def awaiting(connection: psycopg.Connection[Any], table: TableName) -> list[Replayable]:
    """What waits for its parents in a table, in the order in which it came last."""
    parts: list[LiteralString] = [_SQL["sources"], _SQL["awaiting"]]
    return _found(connection, parts, {"schema": table.schema, "table": table.table})


def _found(
    connection: psycopg.Connection[Any], parts: list[LiteralString], said: Mapping[str, Any]
) -> list[Replayable]:
    return [
        Replayable(
            reject_id=row[0],
            table=TableName(row[1], row[2]),
            status=row[3],
            values=None if row[4] is None else texts_of(row[4]),
            options=row[5] or "{}",
            has_key=row[6],
            mode=row[7] or "",
            load_id=row[8],
        )
        for row in connection.execute("\n".join(parts), said)
    ]


def together(
    connection: psycopg.Connection[Any], ids: Sequence[int]
) -> list[tuple[TableName, str]]:
    """Tables of the loads of the runs that refused these rejects, and how each was told to read."""
    rows = connection.execute(_SQL["together"], {"ids": list(ids)}).fetchall()
    return [(TableName(schema, table), options) for schema, table, options in rows]


def hold(
    connection: psycopg.Connection[Any], ids: Sequence[int], *, free: bool = False
) -> set[int]:
    """Those of these rejects that wait, locked until the transaction ends.

    Args:
        connection: In the transaction of the data.
        ids: The rejects.
        free: True: those that another session holds are left out, instead of waited for.
    """
    lock = _SQL["lock_free" if free else "lock"]
    return {row[0] for row in connection.execute(lock, {"ids": list(ids)})}


def finish(
    connection: psycopg.Connection[Any],
    load_id: str,
    held: Mapping[int, int],
    refused: Iterable[pl.DataFrame],
    note: str,
    *,
    awaited: Collection[str] = (),
    by_itself: bool = False,
) -> tuple[int, int]:
    """Close what was loaded, and keep what was refused again waiting.

    Args:
        connection: In the transaction of the data.
        load_id: The load.
        held: `_row` -> the reject that it is.
        refused: Refused rows in the form of the spool.
        note: From where they were replayed.
        awaited: Columns whose missing parents the rows go on to wait for.
        by_itself: True where a load tries rows again by itself.

    Returns:
        How many were closed, and how many wait for their parents on.
    """
    waiting = 0
    connection.execute(_SQL["incoming"])
    encoding = encoding_of(connection)
    with (
        connection.cursor() as cursor,
        cursor.copy("copy pg_temp.penstock_refused_again from stdin") as copy,
    ):
        for frame in refused:
            rejects = [held[row] for row in frame[ROW]]
            rows = frame.select(
                pl.Series("reject", rejects, dtype=pl.Int64),
                *("columns", "codes", "reasons", "bad"),
                waits=waits(awaited),
            )
            copy_rows(connection, copy, as_kept(rows, encoding))
            waiting += int(rows["waits"].sum())
    connection.execute(_SQL["refused_again"], {"load_id": load_id, "by_itself": by_itself})
    parameters = {
        "load_id": load_id,
        "ids": list(held.values()),
        "note": holdable(connection, note),
    }
    closed = connection.execute(_SQL["replayed"], parameters).rowcount
    if not by_itself:
        connection.execute(_SQL["overtaken"], parameters)
    connection.execute("drop table pg_temp.penstock_refused_again")
    return closed, waiting
