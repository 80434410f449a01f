"""Asks a table about its rows. Not for: reading or changing them."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from penstock.model.table import TableName
from penstock.postgres.names import qualified


def has_rows(connection: psycopg.Connection[Any], table: TableName) -> bool:
    """True where the table has a row that the role may see."""
    row = connection.execute(
        sql.SQL("select exists (select from {})").format(qualified(table))
    ).fetchone()
    return bool(row and row[0])
