"""Rows that an input no longer has: found, then removed or marked. Not for: whether they may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from penstock.errors import BalanceError
from penstock.model.table import Column, Key
from penstock.postgres.copy import CsvEncoder, compare_count, copy_in
from penstock.postgres.names import listed, qualified
from penstock.postgres.queries import queries
from penstock.postgres.scope import Scope
from penstock.postgres.staging import IGNORED, ROW_COLUMN, StagingTable

_SQL = queries("penstock.postgres.sql", "constraints.sql")


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
        self._fallen = sql.Identifier("pg_temp", f"penstock_fallen_{stage.number}")
        self._group: Column | None = None
        self._any_kept = False

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
        self._any_kept = rows > 0

    def keep_groups(self, column: Column, groups: Iterable[pl.Series]) -> None:
        """Stage groups of rows of which one was refused: what the table has of them stays.

        Args:
            column: Whose values make the groups.
            groups: Their values as text: a numeric without zeros at its end.
        """
        self._group = column
        self._connection.execute(
            sql.SQL("create temporary table {} (value text) on commit drop").format(self._fallen)
        )
        encoder = CsvEncoder()
        pieces, rows = [], 0
        for values in groups:
            pieces.append(encoder.encode(values.alias("value").to_frame()))
            rows += len(values)
        pieces.append(encoder.finish())
        taken = copy_in(self._connection, self._fallen, ["value"], encoder.options, pieces)
        compare_count(self._stage.spec.name, rows, taken)

    def _stands(self) -> sql.Composable:
        """Of a row of the target: no row of its group was refused, here or in the stage."""
        if self._group is None:
            return sql.SQL("true")
        return sql.SQL(
            "not exists (select from {fallen} f where f.value = {target}) "
            "and not exists (select from {stage} s join {bad} b on b.row = s.{row} "
            "where b.code <> all({ignored}) and {staged} = {target})"
        ).format(
            fallen=self._fallen,
            stage=self._stage.table,
            bad=self._stage.bad,
            row=sql.Identifier(ROW_COLUMN),
            ignored=IGNORED,
            target=_as_text(self._group, "t"),
            staged=_as_text(self._group, "s"),
        )

    def find(self) -> int:
        """List the rows that are gone from the input; how many."""
        spec = self._stage.spec
        self._connection.execute(sql.SQL("drop table if exists {}").format(self._gone))
        return self._connection.execute(
            sql.SQL(
                "create temporary table {gone} on commit drop as select {key} from {target} t "
                "where {may} and not exists (select from {stage} s where {staged})"
            ).format(
                gone=self._gone,
                key=listed(self._key.columns, "t"),
                target=qualified(spec.name),
                may=self.may_go(),
                stage=self._stage.table,
                staged=self._pairs(),
            )
        ).rowcount

    def may_go(self) -> sql.Composed:
        """Of a row `t` of the target: it goes, unless the stage has its key."""
        parts = [self._within(), self._stands()]
        if self._any_kept:
            absent = sql.SQL("not exists (select from {} s where {})")
            parts.append(absent.format(self._kept, self._pairs()))
        for name in self._nullable():
            parts.append(sql.SQL("t.{} is not null").format(sql.Identifier(name)))
        return sql.SQL(" and ").join(parts)

    def _nullable(self) -> list[str]:
        spec = self._stage.spec
        return [name for name in self._key.columns if spec.column(name).nullable]

    def before(self) -> int:
        """Rows within the scope."""
        return self._count(self._scope.condition("t"))

    def keyless(self) -> int:
        """Rows within the scope, and not marked, that lack a part of the key: no input has them."""
        names = self._nullable()
        if not names:
            return 0
        lacking = [sql.SQL("t.{} is null").format(sql.Identifier(name)) for name in names]
        return self._count(
            sql.SQL("{} and ({})").format(self._within(), sql.SQL(" or ").join(lacking))
        )

    def _count(self, which: sql.Composable) -> int:
        row = self._connection.execute(
            sql.SQL("select count(*) from {} t where {}").format(
                qualified(self._stage.spec.name), which
            )
        ).fetchone()
        assert row is not None  # noqa: S101  an aggregate gives one row
        return int(row[0])

    def acts(self) -> bool:
        """True where triggers or rules act on a removal: rows that stay may change with it."""
        of = {"oid": self._stage.spec.oid, "marks": bool(self._marks)}
        row = self._connection.execute(_SQL["acts_on_removal"], of).fetchone()
        return row is not None and bool(row[0])

    def carry_out(self, gone: sql.Composable | None = None) -> int:
        """Remove or mark what is gone, in key order; gives the rows.

        A row that another session has changed meanwhile is looked at again: it stays where it is
        no longer within the scope.

        Args:
            gone: The keys of what is gone; default: what `find` listed.

        Raises:
            BalanceError: A trigger keeps rows that should go.
        """
        of = {
            "target": qualified(self._stage.spec.name),
            "gone": gone or self._gone,
            "pairs": self._pairs(),
            "within": self._within(),
            "key": listed(self._key.columns, "t"),
        }
        locked = self._connection.execute(
            sql.SQL(
                "select from {target} t join {gone} s on {pairs} where {within} "
                "order by {key} for update of t"
            ).format(**of)
        ).rowcount
        form = "delete from {target} t using {gone} s where {pairs} and {within}"
        if self._marks:
            form = "update {target} t set {marks} from {gone} s where {pairs} and {within}"
            of["marks"] = sql.SQL(", ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value))
                for name, value in self._marks.items()
            )
        done = self._connection.execute(sql.SQL(form).format(**of)).rowcount
        if done != locked:
            raise BalanceError(
                f"{self._stage.spec.name}: {locked:,} rows are gone from the input, and only "
                f"{done:,} could be {'marked' if self._marks else 'removed'}: a trigger keeps the "
                "others. The load was rolled back.",
                code="balance",
            )
        return done

    def _within(self) -> sql.Composable:
        """Of a row of the target: it is one that the input is about, and not marked yet."""
        if not self._marks:
            return self._scope.condition("t")
        marked = sql.SQL(" and ").join(
            sql.SQL("t.{} is not distinct from {}").format(sql.Identifier(name), sql.Literal(value))
            for name, value in self._marks.items()
        )
        return sql.SQL("{} and not ({})").format(self._scope.condition("t"), marked)

    def _pairs(self) -> sql.Composed:
        return sql.SQL(" and ").join(
            sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in self._key.columns
        )


def _as_text(column: Column, of: str) -> sql.Composed:
    """Texts that are the same where two values are equal."""
    form = "trim_scale({})::text" if column.base == "numeric" else "{}::text"
    return sql.SQL(form).format(sql.Identifier(of, column.name))


def cascades(connection: psycopg.Connection[Any], oid: int) -> list[str]:
    """Tables whose rows change or go when rows of this one are removed."""
    return [name for (name,) in connection.execute(_SQL["cascades"], {"oid": oid})]
