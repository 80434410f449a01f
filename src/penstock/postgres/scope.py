"""The part of a table that a load is about: `day=2024-01-01..2024-01-31`. Not for: keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from penstock.errors import UsageError
from penstock.model.table import TableSpec


@dataclass(frozen=True, slots=True)
class Bounds:
    """The values of one column that are within.

    Attributes:
        column: Its name.
        type: As PostgreSQL writes it.
        low: The least value, as text.
        high: The greatest value, as text; the same for one value.
    """

    column: str
    type: str
    low: str
    high: str

    def __str__(self) -> str:
        return f"{self.column}={self.low}" + (f"..{self.high}" if self.high != self.low else "")


class Scope:
    """Rows for which every column is within its bounds; a NULL never is.

    Args:
        spec: The table.
        within: Column -> a value, or two with `..` between them, both included. Empty: all rows.

    Raises:
        UsageError: There is no such column, or a bound is missing.
    """

    def __init__(self, spec: TableSpec, within: Mapping[str, str]) -> None:
        self.bounds: list[Bounds] = []
        for name, text in within.items():
            if name not in {column.name for column in spec.columns}:
                raise UsageError(f"--within {name}={text}: {spec.name} has no column {name}")
            low, dots, high = str(text).partition("..")
            if not low or (dots and not high):
                raise UsageError(
                    f"--within {name}={text}: write one value, or two with .. between them"
                )
            self.bounds.append(Bounds(name, spec.column(name).type, low, high if dots else low))

    def __str__(self) -> str:
        return ", ".join(map(str, self.bounds))

    @property
    def columns(self) -> list[str]:
        """The columns that it looks at."""
        return [one.column for one in self.bounds]

    def condition(self, alias: str) -> sql.Composable:
        """That a row of `alias` is within; true without bounds."""
        if not self.bounds:
            return sql.SQL("true")
        return sql.SQL(" and ").join(
            sql.SQL("{} between {}::{} and {}::{}").format(
                sql.Identifier(alias, one.column),
                sql.Literal(one.low),
                sql.SQL(one.type),  # of format_type
                sql.Literal(one.high),
                sql.SQL(one.type),
            )
            for one in self.bounds
        )

    def check(self, connection: psycopg.Connection[Any]) -> None:
        """Let the server read the bounds, before anything is loaded.

        Raises:
            UsageError: A bound is no value of its column's type.
        """
        for one in self.bounds:
            try:
                with connection.transaction():
                    connection.execute(
                        sql.SQL("select {}::{}, {}::{}").format(
                            sql.Literal(one.low),
                            sql.SQL(one.type),
                            sql.Literal(one.high),
                            sql.SQL(one.type),
                        )
                    )
            except psycopg.DataError as error:
                raise UsageError(f"--within {one}: {error.diag.message_primary}") from None
