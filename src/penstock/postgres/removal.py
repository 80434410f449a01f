"""Rows that an input no longer has: found, then removed or marked. Not for: whether they may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from penstock.model.table import Key
from penstock.postgres.copy import CsvEncoder, compare_count, copy_in
from penstock.postgres.names import listed, qualified
from penstock.postgres.scope import Scope
from penstock.postgres.staging import StagingTable


class Removal:
    """The rows of a target, within a scope, whose key is not in a stage.

    Args:
        connection: Inside the load's transaction.
        stage: The staged rows.
        key: By which rows are matched.
        scope: The rows that the input is about.
        marks: Column -> value for rows that are gone; empty: they are removed.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        stage: StagingTable,
        key: Key,
        scope: Scope,
        marks: Mapping[str, Any],
    ) -> None:
        self._connection = connection
        self._stage = stage
        self._key = key
        self._scope = scope
        self._marks = marks
        self._kept = sql.Identifier("pg_temp", f"penstock_kept_{stage.number}")
        self._gone = sql.Identifier("pg_temp", f"penstock_gone_{stage.number}")

    def keep(self, keys: Iterable[pl.DataFrame]) -> None:
        """Stage keys of rows that came and were refused: they stay."""
        spec = self._stage.spec
        names = list(self._key.columns)
        self._connection.execute(
            sql.SQL("create temporary table {} on commit drop as select {} from {} limit 0").format(
                self._kept, listed(names), qualified(spec.name)
            )
        )
        encoder = CsvEncoder()
        pieces, rows = [], 0
        for frame in keys:
            pieces.append(encoder.encode(frame.select(map(frame.get_column, names))))
            rows += frame.height
        pieces.append(encoder.finish())
        taken = copy_in(self._connection, self._kept, names, encoder.options, pieces)
        compare_count(spec.name, rows, taken)

    def find(self) -> tuple[int, int]:
        """Rows within the scope, and how many of them are gone from the input."""
        spec = self._stage.spec
        self._connection.execute(sql.SQL("drop table if exists {}").format(self._gone))
        marked = sql.SQL(" and ").join(
            [
                sql.SQL("t.{} is not distinct from {}").format(
                    sql.Identifier(name), sql.Literal(value)
                )
                for name, value in self._marks.items()
            ]
        )
        self._connection.execute(
            sql.SQL(
                "create temporary table {gone} on commit drop as select {key} from {target} t "
                "where {scope} and not exists (select from {stage} s where {staged}) "
                "and not exists (select from {kept} s where {same})"
            ).format(
                gone=self._gone,
                key=listed(self._key.columns, "t"),
                target=qualified(spec.name),
                scope=sql.SQL("{} and not ({})").format(self._scope.condition("t"), marked)
                if self._marks
                else self._scope.condition("t"),
                stage=self._stage.table,
                staged=self._pairs(),
                kept=self._kept,
                same=self._pairs(),
            )
        )
        row = self._connection.execute(
            sql.SQL(
                "select (select count(*) from {} t where {}), (select count(*) from {})"
            ).format(qualified(spec.name), self._scope.condition("t"), self._gone)
        ).fetchone()
        assert row is not None  # noqa: S101  a select without a table gives one row
        return row[0], row[1]

    def carry_out(self) -> int:
        """Remove or mark what is gone, in key order; gives the rows."""
        target = qualified(self._stage.spec.name)
        self._connection.execute(
            sql.SQL("select from {} t join {} s on {} order by {} for update of t").format(
                target, self._gone, self._pairs(), listed(self._key.columns, "t")
            )
        )
        if not self._marks:
            return self._connection.execute(
                sql.SQL("delete from {} t using {} s where {}").format(
                    target, self._gone, self._pairs()
                )
            ).rowcount
        return self._connection.execute(
            sql.SQL("update {} t set {} from {} s where {}").format(
                target,
                sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
                    for name, value in self._marks.items()
                ),
                self._gone,
                self._pairs(),
            )
        ).rowcount

    def _pairs(self) -> sql.Composed:
        return sql.SQL(" and ").join(
            sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in self._key.columns
        )
