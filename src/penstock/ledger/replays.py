"""Rejects that are tried again: found, held, closed. Not for: loading their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import polars as pl
import psycopg

from penstock.ledger.quarantine import Selection, texts_of
from penstock.ledger.rejects import as_kept
from penstock.model.batch import ROW
from penstock.model.table import TableName
from penstock.postgres.encodings import encoding_of, holdable
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "replays.sql")
#: An entry of a load's options that is none of `load_table`: columns that came typed.
TYPED = "typed"
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
    """

    reject_id: int
    table: TableName
    status: str
    values: Mapping[str, str | None] | None
    options: str


def replayable(connection: psycopg.Connection[Any], selection: Selection) -> list[Replayable]:
    """The rejects that are meant, in the order of their numbers."""
    parts: list[LiteralString] = [_SQL["sources"], _SELECTED, _SQL["sources_ordered"]]
    rows = connection.execute("\n".join(parts), selection.parameters()).fetchall()
    return [
        Replayable(
            reject_id=row[0],
            table=TableName(row[1], row[2]),
            status=row[3],
            values=None if row[4] is None else texts_of(row[4]),
            options=row[5] or "{}",
        )
        for row in rows
    ]


def together(
    connection: psycopg.Connection[Any], ids: Sequence[int]
) -> list[tuple[TableName, str]]:
    """Tables of the loads of the runs that refused these rejects, and how each was told to read."""
    rows = connection.execute(_SQL["together"], {"ids": list(ids)}).fetchall()
    return [(TableName(schema, table), options) for schema, table, options in rows]


def hold(connection: psycopg.Connection[Any], ids: Sequence[int]) -> set[int]:
    """Those of these rejects that wait, locked until the transaction ends."""
    return {row[0] for row in connection.execute(_SQL["lock"], {"ids": list(ids)})}


def finish(
    connection: psycopg.Connection[Any],
    load_id: str,
    held: Mapping[int, int],
    refused: Iterable[pl.DataFrame],
    note: str,
) -> int:
    """Close what was loaded, and keep what was refused again waiting; gives how many were closed.

    Args:
        connection: In the transaction of the data.
        load_id: The load.
        held: `_row` -> the reject that it is.
        refused: Refused rows in the form of the spool.
        note: From where they were replayed.
    """
    connection.execute(_SQL["incoming"])
    encoding = encoding_of(connection)
    with (
        connection.cursor() as cursor,
        cursor.copy("copy pg_temp.penstock_refused_again from stdin") as copy,
    ):
        for frame in refused:
            faults = frame.select(ROW, "columns", "codes", "reasons", "bad")
            for row, columns, codes, reasons, bad in faults.iter_rows():
                told = [as_kept(reasons, encoding), as_kept(bad, encoding)]
                copy.write_row([held[row], columns, codes, *told])
    connection.execute(_SQL["refused_again"], {"load_id": load_id})
    parameters = {
        "load_id": load_id,
        "ids": list(held.values()),
        "note": holdable(connection, note),
    }
    closed = connection.execute(_SQL["replayed"], parameters).rowcount
    connection.execute("drop table pg_temp.penstock_refused_again")
    return closed
