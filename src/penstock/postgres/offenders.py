"""What the server finds out about staged rows, by set. Not for: what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from penstock.model.table import Column, ForeignKey, Key
from penstock.postgres.judged import has_grammar, is_judged
from penstock.postgres.names import listed, qualified
from penstock.postgres.scope import Scope
from penstock.postgres.staging import COPY, IGNORED, ROW_COLUMN, StagingTable

#: Types that cut or reinterpret without a modifier, and the type that shows it.
_SHOWN_AS = {"name": "text", "char": "text"}
#: Types whose equality is sameness. All others are compared by their text: 1.0 is 1.00, one day
#: is 24 hours, and json has no equality.
_EQUAL_IS_SAME = frozenset(
    {"int2", "int4", "int8", "bool", "text", "varchar", "uuid"}
    | {"date", "time", "timetz", "timestamp", "timestamptz"}
)
#: From this version on the server can say whether it would take a text, without an error.
_INPUT_IS_VALID_FROM = 160000

_INVALID_SOFTLY = """
insert into {bad} (row, col, code, message)
select s.{row}, {name}, e.sql_error_code, e.message
from {stage} s, pg_input_error_info(s.{column}::text, {type}) e
where not pg_input_is_valid(s.{column}::text, {type})
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


def may_alter(column: Column) -> bool:
    """True where the server's input function rounds or cuts without an error.

    That is so for modifiers (`bit(3)`, `interval day`), `name` and `"char"`.
    """
    return not is_judged(column) and (column.modified or column.base in _SHOWN_AS)


@dataclass(frozen=True, slots=True)
class Winner:
    """Which of the rows that share a key stays.

    Attributes:
        last: The last one in file order; else the first.
        column: The one with the greatest value of this column, the last of several.
        none: None of them, unless they are exact copies.
        others: The code of the others, where they are no exact copies: 23505 refuses them,
            `OVERTAKEN` ignores them.
    """

    last: bool = False
    column: str = ""
    none: bool = False
    others: str = "23505"


#: As `append` has it: as if rows were loaded one by one.
FIRST = Winner()


class Stage(StagingTable):
    """A staging table whose rows the server can judge before they are inserted."""

    def invalid_input(self) -> None:
        """List values of domains and types without a grammar that the server's input refuses."""
        soft = self._connection.info.server_version >= _INPUT_IS_VALID_FROM
        for column in self.columns:
            if has_grammar(column) and column.category != "d":
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
            self._run(
                sql.SQL(
                    "insert into {bad} (row, col, code, message) "
                    "select s.{row}, {name}, 'altered', "
                    "{type} || ' would keep only ' || s.{column}::{as_type}::text "
                    "from {stage} s where s.{column} is not null and case when not {live} "
                    "then false else s.{column}::{plain} "
                    "is distinct from s.{column}::{as_type}::{plain} end"
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
                )
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

    def null_self_orphans(self, key: ForeignKey, *, in_table: bool) -> int:
        """Set a key to the table itself to NULL where its parent will not be there.

        Args:
            key: A foreign key of the table to itself.
            in_table: True where rows that are in the table now will stay.
        """
        return self._run(
            sql.SQL(
                "update {stage} s set {nulls} where {live} and {complete} "
                "and not exists (select from {parent} p where {stay} and {same}) "
                "and not exists (select from {stage} p where {same} and not exists "
                "(select from {bad} b where b.row = p.{row}))"
            ).format(
                stage=self.table,
                nulls=sql.SQL(", ").join(
                    sql.SQL("{} = null").format(sql.Identifier(name)) for name in key.columns
                ),
                live=self._live(),
                complete=self._complete(key.columns),
                parent=qualified(key.parent),
                stay=sql.SQL("true" if in_table else "false"),
                same=self._parent_is(key),
                bad=self.bad,
                row=sql.Identifier(ROW_COLUMN),
            )
        )

    def release(self, self_keys: Sequence[ForeignKey]) -> int:
        """Take rows off the list that are there only because of rows that were refused; how many.

        As if rows were loaded one by one: a row that was refused repeats no key, and a parent that
        is loaded after all has children.
        """
        freed = self._run(
            sql.SQL(
                "delete from {bad} b where b.other is not null and exists "
                "(select from {bad} f where f.row = b.other and f.code <> all({ignored}))"
            ).format(bad=self.bad, ignored=IGNORED)
        )
        for key in self_keys:
            freed += self._run(
                sql.SQL(
                    "delete from {bad} b using {stage} s where b.row = s.{row} "
                    "and b.code = '23503' and b.col = {name} and b.message is null "
                    "and exists (select from {stage} p where {same} and not exists "
                    "(select from {bad} f where f.row = p.{row}))"
                ).format(
                    bad=self.bad,
                    stage=self.table,
                    row=sql.Identifier(ROW_COLUMN),
                    name=sql.Literal(", ".join(key.columns)),
                    same=self._parent_is(key),
                )
            )
        return freed

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

    def outside(self, scope: Scope) -> None:
        """List rows that are not of the part of the table that the load is about."""
        if not scope.bounds:
            return
        self._run(
            sql.SQL(
                "insert into {bad} (row, col, code, message) select s.{row}, {name}, "
                "'out_of_scope', {said} from {stage} s where ({within}) is not true"
            ).format(
                bad=self.bad,
                row=sql.Identifier(ROW_COLUMN),
                name=sql.Literal(", ".join(scope.columns)),
                said=sql.Literal(f"not within {scope}"),
                stage=self.table,
                within=scope.condition("s"),
            )
        )

    def repeated(self, key: Key, winner: Winner = FIRST) -> None:
        """List rows that share their key with the one that wins: exact copies, and the others.

        Args:
            key: The key.
            winner: Which row of a key stays, and what the others are.
        """
        self._run(
            sql.SQL(
                "insert into {bad} (row, col, code, other) "
                "select d.{row}, {name}, case when {same} then {copy} else {lost} end, d.first "
                "from (select s.{row}, row_number() over w as place, "
                "first_value(s.{row}) over w as first "
                "from {stage} s where {live} and {complete} "
                "window w as (partition by {key} order by {order})) d "
                "join {stage} s on s.{row} = d.{row} join {stage} f on f.{row} = d.first "
                "where d.place > 1"
            ).format(
                bad=self.bad,
                stage=self.table,
                row=sql.Identifier(ROW_COLUMN),
                name=sql.Literal(", ".join(key.columns)),
                same=self._same_row("f"),
                copy=sql.Literal(COPY),
                lost=sql.Literal(winner.others),
                live=self._live(),
                complete=self._complete(key.columns) if key.nulls_distinct else sql.SQL("true"),
                key=listed(key.columns, "s"),
                order=self._order(winner),
            )
        )
        if winner.none:
            self._refuse_firsts(key)

    def _refuse_firsts(self, key: Key) -> None:
        """List all rows of contested keys, firsts and copies too; none of them frees another."""
        of = {
            "bad": self.bad,
            "name": sql.Literal(", ".join(key.columns)),
            "said": sql.Literal("the key occurs several times in the input, with other values"),
            "copy": sql.Literal(COPY),
        }
        self._run(
            sql.SQL(
                "insert into {bad} (row, col, code, message) select distinct other, col, code, "
                "{said} from {bad} where col = {name} and code = '23505' and other is not null"
            ).format(**of)
        )
        self._run(
            sql.SQL(
                "update {bad} b set code = '23505', other = null, message = {said} "
                "where col = {name} and (code = '23505' or code = {copy} and exists "
                "(select from {bad} f where f.row = b.other and f.col = {name} "
                "and f.code = '23505'))"
            ).format(**of)
        )

    def _order(self, winner: Winner) -> sql.Composed:
        row = sql.Identifier("s", ROW_COLUMN)
        if winner.column:
            greatest = sql.Identifier("s", winner.column)
            return sql.SQL("{} desc nulls last, {} desc").format(greatest, row)
        return sql.SQL("{} desc" if winner.last else "{}").format(row)

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

    def _same_row(self, other: str) -> sql.Composed:
        return sql.SQL(" and ").join(
            same_value(column, sql.Identifier("s", column.name), sql.Identifier(other, column.name))
            for column in self.columns
        )


def same_value(column: Column, one: sql.Composable, other: sql.Composable) -> sql.Composed:
    """The condition that two values of a column are the same, not only equal to PostgreSQL.

    `1.0` and `1.00`, `0` and `-0`, `a` and `A` in a citext are equal, and differ.
    """
    scaled = column.base == "numeric" and column.scale is not None
    same = scaled or column.kind == "e" or column.base in _EQUAL_IS_SAME
    if same and has_grammar(column) and column.deterministic:
        form = sql.SQL("{} is not distinct from {}")
    else:
        form = sql.SQL('{}::text collate "C" is not distinct from {}::text collate "C"')
    return form.format(one, other)
