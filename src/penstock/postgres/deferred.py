"""Makes the deferrable constraints of a table immediate, and back. Not for: those of others.

A deferred constraint is judged at COMMIT, when it is too late to tell which row is at fault.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from penstock.postgres.queries import queries

_SQL = queries("penstock.postgres.sql", "constraints.sql")


def make_immediate(connection: psycopg.Connection[Any], oid: int) -> None:
    """Judge the table's deferrable constraints now, and from now on at each statement.

    Raises:
        psycopg.Error: What was deferred so far is violated.
    """
    _set(connection, oid, "immediate", only_initially_deferred=False)


def make_deferred(connection: psycopg.Connection[Any], oid: int) -> None:
    """Give the constraints that are initially deferred their own timing back."""
    _set(connection, oid, "deferred", only_initially_deferred=True)


def _set(
    connection: psycopg.Connection[Any], oid: int, timing: str, *, only_initially_deferred: bool
) -> None:
    rows = connection.execute(_SQL["deferrable"], {"oid": oid}).fetchall()
    names = [
        sql.Identifier(schema, name)
        for schema, name, deferred in rows
        if deferred or not only_initially_deferred
    ]
    if names:
        connection.execute(
            sql.SQL("set constraints {} {}").format(sql.SQL(", ").join(names), sql.SQL(timing))
        )
