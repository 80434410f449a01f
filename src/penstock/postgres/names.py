"""Quoted names for built SQL. Not for: finding tables (`catalog`)."""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import sql

from penstock.model.table import TableName


def qualified(name: TableName) -> sql.Identifier:
    """The quoted, schema-qualified name."""
    return sql.Identifier(name.schema, name.table)


def listed(names: Iterable[str], prefix: str | None = None) -> sql.Composed:
    """Quoted names with commas between, each behind `prefix.` where one is given."""
    return sql.SQL(", ").join(
        sql.Identifier(name) if prefix is None else sql.Identifier(prefix, name) for name in names
    )
