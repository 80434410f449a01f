"""Reads the catalog into a `TableSpec`. Not for: deciding what to do with a table."""

from __future__ import annotations

import difflib
from typing import Any

import psycopg
from psycopg.rows import dict_row

from penstock.errors import UsageError
from penstock.model.table import CheckConstraint, ForeignKey, Key, TableName, TableSpec
from penstock.postgres.columns import column_of
from penstock.postgres.queries import queries

_SQL = queries("penstock.postgres.sql", "catalog.sql")


def split_name(text: str) -> tuple[str | None, str]:
    """`schema.table` or `table`, each part optionally in double quotes, unquoted.

    Raises:
        UsageError: More than two parts, an empty part or an unclosed quote.
    """
    parts: list[str] = [""]
    quoted = False
    chars = iter(enumerate(text))
    for place, char in chars:
        if char == '"' and quoted and text[place + 1 : place + 2] == '"':
            parts[-1] += '"'  # doubled inside quotes: itself
            next(chars)
        elif char == '"':
            quoted = not quoted
        elif char == "." and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    if quoted or len(parts) > 2 or not all(parts):
        raise UsageError(f'"{text}" is not a table name: write table, schema.table or "My table"')
    return (parts[0], parts[1]) if len(parts) == 2 else (None, parts[0])


def find_table(connection: psycopg.Connection[Any], name: str) -> TableName | None:
    """The table of that name as PostgreSQL stores it, or None.

    An exact match wins over the lower-case form; without a schema the search path decides.
    """
    schema, table = split_name(name)
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_SQL["find_table"], {"schema": schema, "table": table})
        row = cursor.fetchone()
    return None if row is None else TableName(row["schema"], row["table"])


def loadable_names(connection: psycopg.Connection[Any]) -> list[str]:
    """Tables that could be loaded, with their schema where the search path does not hold it."""
    return [row[0] for row in connection.execute(_SQL["loadable_names"], {})]


def nearest(name: str, candidates: list[str]) -> str:
    """A text " Did you mean ...?" for the closest of the candidates, or an empty text."""
    close = difflib.get_close_matches(name.lower(), [c.lower() for c in candidates], n=1)
    if not close:
        return ""
    return f" Did you mean {next(c for c in candidates if c.lower() == close[0])}?"


def read_table(connection: psycopg.Connection[Any], name: str) -> TableSpec:
    """The spec of a table by name.

    Raises:
        UsageError: There is no such table or view; the message names the nearest one.
    """
    found = find_table(connection, name)
    if found is None:
        names = loadable_names(connection)
        hint = nearest(name, names) or (
            f" There are: {', '.join(names[:8])}." if names else " The database has no table yet."
        )
        raise UsageError(f"There is no table {name} here.{hint}", code="42P01")
    return read_spec(connection, found)


def read_spec(connection: psycopg.Connection[Any], name: TableName) -> TableSpec:
    """The spec of a table that exists."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            _SQL["find_table"], {"schema": name.schema, "table": name.table}
        ).fetchone()
        if row is None:
            raise UsageError(f"The table {name} is not there any more", code="42P01")
        oid: int = row["oid"]
        of = {"oid": oid}
        table = cursor.execute(_SQL["table"], of).fetchone()
        if table is None:
            raise UsageError(f"The table {name} is not there any more", code="42P01")
        types = {r["oid"]: r for r in cursor.execute(_SQL["types"], of)}
        columns = tuple(column_of(r, types) for r in cursor.execute(_SQL["columns"], of))
        keys = tuple(
            Key(
                name=r["name"],
                columns=tuple(r["columns"]),
                primary=r["is_primary"],
                nulls_distinct=r["nulls_distinct"],
            )
            for r in cursor.execute(_SQL["keys"], of)
        )
        foreign = tuple(_foreign_key(r) for r in cursor.execute(_SQL["foreign_keys"], of))
        checks = tuple(
            CheckConstraint(name=r["name"], columns=tuple(r["columns"]), definition=r["definition"])
            for r in cursor.execute(_SQL["checks"], of)
        )
        referenced_by = tuple(
            TableName(r["schema"], r["table"]) for r in cursor.execute(_SQL["referenced_by"], of)
        )
    return TableSpec(
        name=name,
        oid=oid,
        kind=table["kind"],
        columns=columns,
        keys=keys,
        foreign_keys=foreign,
        checks=checks,
        owned=table["owned"],
        rights=frozenset(table["rights"]),
        row_security=table["row_security"],
        plain=table["plain"],
        referenced_by=referenced_by,
        has_triggers=table["has_triggers"],
        has_exclusions=table["has_exclusions"],
        has_odd_keys=table["has_odd_keys"],
        has_insert_rules=table["has_insert_rules"],
    )


def _foreign_key(row: dict[str, Any]) -> ForeignKey:
    return ForeignKey(
        name=row["name"],
        columns=tuple(row["columns"]),
        parent=TableName(row["parent_schema"], row["parent_table"]),
        parent_columns=tuple(row["parent_columns"]),
        match_full=row["match_full"],
        validated=row["validated"],
        enforced=row["enforced"],
        row_security=row["row_security"],
        readable=row["readable"],
    )
