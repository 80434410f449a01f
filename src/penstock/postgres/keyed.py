"""Staged rows against the rows that a table has, by key. Not for: judging rows (`offenders`).

Equal rows are neither written nor locked: `INSERT ... ON CONFLICT DO UPDATE ... WHERE` would lock
every one of them, which writes to the heap and to the WAL. So the difference is made first, by one
join, and only what differs is inserted or updated, in the order of the key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from penstock.model.table import Column, Key, TableSpec
from penstock.postgres.names import listed, qualified
from penstock.postgres.offenders import Stage, same_value
from penstock.postgres.staging import OVERTAKEN, ROW_COLUMN
from penstock.postgres.statistics import small_beside
from penstock.postgres.unlogged import TEMPORARY, Place, in_parallel

_NEW = sql.Identifier("penstock_new")

_IN_TURN = """
#variable_conflict use_column
declare
    penstock_number bigint; penstock_rows bigint;
    penstock_inserted bigint := 0; penstock_updated bigint := 0;
begin
    for penstock_number in {numbers} loop
        {insert};
        get diagnostics penstock_rows = row_count;
        penstock_inserted := penstock_inserted + penstock_rows;
        if penstock_rows = 0 then
            {update};
            get diagnostics penstock_rows = row_count;
            penstock_updated := penstock_updated + penstock_rows;
        end if;
    end loop;
    perform set_config('penstock.written', penstock_inserted || ',' || penstock_updated, true);
end
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """What an upsert has to do.

    Attributes:
        new: Rows whose key the table does not have.
        changed: Rows that differ from the table's.
        gone: Rows of the table whose key the stage does not have, where they were asked for.
    """

    new: int
    changed: int
    gone: int = 0


class KeyedStage(Stage):
    """A stage whose rows are matched with the target's by a key.

    Args:
        connection: Inside the load's transaction.
        spec: The target.
        columns: Target columns that the input supplies, those of the key among them.
        number: Tells several stages of one transaction apart.
        key: A unique key of the target, all of its columns supplied.
        update: False: rows whose key is there are left alone.
        revive: Column -> the value that marks a row as gone; a row that comes gets the default.
        carried: Columns that are written with a row, and alone do not make it a changed one.
        place: Where its tables lie.

    Attributes:
        inserted: Rows that `insert_new` inserted at last.
        updated: Rows that `update_changed` updated at last.
        in_turn: True where the rows are to be written one after the other.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        spec: TableSpec,
        columns: Sequence[Column],
        number: int,
        *,
        key: Key,
        update: bool,
        revive: Mapping[str, Any] | None = None,
        carried: Collection[str] = (),
        place: Place = TEMPORARY,
    ) -> None:
        super().__init__(connection, spec, columns, number, place=place)
        self.key = key
        self.in_turn = False
        self._revive = dict(revive or {})
        self.inserted = 0
        self.updated = 0
        self.delta = sql.Identifier("pg_temp", f"penstock_delta_{number}")
        self._plain = [column for column in self.columns if column.name not in key.columns]
        if not update:
            self._plain = []
        self._compared = [column for column in self._plain if column.name not in carried]

    # The real thing --------------------------------------------------------------------------

    def difference(self, gone: sql.Composable | None = None) -> Difference:
        """Compare the live rows with the target's, into a table of what differs.

        Args:
            gone: Also list the rows of the target `t` whose key no row of the stage has, refused
                or not, and for which this holds: their keys, with NULL for new or not.
        """
        self._run(sql.SQL("drop table if exists {}").format(self.delta))
        live = self._live_now()
        first = sql.Identifier("t", self.key.columns[0])
        none = sql.SQL("s.{} is null").format(sql.Identifier(ROW_COLUMN))
        comes = sql.SQL("{} and ({} is null or {})").format(live, first, self._differs())
        if gone is not None:  # one join of all rows instead of two
            comes = sql.SQL("{none} and ({gone}) or not ({none}) and {comes}").format(
                none=none, gone=gone, comes=comes
            )
        made = sql.SQL(
            "create temporary table {delta} on commit drop as "
            "select {values}, s.{row}, case when not ({none}) then {first} is null end "
            "as {new} from {stage} s {join} where {comes}"
        ).format(
            delta=self.delta,
            values=sql.SQL(", ").join(
                self._listed(column, gone=gone is not None) for column in self.columns
            ),
            row=sql.Identifier(ROW_COLUMN),
            none=none,
            first=first,
            new=_NEW,
            stage=self.table,
            join=self._joined(whole=gone is not None),
            comes=comes,
        )
        with in_parallel(self._connection, self.place):
            self._run(made)
        row = self._connection.execute(
            sql.SQL(
                "select count(*) filter (where {0}), count(*) filter (where not {0}), "
                "count(*) filter (where {0} is null) from {1}"
            ).format(_NEW, self.delta)
        ).fetchone()
        assert row is not None  # noqa: S101  an aggregate gives one row
        return Difference(*row)

    def _joined(self, *, whole: bool) -> sql.Composed:
        """The target `t`, joined with the stage `s`; whole: also rows that the stage has not."""
        if whole:
            how = "full join {target} t on {same_key}"
        elif small_beside(self._connection, self.table, self.spec):
            # With a limit, which a unique key does not need, the planner must look each key up.
            how = (
                "left join lateral (select t.* from {target} t where {same_key} limit 1) t on true"
            )
        else:
            how = "left join {target} t on {same_key}"
        return sql.SQL(how).format(target=qualified(self.spec.name), same_key=self._same_key())

    def gone(self) -> sql.Composed:
        """The keys that the difference listed as gone, as a query in brackets."""
        return sql.SQL("(select {} from {} where {} is null)").format(
            listed(self.key.columns), self.delta, _NEW
        )

    def _listed(self, column: Column, *, gone: bool) -> sql.Composed:
        value = self._value(column)
        if gone and column.name in self.key.columns:
            value = sql.SQL("coalesce({}, {})").format(value, sql.Identifier("t", column.name))
        return sql.SQL("{} as {}").format(value, sql.Identifier(column.name))

    def lock_changed(self) -> None:
        """Lock the rows that will be updated, in key order: no two loads wait in a ring."""
        self._run(
            sql.SQL(
                "select from {target} t join {delta} s on {same_key} where not s.{new} "
                "order by {key} for no key update of t"
            ).format(
                target=qualified(self.spec.name),
                delta=self.delta,
                same_key=self._key_pairs(),
                new=_NEW,
                key=listed(self.key.columns, "t"),
            )
        )

    def insert_new(self) -> int:
        """Insert the new rows; one whose key another session has added meanwhile is left out."""
        return self._run(
            sql.SQL(
                "insert into {target} ({columns}) {overriding} select {values} from {delta} s "
                "where s.{new} order by {key} on conflict ({names}) do nothing"
            ).format(
                target=qualified(self.spec.name),
                columns=listed(column.name for column in self.columns),
                overriding=self._overriding(),
                values=listed((column.name for column in self.columns), "s"),
                delta=self.delta,
                new=_NEW,
                key=listed(self.key.columns, "s"),
                names=listed(self.key.columns),
            )
        )

    def update_changed(self) -> int:
        """Update the rows that differ, as they are by now."""
        if not self._plain and not self._revive:
            return 0
        return self._run(
            sql.SQL(
                "update {target} t set {sets} from {delta} s "
                "where {same_key} and not s.{new} and ({differs})"
            ).format(
                target=qualified(self.spec.name),
                sets=self._sets(),
                delta=self.delta,
                same_key=self._key_pairs(),
                new=_NEW,
                differs=self._differs(cast=False),
            )
        )

    # Single rows, for the isolator --------------------------------------------------------------

    def insert(self, low: int | None = None, high: int | None = None) -> int:
        """Insert or update the live rows between two numbers; gives how many were inserted."""
        where = self.span(low, high)
        inserted = self._run(self._try_insert(where))
        if self._plain or self._revive:
            self._run(self._try_update(where))
        return inserted

    def insert_statement(self, where: sql.Composable) -> sql.Composed:
        """What makes the rows for which `where` holds part of the table: one or two statements."""
        if not self._plain and not self._revive:
            return self._try_insert(where)
        return sql.SQL("{}; {}").format(self._try_insert(where), self._try_update(where))

    def _try_insert(self, where: sql.Composable) -> sql.Composed:
        absent = sql.SQL("{} and not exists (select from {} t where {})").format(
            where, qualified(self.spec.name), self._same_key()
        )  # a row that is only updated may lack what a new one needs
        return sql.SQL("{} on conflict ({}) do nothing").format(
            super().insert_statement(absent), listed(self.key.columns)
        )

    def _try_update(self, where: sql.Composable) -> sql.Composed:
        return sql.SQL(
            "update {target} t set {sets} from {stage} s where {same_key} and {where}"
            " and ({differs})"
        ).format(
            target=qualified(self.spec.name),
            sets=self._sets(cast=True),
            stage=self.table,
            same_key=self._same_key(),
            where=where,
            differs=self._differs(),
        )

    def write_in_turn(self) -> None:
        """Insert or update the live rows one after the other, in file order."""
        one = sql.SQL("s.{} = penstock_number").format(sql.Identifier(ROW_COLUMN))
        update: sql.Composable = sql.SQL("perform 1 where false")
        if self._plain or self._revive:
            update = self._try_update(one)
        body = sql.SQL(_IN_TURN).format(
            numbers=sql.SQL("select s.{row} from {stage} s where {live} order by 1").format(
                row=sql.Identifier(ROW_COLUMN), stage=self.table, live=self._live()
            ),
            insert=self._try_insert(one),
            update=update,
        )
        self._connection.execute(
            sql.SQL("do language plpgsql {}").format(sql.Literal(body.as_string(self._connection)))
        )
        row = self._connection.execute(
            "select split_part(said, ',', 1)::bigint, split_part(said, ',', 2)::bigint "
            "from current_setting('penstock.written') said"
        ).fetchone()
        assert row is not None  # noqa: S101  a setting is one row
        self.inserted, self.updated = row

    # Their parts ---------------------------------------------------------------------------------

    def null_keys(self) -> None:
        """List rows that have no key: nothing could find them again."""
        self._without(self.key.columns, "is the key by which rows are found")

    def _without(self, names: Sequence[str], role: str) -> None:
        for name in names:
            if not self.spec.column(name).nullable:
                continue  # refused already
            self._run(
                sql.SQL(
                    "insert into {bad} (row, col, code, message) select s.{row}, {name}, "
                    "'null_key', {said} from {stage} s where s.{column} is null"
                ).format(
                    bad=self.bad,
                    row=sql.Identifier(ROW_COLUMN),
                    name=sql.Literal(name),
                    said=sql.Literal(f"no value, and {name} {role}"),
                    stage=self.table,
                    column=sql.Identifier(name),
                )
            )

    def overtaken(self) -> list[tuple[int, int]]:
        """Rows that another one with the same key took the place of, and that one."""
        return self._connection.execute(
            sql.SQL("select row, other from {} where code = {} order by row").format(
                self.bad, sql.Literal(OVERTAKEN)
            )
        ).fetchall()

    def keyless(self) -> int:
        """Rows without a key."""
        row = self._connection.execute(
            sql.SQL("select count(distinct row) from {} where code = 'null_key'").format(self.bad)
        ).fetchone()
        assert row is not None  # noqa: S101  an aggregate gives one row
        return int(row[0])

    def _same_key(self) -> sql.Composed:
        """Of a row of the target and one of the stage."""
        pairs = [
            sql.SQL("t.{} = {}").format(sql.Identifier(column.name), self._value(column))
            for column in self.columns
            if column.name in self.key.columns
        ]
        return sql.SQL(" and ").join(pairs)

    def _key_pairs(self) -> sql.Composed:
        """Of a row of the target and one of the difference, which has the target's types."""
        pair = "t.{0} = s.{0}"
        return sql.SQL(" and ").join(
            sql.SQL(pair).format(sql.Identifier(name)) for name in self.key.columns
        )

    def _differs(
        self, *, cast: bool = True, columns: Sequence[Column] | None = None
    ) -> sql.Composable:
        parts: list[sql.Composable] = []
        for column in self._compared if columns is None else columns:
            one = sql.Identifier("t", column.name)
            two = self._value(column) if cast else sql.Identifier("s", column.name)
            parts.append(sql.SQL("not ({})").format(same_value(column, one, two)))
        for name, gone in self._revive.items():
            form = sql.SQL("t.{} is not distinct from {}")
            parts.append(form.format(sql.Identifier(name), sql.Literal(gone)))
        return sql.SQL(" or ").join(parts) if parts else sql.SQL("false")

    def _sets(self, *, cast: bool = False, columns: Sequence[Column] | None = None) -> sql.Composed:
        sets = [
            sql.SQL("{} = {}").format(
                sql.Identifier(column.name),
                self._value(column) if cast else sql.Identifier("s", column.name),
            )
            for column in (self._plain if columns is None else columns)
        ]
        sets += [sql.SQL("{} = default").format(sql.Identifier(name)) for name in self._revive]
        return sql.SQL(", ").join(sets)
