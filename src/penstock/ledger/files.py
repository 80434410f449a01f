"""Remembers which contents are in a table, so that no file is appended twice by mistake."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from penstock.model.table import TableName
from penstock.postgres.encodings import holdable
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "ledger.sql")


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A content that is in the table.

    Attributes:
        sha256: Of the stored bytes, in hexadecimal.
        size: Stored bytes.
        name: The file's name when it was loaded.
        loaded_at: When, in local time to the minute.
        load_id: The load that brought it.
    """

    sha256: str
    size: int
    name: str
    loaded_at: str
    load_id: str


def known(
    connection: psycopg.Connection[Any], table: TableName, sizes: Sequence[int]
) -> dict[str, KnownFile]:
    """The contents of these sizes (bytes) that are in the table, by their sha256.

    Sizes are compared first, so that a file is hashed ahead only where it may be known.
    """
    rows = connection.execute(
        _SQL["known_files"],
        {"schema": table.schema, "table": table.table, "sizes": list(sizes)},
    )
    return {
        row[0]: KnownFile(row[0], row[1], row[2], f"{row[3].astimezone():%Y-%m-%d %H:%M}", row[4])
        for row in rows
    }


def record(
    connection: psycopg.Connection[Any],
    table: TableName,
    load_id: str,
    file: tuple[str, str, int],
    *,
    again: bool,
) -> bool:
    """Record a loaded file, in the transaction of the data.

    Args:
        connection: The data's.
        table: The target.
        load_id: The load.
        file: Name, sha256 in hexadecimal, size in bytes.
        again: True: the content may be there already.

    Returns:
        False where the content is in the table already: another load was faster.
    """
    name, sha256, size = file
    cursor = connection.execute(
        _SQL["record_file"],
        {
            "schema": table.schema,
            "table": table.table,
            "sha256": sha256,
            "bytes": size,
            "name": holdable(connection, name),
            "load_id": load_id,
            "again": again,
        },
    )
    return cursor.fetchone() is not None


def loads(connection: psycopg.Connection[Any], table: TableName) -> frozenset[str]:
    """The ids of the loads whose files are in the table."""
    rows = connection.execute(
        _SQL["loads_with_files"], {"schema": table.schema, "table": table.table}
    )
    return frozenset(row[0] for row in rows)


def forget(
    connection: psycopg.Connection[Any], table: TableName, of: Collection[str] | None = None
) -> None:
    """The table is empty in this transaction: its contents may be loaded again.

    Args:
        connection: The data's.
        table: The target.
        of: Only what these loads brought; None: everything.
    """
    chosen = None if of is None else sorted(of)
    connection.execute(
        _SQL["forget_files"], {"schema": table.schema, "table": table.table, "loads": chosen}
    )
