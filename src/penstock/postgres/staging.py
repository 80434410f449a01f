"""A staging table of one load, and the list of its rows that are not to be inserted.

Not for: finding those rows (`offenders`). The table goes with the transaction, whatever happens.
Rows that are not to be inserted are listed beside it, with why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from penstock.model.table import Column, ForeignKey, TableSpec
from penstock.postgres.judged import has_grammar
from penstock.postgres.names import listed, qualified
from penstock.postgres.sqlstates import Kind, kind_of
from penstock.postgres.unlogged import TEMPORARY, Place

#: Carries `_row`; the name is ours alone, a target may have a column `_row`.
ROW_COLUMN = "penstock_row"
#: The code of a row that is an exact copy of one before it: ignored, not refused.
COPY = "copy"
#: The code of a row that another one with the same key takes the place of: ignored, and named.
OVERTAKEN = "overtaken"

#: Codes of rows that are ignored, not refused.
IGNORED = sql.SQL("array[{}, {}]").format(sql.Literal(COPY), sql.Literal(OVERTAKEN))


class StagingTable:
    """The staging table of one load.

    Args:
        connection: Inside the load's transaction.
        spec: The target.
        columns: Target columns that the input supplies, in the order of the COPY.
        number: Tells several stages of one transaction apart.
        place: Where its tables lie.

    Attributes:
        rows: Those that were copied into it; whoever copies says so.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        spec: TableSpec,
        columns: Sequence[Column],
        number: int = 0,
        *,
        place: Place = TEMPORARY,
    ) -> None:
        self.spec = spec
        self.columns = tuple(columns)
        self.number = number
        self.rows = 0
        self._lie(place)
        self._made: list[sql.Identifier] = []
        self._connection = connection

    def _lie(self, place: Place) -> None:
        self.place = place
        self.table = place.named(f"stage_{self.number}")
        self.bad = place.named(f"bad_{self.number}")

    def create(self) -> None:
        """Make the table and the list beside it; temporary ones where no others may be made."""
        if self.place.unlogged:
            try:
                with self._connection.transaction():
                    self._create()
                return
            except psycopg.Error as error:
                # Event triggers may forbid what the role's rights allow.
                if self._connection.closed or kind_of(error) in (Kind.TRANSIENT, Kind.RESOURCE):
                    raise
                self._made = []
                self._lie(TEMPORARY)
        self._create()

    def _create(self) -> None:
        fields = [
            sql.SQL("{} {}").format(sql.Identifier(c.name), self._type(c)) for c in self.columns
        ]
        self._make(
            self.table,
            sql.SQL("({} bigint not null, {})").format(
                sql.Identifier(ROW_COLUMN), sql.SQL(", ").join(fields)
            ),
        )
        self._make(
            self.bad,
            sql.SQL(
                "(row bigint not null, col text, code text not null, other bigint, message text)"
            ),
        )

    def _make(self, table: sql.Identifier, columns: sql.Composable) -> None:
        self._run(self.place.create(table, columns))
        self._made.append(table)

    def drop(self) -> None:
        """Drop what the end of the transaction would not; nothing reads the stage any more."""
        if self.place.unlogged and self._made:
            self._run(sql.SQL("drop table {}").format(sql.SQL(", ").join(self._made)))
        self._made = []

    def _type(self, column: Column) -> sql.Composable:
        # A domain's own checks must not stop the COPY. The names are format_type's.
        kind = sql.SQL(column.beneath if has_grammar(column) else "text")
        if not column.collation:
            return kind
        # What is one key in the table must be one here.
        return sql.SQL("{} collate {}").format(kind, sql.SQL(column.collation))

    def _run(self, statement: sql.Composed, parameters: Sequence[Any] | None = None) -> int:
        return self._connection.execute(statement, parameters).rowcount

    def index(self) -> None:
        """Index the rows by their number, for the isolator."""
        self._run(sql.SQL("create index on {} ({})").format(self.table, sql.Identifier(ROW_COLUMN)))

    def refuse(self, faults: Iterable[tuple[int, str, str, str]]) -> None:
        """List rows that the isolator found: row, column, code, message."""
        statement = sql.SQL("insert into {} (row, col, code, message) values (%s, %s, %s, %s)")
        with self._connection.cursor() as cursor:
            cursor.executemany(statement.format(self.bad), list(faults))

    # What is done with them ----------------------------------------------------------------

    def counts(self) -> tuple[int, int, int]:
        """Rows staged, ignored ones (exact copies and overtaken rows), refused rows."""
        row = self._connection.execute(
            sql.SQL(
                "select count(distinct row) filter (where not refused), "
                "count(distinct row) filter (where refused) "
                "from (select row, "
                "bool_or(code <> all({ignored})) over (partition by row) as refused from {bad}) b"
            ).format(bad=self.bad, ignored=IGNORED)
        ).fetchone()
        assert row is not None  # noqa: S101  an aggregate gives one row
        return self.rows, row[0], row[1]

    def brought(self, columns: Sequence[str], after: LiteralString = "-1") -> sql.Composed:
        """The condition that the target's row `t` has the key of a staged row not refused.

        Args:
            columns: Of the key; staged, and never NULL in a row of the target.
            after: Only of rows with a greater number than this.
        """
        return sql.SQL(
            "exists (select from {} s where {} and s.{} > {} and not exists "
            "(select from {} b where b.row = s.{} and b.code <> all({})))"
        ).format(
            self.table,
            sql.SQL(" and ").join(
                sql.SQL("s.{0} = t.{0}").format(sql.Identifier(name)) for name in columns
            ),
            sql.Identifier(ROW_COLUMN),
            sql.SQL(after),
            self.bad,
            sql.Identifier(ROW_COLUMN),
            IGNORED,
        )

    def faults(self, most: int | None) -> list[tuple[int, str, str, int | None, str | None]]:
        """Refused rows: row, column, code, other row, message; at most `most` rows a code."""
        limit = sql.SQL("true") if most is None else sql.SQL("n <= {}").format(sql.Literal(most))
        return self._connection.execute(
            sql.SQL(
                "select row, coalesce(col, ''), code, other, message from "
                "(select *, row_number() over (partition by code order by row) as n "
                "from {} where code <> all({})) f where {} order by row, code, col"
            ).format(self.bad, IGNORED, limit)
        ).fetchall()

    def insert(self, low: int | None = None, high: int | None = None) -> int:
        """Insert the rows that nothing is held against, in file order; gives how many.

        Args:
            low: First row number, or None for all.
            high: Last row number.
        """
        return self._run(self.insert_statement(self.span(low, high)))

    def insert_statement(self, where: sql.Composable) -> sql.Composed:
        """INSERT ... SELECT of the rows for which `where` holds."""
        return sql.SQL(
            "insert into {target} ({columns}) {overriding} "
            "select {values} from {stage} s where {where} order by s.{row}"
        ).format(
            target=qualified(self.spec.name),
            columns=listed(c.name for c in self.columns),
            overriding=self._overriding(),
            values=sql.SQL(", ").join(self._value(c) for c in self.columns),
            stage=self.table,
            where=where,
            row=sql.Identifier(ROW_COLUMN),
        )

    def _overriding(self) -> sql.SQL:
        always = any(column.identity == "a" for column in self.columns)
        return sql.SQL("overriding system value" if always else "")

    def span(self, low: int | None, high: int | None) -> sql.Composed:
        """The condition for the live rows between two numbers."""
        if low is None:
            return self._live()
        return sql.SQL("s.{} between {} and {} and {}").format(
            sql.Identifier(ROW_COLUMN), sql.Literal(low), sql.Literal(high), self._live()
        )

    def _value(self, column: Column) -> sql.Composed:
        name = sql.Identifier("s", column.name)
        if has_grammar(column) and column.category != "d":
            return sql.Composed([name])
        return sql.SQL("{}::{}").format(name, sql.SQL(column.type))

    def _live(self) -> sql.Composed:
        return sql.SQL("not exists (select from {} b where b.row = s.{})").format(
            self.bad, sql.Identifier(ROW_COLUMN)
        )

    def _live_now(self) -> sql.Composable:
        """As `_live`, for a statement that is planned now: no join where nothing is listed."""
        row = self._connection.execute(
            sql.SQL("select exists (select from {})").format(self.bad)
        ).fetchone()
        return self._live() if row is not None and row[0] else sql.SQL("true")

    def _complete(self, columns: Sequence[str]) -> sql.Composed:
        return sql.SQL(" and ").join(
            sql.SQL("s.{} is not null").format(sql.Identifier(name)) for name in columns
        )

    def _parent_is(self, key: ForeignKey) -> sql.Composed:
        return sql.SQL(" and ").join(
            sql.SQL("p.{} = s.{}").format(sql.Identifier(theirs), sql.Identifier(mine))
            for mine, theirs in zip(key.columns, key.parent_columns, strict=True)
        )
