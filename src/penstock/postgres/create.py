"""Creates tables and adds columns, and says how as SQL for people. Not for: choosing types."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from penstock.model.table import Column, TableName, TableSpec
from penstock.postgres.names import listed, qualified
from penstock.postgres.queries import queries

#: Bytes that PostgreSQL keeps of a name: NAMEDATALEN - 1.
MOST_BYTES = 63
_SQL = queries("penstock.postgres.sql", "create.sql")
_WIDTH = 78


@dataclass(frozen=True, slots=True)
class Statements:
    """One statement, to be carried out and to be shown.

    Attributes:
        make: The statement.
        text: The same for people, with a comment above each column.
        undo: What takes it back, for people.
    """

    make: sql.Composed
    text: str
    undo: str


def create_table(
    connection: psycopg.Connection[Any], spec: TableSpec, because: Sequence[str]
) -> Statements:
    """`create table` with the columns of a spec and its primary key.

    Args:
        connection: Says which names need quotes.
        spec: The table as it will be; types as PostgreSQL writes them.
        because: Why each column has its type.
    """
    key = spec.primary_key
    parts = [_definition(column) for column in spec.columns]
    if key is not None:
        parts.append(sql.SQL("primary key ({})").format(listed(key.columns)))
    make = sql.SQL("create table {} ({})").format(qualified(spec.name), sql.SQL(", ").join(parts))
    names = _Names(connection, spec.name, spec.columns)
    lines = [f"create table {names.table} ("]
    last = len(spec.columns) - 1 if key is None else -1
    for place, (column, why) in enumerate(zip(spec.columns, because, strict=True)):
        lines += _comment(why, "    ")
        end = "" if place == last else ","
        lines.append(f"    {names.of(column)} {column.type}{end}")
    if key is not None:
        lines.append(f"    primary key ({', '.join(names.quoted[name] for name in key.columns)})")
    lines.append(");")
    return Statements(make, "\n".join(lines), f"drop table {names.table};")


def add_columns(
    connection: psycopg.Connection[Any],
    table: TableName,
    columns: Sequence[Column],
    because: Sequence[str],
) -> Statements:
    """`alter table ... add column` for each; all of them may be NULL."""
    parts = [sql.SQL("add column {}").format(_definition(column)) for column in columns]
    make = sql.SQL("alter table {} {}").format(qualified(table), sql.SQL(", ").join(parts))
    names = _Names(connection, table, columns)
    lines = [f"alter table {names.table}"]
    for place, (column, why) in enumerate(zip(columns, because, strict=True)):
        lines += _comment(why, "    ")
        end = ";" if place == len(columns) - 1 else ","
        lines.append(f"    add column {names.of(column)} {column.type}{end}")
    dropped = ", ".join(f"drop column {names.of(column)}" for column in columns)
    return Statements(make, "\n".join(lines), f"alter table {names.table} {dropped};")


def _definition(column: Column) -> sql.Composed:
    # A type is one of a closed list (`numeric(p,s)` with numbers), never text of the input.
    type_name = sql.SQL(column.type)
    return sql.SQL("{} {}").format(sql.Identifier(column.name), type_name)


class _Names:
    """Names as PostgreSQL itself would write them: in quotes only where they need them."""

    def __init__(
        self, connection: psycopg.Connection[Any], table: TableName, columns: Sequence[Column]
    ) -> None:
        names = [table.schema, table.table, *(column.name for column in columns)]
        rows = connection.execute(_SQL["quoted"], {"names": names}).fetchall()
        self.quoted: dict[str, str] = dict(rows)
        self.table = self.quoted[table.table]
        if table.schema != "public":
            self.table = f"{self.quoted[table.schema]}.{self.table}"

    def of(self, column: Column) -> str:
        return self.quoted[column.name]


def _comment(text: str, indent: str) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        width=_WIDTH,
        initial_indent=f"{indent}-- ",
        subsequent_indent=f"{indent}-- ",
        break_long_words=False,
        break_on_hyphens=False,
    )
