"""A staging table of one load, and what the server finds out about its rows, by set.

Not for: what becomes of them (`loading.staged`). The table is temporary: it goes with the
transaction, whatever happens. Rows that are not to be inserted are listed beside it, with why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from penstock.model.table import Column, ForeignKey, Key, TableSpec
from penstock.postgres.names import listed, qualified

#: Carries `_row`; the name is ours alone, a target may have a column `_row`.
ROW_COLUMN = "penstock_row"
#: The code of a row that is an exact copy of one before it: ignored, not refused.
COPY = "copy"

#: Types that have a grammar: their values are exact before they reach the server. The others are
#: staged as text, so that a value that the server does not take can be told from the others.
_OWN = frozenset(
    {"int2", "int4", "int8", "numeric", "float4", "float8", "text", "varchar", "bpchar"}
    | {"bool", "date", "time", "timetz", "timestamp", "timestamptz", "uuid", "jsonb"}
)
#: Types that cut or reinterpret without a modifier, and the type that shows it. Money shows itself
#: by locale; as numeric it is compared exactly.
_SHOWN_AS = {"money": "numeric", "name": "text", "char": "text"}
#: Types without equality, or whose equality is not sameness: compared by their text.
_BY_TEXT = frozenset(["json", "xml", "point", "citext", "numeric", "float4", "float8", "bpchar"])
#: From this version on the server can say whether it would take a text, without an error.
_INPUT_IS_VALID_FROM = 160000

_INVALID_SOFTLY = """
insert into {bad} (row, col, code, message)
select s.{row}, {name}, e.sql_error_code, e.message
from {stage} s, pg_input_error_info(s.{column}, {type}) e
where not pg_input_is_valid(s.{column}, {type})
"""
#: Before version 16: one subtransaction a row, a few microseconds each.
_INVALID_IN_TURN = """
declare
    one record;
begin
    for one in select s.{row} as row, s.{column} as value from {stage} s
               where s.{column} is not null loop
        begin
            perform one.value::{as_type};
        exception when others then
            insert into {bad} (row, col, code, message)
            values (one.row, {name}, sqlstate, sqlerrm);
        end;
    end loop;
end
"""


def has_grammar(column: Column) -> bool:
    """True where Penstock knows the type's grammar."""
    return column.category == "b" and column.base in _OWN


def may_alter(column: Column) -> bool:
    """True where the server's input function rounds or cuts without an error.

    That is so for modifiers (`bit(3)`, `numeric(5,2)[]`), `money`, `name` and `"char"`.
    """
    return column.base not in _OWN and (column.modified or column.base in _SHOWN_AS)


class Stage:
    """The staging table of one load.

    Args:
        connection: Inside the load's transaction.
        spec: The target.
        columns: Target columns that the input supplies, in the order of the COPY.
        number: Tells several stages of one transaction apart.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        spec: TableSpec,
        columns: Sequence[Column],
        number: int = 0,
    ) -> None:
        self.spec = spec
        self.columns = tuple(columns)
        self.table = sql.Identifier("pg_temp", f"penstock_stage_{number}")
        self.bad = sql.Identifier("pg_temp", f"penstock_bad_{number}")
        self._connection = connection

    def create(self) -> None:
        """Make the table and the list beside it."""
        fields = [
            sql.SQL("{} {}").format(sql.Identifier(c.name), self._type(c)) for c in self.columns
        ]
        self._run(
            sql.SQL("create temporary table {} ({} bigint not null, {}) on commit drop").format(
                self.table,
                sql.Identifier(ROW_COLUMN),
                sql.SQL(", ").join(fields),
            )
        )
        self._run(
            sql.SQL(
                "create temporary table {} (row bigint not null, col text, code text not null, "
                "other bigint, message text) on commit drop"
            ).format(self.bad)
        )

    def _type(self, column: Column) -> sql.SQL:
        return sql.SQL(column.type) if has_grammar(column) else sql.SQL("text")  # of format_type

    def _run(self, statement: sql.Composed, parameters: Sequence[Any] | None = None) -> int:
        return self._connection.execute(statement, parameters).rowcount

    def index(self) -> None:
        """Index the rows by their number, for the isolator."""
        self._run(sql.SQL("create index on {} ({})").format(self.table, sql.Identifier(ROW_COLUMN)))

    # What is wrong with the rows -----------------------------------------------------------

    def invalid_input(self) -> None:
        """List values of types without a grammar that the server's input function refuses."""
        soft = self._connection.info.server_version >= _INPUT_IS_VALID_FROM
        for column in self.columns:
            if has_grammar(column):
                continue
            form = _INVALID_SOFTLY if soft else _INVALID_IN_TURN
            statement = sql.SQL(form).format(
                bad=self.bad,
                stage=self.table,
                row=sql.Identifier(ROW_COLUMN),
                column=sql.Identifier(column.name),
                name=sql.Literal(column.name),
                type=sql.Literal(column.type),
                as_type=sql.SQL(column.type),
            )
            if soft:
                self._run(statement)
            else:
                body = sql.Literal(statement.as_string(self._connection))
                self._run(sql.SQL("do language plpgsql {}").format(body))

    def altered(self) -> None:
        """List values of types without a grammar that the server would round or cut."""
        for column in self.columns:
            if not may_alter(column):
                continue
            money = column.base == "money"
            self._run(
                sql.SQL(
                    "insert into {bad} (row, col, code, message) "
                    "select s.{row}, {name}, 'altered', case when {comparable} then "
                    "{type} || ' would keep only ' || s.{column}::{as_type}::text else {form} end "
                    "from {stage} s where s.{column} is not null and case when not {live} "
                    "then false when {comparable} then s.{column}::{plain} "
                    "is distinct from s.{column}::{as_type}::{plain} else true end"
                ).format(
                    bad=self.bad,
                    stage=self.table,
                    row=sql.Identifier(ROW_COLUMN),
                    column=sql.Identifier(column.name),
                    name=sql.Literal(column.name),
                    type=sql.Literal(column.type),
                    as_type=sql.SQL(column.type),
                    plain=sql.SQL(_SHOWN_AS.get(column.base, column.plain_type)),
                    live=self._live(),
                    comparable=self._plain_number(column) if money else sql.SQL("true"),
                    form=sql.Literal("an amount of money is written 1234.56, nothing else"),
                )
            )

    def _plain_number(self, column: Column) -> sql.Composed:
        return sql.SQL("s.{} ~ {}").format(
            sql.Identifier(column.name), sql.Literal(r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)$")
        )

    def orphans(self, key: ForeignKey) -> None:
        """List rows whose parent is missing (MATCH SIMPLE: a NULL passes)."""
        self._run(
            sql.SQL(
                "insert into {bad} (row, col, code) select s.{row}, {name}, '23503' "
                "from {stage} s where {complete} and not exists "
                "(select from {parent} p where {same})"
            ).format(
                bad=self.bad,
                stage=self.table,
                row=sql.Identifier(ROW_COLUMN),
                name=sql.Literal(", ".join(key.columns)),
                complete=self._complete(key.columns),
                parent=qualified(key.parent),
                same=self._parent_is(key),
            )
        )

    def null_orphans(self, key: ForeignKey) -> int:
        """Set the key of orphans to NULL; gives how many."""
        return self._run(
            sql.SQL(
                "update {stage} s set {nulls} where {complete} and not exists "
                "(select from {parent} p where {same})"
            ).format(
                stage=self.table,
                nulls=sql.SQL(", ").join(
                    sql.SQL("{} = null").format(sql.Identifier(name)) for name in key.columns
                ),
                complete=self._complete(key.columns),
                parent=qualified(key.parent),
                same=self._parent_is(key),
            )
        )

    def self_orphans(self, key: ForeignKey, *, in_table: bool) -> None:
        """List rows whose parent is not among the rows that will be there.

        A row that is listed takes its own children with it: repeated until none is left.

        Args:
            key: A foreign key of the table to itself.
            in_table: True where rows that are in the table now will stay.
        """
        statement = sql.SQL(
            "insert into {bad} (row, col, code) select s.{row}, {name}, '23503' "
            "from {stage} s where {live} and {complete} "
            "and not exists (select from {parent} p where {stay} and {same}) "
            "and not exists (select from {stage} p where {same} and not exists "
            "(select from {bad} b where b.row = p.{row}))"
        ).format(
            bad=self.bad,
            stage=self.table,
            row=sql.Identifier(ROW_COLUMN),
            name=sql.Literal(", ".join(key.columns)),
            live=self._live(),
            complete=self._complete(key.columns),
            parent=qualified(key.parent),
            stay=sql.SQL("true" if in_table else "false"),
            same=self._parent_is(key),
        )
        while self._run(statement):
            pass

    def repeated(self, key: Key) -> None:
        """List rows whose key came before in the input: exact copies, and conflicts (23505)."""
        self._run(
            sql.SQL(
                "insert into {bad} (row, col, code, other) "
                "select d.{row}, {name}, case when {same} then {copy} else '23505' end, d.first "
                "from (select s.{row}, row_number() over w as place, "
                "first_value(s.{row}) over w as first "
                "from {stage} s where {live} and {complete} "
                "window w as (partition by {key} order by s.{row})) d "
                "join {stage} s on s.{row} = d.{row} join {stage} f on f.{row} = d.first "
                "where d.place > 1"
            ).format(
                bad=self.bad,
                stage=self.table,
                row=sql.Identifier(ROW_COLUMN),
                name=sql.Literal(", ".join(key.columns)),
                same=self._same_row("f"),
                copy=sql.Literal(COPY),
                live=self._live(),
                complete=self._complete(key.columns) if key.nulls_distinct else sql.SQL("true"),
                key=listed(key.columns, "s"),
            )
        )

    def existing(self, key: Key, *, of_this_load: bool) -> None:
        """List rows whose key is in the table already.

        Args:
            key: The key.
            of_this_load: True where all rows of the table came from this load: then an equal row
                is an exact copy within the input.
        """
        same = self._same_row("t") if of_this_load else sql.SQL("false")
        pairs = [
            sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name))
            if key.nulls_distinct
            else sql.SQL("t.{0} is not distinct from s.{0}").format(sql.Identifier(name))
            for name in key.columns
        ]
        self._run(
            sql.SQL(
                "insert into {bad} (row, col, code) "
                "select s.{row}, {name}, case when {same} then {copy} else '23505' end "
                "from {stage} s join {target} t on {equal} where {live}"
            ).format(
                bad=self.bad,
                stage=self.table,
                target=qualified(self.spec.name),
                row=sql.Identifier(ROW_COLUMN),
                name=sql.Literal(", ".join(key.columns)),
                same=same,
                copy=sql.Literal(COPY),
                equal=sql.SQL(" and ").join(pairs),
                live=self._live(),
            )
        )

    def refuse(self, faults: Iterable[tuple[int, str, str, str]]) -> None:
        """List rows that the isolator found: row, column, code, message."""
        statement = sql.SQL("insert into {} (row, col, code, message) values (%s, %s, %s, %s)")
        with self._connection.cursor() as cursor:
            cursor.executemany(statement.format(self.bad), list(faults))

    # What is done with them ----------------------------------------------------------------

    def counts(self) -> tuple[int, int, int]:
        """Rows staged, exact copies, refused rows."""
        row = self._connection.execute(
            sql.SQL(
                "select (select count(*) from {stage}), "
                "count(distinct row) filter (where code = {copy} and not refused), "
                "count(distinct row) filter (where refused) "
                "from (select row, code, "
                "bool_or(code <> {copy}) over (partition by row) as refused from {bad}) b"
            ).format(stage=self.table, bad=self.bad, copy=sql.Literal(COPY))
        ).fetchone()
        assert row is not None  # noqa: S101  an aggregate gives one row
        return row[0], row[1], row[2]

    def faults(self, most: int | None) -> list[tuple[int, str, str, int | None, str | None]]:
        """Refused rows: row, column, code, other row, message; at most `most` rows a code."""
        limit = sql.SQL("true") if most is None else sql.SQL("n <= {}").format(sql.Literal(most))
        return self._connection.execute(
            sql.SQL(
                "select row, coalesce(col, ''), code, other, message from "
                "(select *, row_number() over (partition by code order by row) as n "
                "from {} where code <> {}) f where {} order by row, code, col"
            ).format(self.bad, sql.Literal(COPY), limit)
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
        always = any(column.identity == "a" for column in self.columns)
        return sql.SQL(
            "insert into {target} ({columns}) {overriding} "
            "select {values} from {stage} s where {where} order by s.{row}"
        ).format(
            target=qualified(self.spec.name),
            columns=listed(c.name for c in self.columns),
            overriding=sql.SQL("overriding system value" if always else ""),
            values=sql.SQL(", ").join(self._value(c) for c in self.columns),
            stage=self.table,
            where=where,
            row=sql.Identifier(ROW_COLUMN),
        )

    def span(self, low: int | None, high: int | None) -> sql.Composed:
        """The condition for the live rows between two numbers."""
        if low is None:
            return self._live()
        return sql.SQL("s.{} between {} and {} and {}").format(
            sql.Identifier(ROW_COLUMN), sql.Literal(low), sql.Literal(high), self._live()
        )

    def _value(self, column: Column) -> sql.Composed:
        name = sql.Identifier("s", column.name)
        if has_grammar(column):
            return sql.Composed([name])
        return sql.SQL("{}::{}").format(name, sql.SQL(column.type))

    def _live(self) -> sql.Composed:
        return sql.SQL("not exists (select from {} b where b.row = s.{})").format(
            self.bad, sql.Identifier(ROW_COLUMN)
        )

    def _complete(self, columns: Sequence[str]) -> sql.Composed:
        return sql.SQL(" and ").join(
            sql.SQL("s.{} is not null").format(sql.Identifier(name)) for name in columns
        )

    def _parent_is(self, key: ForeignKey) -> sql.Composed:
        return sql.SQL(" and ").join(
            sql.SQL("p.{} = s.{}").format(sql.Identifier(theirs), sql.Identifier(mine))
            for mine, theirs in zip(key.columns, key.parent_columns, strict=True)
        )

    def _same_row(self, other: str) -> sql.Composed:
        parts = []
        for column in self.columns:
            one, two = sql.Identifier("s", column.name), sql.Identifier(other, column.name)
            if column.base in _BY_TEXT or not has_grammar(column):
                form = sql.SQL('{}::text collate "C" is not distinct from {}::text collate "C"')
            else:
                form = sql.SQL("{} is not distinct from {}")
            parts.append(form.format(one, two))
        return sql.SQL(" and ").join(parts)
