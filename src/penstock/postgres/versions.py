"""History rows of slowly changing dimensions, type 2. Not for: tables with one row a key (`keyed`).

A version holds from `valid_from` until before `valid_to`; the open one has no `valid_to`. Rows may
come late, and several for one key: all versions of a key that changes are put in order together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from penstock.model.table import Column, Key, TableSpec
from penstock.postgres.keyed import KeyedStage
from penstock.postgres.names import listed, qualified
from penstock.postgres.staging import ROW_COLUMN
from penstock.postgres.unlogged import TEMPORARY, Place, in_parallel

FROM, TO, CURRENT = "valid_from", "valid_to", "is_current"
_SIGN, _NEW, _EFFECT = (sql.Identifier(f"penstock_{name}") for name in ("sign", "is_new", "effect"))


class VersionStage(KeyedStage):
    """Staged rows as versions of what they describe.

    Args:
        connection: Inside the load's transaction, other writers locked out.
        spec: The target, with the columns `valid_from`, `valid_to` and `is_current`.
        columns: Target columns that the input supplies; `valid_from` may be among them.
        number: Tells several stages of one transaction apart.
        key: What a version is a version of.
        overwritten: Columns that are the same in all versions (type 1).
        place: Where its tables lie.

    Attributes:
        closed: Versions that `apply` ended or shortened.
        unchanged: Rows that the table had just so; counted, not what remains of the others.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        spec: TableSpec,
        columns: Sequence[Column],
        number: int,
        *,
        key: Key,
        overwritten: Sequence[str],
        place: Place = TEMPORARY,
    ) -> None:
        super().__init__(connection, spec, columns, number, key=key, update=True, place=place)
        self.closed = 0
        self.unchanged = 0
        self._dated = any(column.name == FROM for column in columns)
        self._plain = [column for column in self._plain if column.name != FROM]
        self._tracked = [column for column in self._plain if column.name not in overwritten]
        self._overwritten = [column for column in self._plain if column.name in overwritten]
        self._versions = sql.Identifier("pg_temp", f"penstock_versions_{number}")

    def null_keys(self) -> None:
        """List rows that have no key, or no date from which they hold."""
        super().null_keys()
        if self._dated:
            self._without([FROM], "says from when a version holds")

    def compare(self) -> int:
        """Gather the keys with a row that its version of the time does not equal; how many.

        Without dates a key comes once: its row is taken along.
        """
        self._run(sql.SQL("drop table if exists {}").format(self.delta))
        taken = sql.SQL("distinct {}").format(listed(self.key.columns, "s"))
        if not self._dated:
            taken = listed([*(column.name for column in self.columns), ROW_COLUMN], "s")
        compared = sql.SQL(
            "create temporary table {delta} on commit drop as "
            "select {taken} from {stage} s left join {target} t on {same_key} "
            "and t.{since} <= {date} and (t.{until} is null or {date} < t.{until}) "
            "where {live} and (t.{since} is null or {differs})"
        ).format(
            delta=self.delta,
            taken=taken,
            stage=self.table,
            target=qualified(self.spec.name),
            same_key=self._same_key(),
            since=sql.Identifier(FROM),
            until=sql.Identifier(TO),
            date=self._date(),
            live=self._live_now(),
            differs=self._differs(),
        )
        with in_parallel(self._connection, self.place):
            keys = self._run(compared)
        if not self._dated:
            staged, ignored, refused = self.counts()
            self.unchanged = staged - ignored - refused - keys
            return keys
        self.unchanged = self._count(
            sql.SQL("{} s where {} and not exists (select from {} t where {})").format(
                self.table, self._live(), self.delta, self._same_key()
            )
        )
        return keys

    def _count(self, rows: sql.Composable) -> int:
        row = self._connection.execute(sql.SQL("select count(*) from {}").format(rows)).fetchone()
        assert row is not None  # noqa: S101  an aggregate gives one row
        return int(row[0])

    def arrange(self) -> None:
        """Put the versions of these keys in order: those that are there, and those that come."""
        self._run(sql.SQL("drop table if exists {}").format(self._versions))
        names = [column.name for column in self._plain]
        keys = listed(self.key.columns)
        self._run(
            sql.SQL(
                "create temporary table {versions} on commit drop as "
                "with every as ("
                "select {old_keys}, t.{since} as {since}, t.{until} as {until}, {old_values}, "
                "{old_sign} as {sign}, false as {new} "
                "from {target} t join {delta} s on {pairs} "
                "union all "
                "select {new_keys}, {date}, null, {new_values}, {new_sign}, true "
                "from {coming}), "
                "placed as (select *, "
                "lag({sign}) over (partition by {keys}, {since} order by {new}) as corrected, "
                "lead({new}) over (partition by {keys}, {since} order by {new}) as corrector "
                "from every), "
                "kept as (select *, lag({sign}) over w as before, "
                "lag({since}) over w as since_before, "
                "lag({new}) over w as new_before, "
                "max(case when not {new} then coalesce({until}, 'infinity') end) over (w "
                "rows between unbounded preceding and 1 preceding) as ended "
                "from placed where corrector is null "
                "window w as (partition by {keys} order by {since})), "
                "real as (select *, case when not {new} then 'old' "
                "when corrected is not null then 'correction' else 'version' end as {effect} "
                "from kept where not {new} or corrected is not null "
                "or before is distinct from {sign} or ended <= {since} "
                "and not (new_before and since_before >= ended)) "
                "select *, least(lead({since}) over (partition by {keys} order by {since}), "
                "case when {effect} = 'version' and ended > {since} and ended < 'infinity' "
                "then ended end) as following "
                "from real"
            ).format(
                versions=self._versions,
                old_keys=listed(self.key.columns, "t"),
                new_keys=listed(self.key.columns, "s"),
                keys=keys,
                since=sql.Identifier(FROM),
                until=sql.Identifier(TO),
                old_values=listed(names, "t"),
                new_values=sql.SQL(", ").join(map(self._value, self._plain)),
                old_sign=self._sign(cast=False),
                new_sign=self._sign(cast=True),
                sign=_SIGN,
                new=_NEW,
                effect=_EFFECT,
                date=self._date(),
                target=qualified(self.spec.name),
                delta=self.delta,
                pairs=self._key_pairs(),
                coming=self._coming(),
            )
        )

    def _coming(self) -> sql.Composed:
        """The rows `s` of the keys that change."""
        if not self._dated:
            return sql.SQL("{} s").format(self.delta)
        return sql.SQL("{} s join {} t on {} where {}").format(
            self.table, self.delta, self._same_key(), self._live()
        )

    def apply(self) -> None:
        """Correct and close what is there, insert what is new, overwrite what has no history."""
        still = self._without_effect()
        corrected = self._correct()
        self.closed = self._close()
        self.inserted = self._add()
        overwritten = self._overwrite()
        self.updated = corrected + overwritten
        self.unchanged += still - overwritten

    def _without_effect(self) -> int:
        """Rows of keys that change which neither are new versions nor correct one."""
        return self._count(
            sql.SQL(
                "{rows} {also} not exists (select from {versions} v where {pairs} "
                "and v.{since} = {date} and v.{new} and (v.{effect} = 'version' "
                "or v.{effect} = 'correction' and v.corrected <> v.{sign}))"
            ).format(
                rows=self._coming(),
                also=sql.SQL("and" if self._dated else "where"),
                versions=self._versions,
                pairs=sql.SQL(" and ").join(
                    sql.SQL("v.{} = {}").format(sql.Identifier(column.name), self._value(column))
                    for column in self.columns
                    if column.name in self.key.columns
                ),
                since=sql.Identifier(FROM),
                date=self._date(),
                new=_NEW,
                effect=_EFFECT,
                sign=_SIGN,
            )
        )

    def _correct(self) -> int:
        """A row with the very date of a version takes its place, where it differs."""
        if not self._tracked:
            return 0
        return self._run(
            sql.SQL(
                "update {target} t set {sets} from {versions} s where {pairs} "
                "and t.{since} = s.{since} and s.{effect} = 'correction' and ({differs})"
            ).format(
                target=qualified(self.spec.name),
                sets=self._sets(columns=self._tracked),
                versions=self._versions,
                pairs=self._key_pairs(),
                since=sql.Identifier(FROM),
                effect=_EFFECT,
                differs=self._differs(cast=False, columns=self._tracked),
            )
        )

    def _close(self) -> int:
        """A version ends where the next one begins, and no later than it did."""
        return self._run(
            sql.SQL(
                "update {target} t set {until} = s.following, {current} = false "
                "from {versions} s where {pairs} and t.{since} = s.{since} "
                "and s.{effect} <> 'version' and s.following is not null "
                "and (t.{until} is null or t.{until} > s.following)"
            ).format(
                target=qualified(self.spec.name),
                until=sql.Identifier(TO),
                since=sql.Identifier(FROM),
                current=sql.Identifier(CURRENT),
                versions=self._versions,
                pairs=self._key_pairs(),
                effect=_EFFECT,
            )
        )

    def _add(self) -> int:
        names = [*self.key.columns, *(column.name for column in self._plain)]
        return self._run(
            sql.SQL(
                "insert into {target} ({names}, {since}, {until}, {current}) {overriding} "
                "select {values}, s.{since}, s.following, s.following is null "
                "from {versions} s where s.{effect} = 'version' order by {keys}, s.{since}"
            ).format(
                target=qualified(self.spec.name),
                names=listed(names),
                since=sql.Identifier(FROM),
                until=sql.Identifier(TO),
                current=sql.Identifier(CURRENT),
                overriding=self._overriding(),
                values=listed(names, "s"),
                versions=self._versions,
                effect=_EFFECT,
                keys=listed(self.key.columns, "s"),
            )
        )

    def _overwrite(self) -> int:
        """Type 1: all versions get the newest row's value; gives keys of which no more changed."""
        if not self._overwritten:
            return 0
        newest = sql.SQL(
            "select distinct on ({keys}) {keys}, {values}, {date} as {since} from {stage} s "
            "join {delta} d using ({plain_keys}) where {live} order by {keys}, {date} desc"
        ).format(
            keys=listed(self.key.columns, "s"),
            plain_keys=listed(self.key.columns),
            values=sql.SQL(", ").join(
                sql.SQL("{} as {}").format(self._value(c), sql.Identifier(c.name))
                for c in self._overwritten
            ),
            date=self._date(),
            since=sql.Identifier(FROM),
            stage=self.table,
            delta=self.delta,
            live=self._live(),
        )
        row = self._connection.execute(
            sql.SQL(
                "with newest as ({newest}), written as ("
                "update {target} t set {sets} from newest s where {pairs} and ({differs}) "
                "and not exists (select from {target} later where {later} "
                "and later.{since} > s.{since}) returning {keys}) "
                "select count(*) from (select distinct {names} from written except "
                "select {names} from {versions} where {effect} = 'version' "
                "or {effect} = 'correction' and corrected <> {sign}) quiet"
            ).format(
                newest=newest,
                target=qualified(self.spec.name),
                sets=sql.SQL(", ").join(
                    sql.SQL("{0} = s.{0}").format(sql.Identifier(c.name)) for c in self._overwritten
                ),
                pairs=self._key_pairs(),
                later=sql.SQL(" and ").join(
                    sql.SQL("later.{0} = s.{0}").format(sql.Identifier(name))
                    for name in self.key.columns
                ),
                differs=self._differs(cast=False, columns=self._overwritten),
                since=sql.Identifier(FROM),
                keys=listed(self.key.columns, "t"),
                names=listed(self.key.columns),
                versions=self._versions,
                effect=_EFFECT,
                sign=_SIGN,
            )
        ).fetchone()
        assert row is not None  # noqa: S101  an aggregate gives one row
        return int(row[0])

    # Single rows, for the isolator ----------------------------------------------------------

    def insert(self, low: int | None = None, high: int | None = None) -> int:
        """Try the live rows between two numbers as versions that are no longer current."""
        return self._run(self.insert_statement(self.span(low, high)))

    def insert_statement(self, where: sql.Composable) -> sql.Composed:
        """INSERT of the rows for which `where` holds; a version with that date is left alone."""
        columns = [column for column in self.columns if column.name != FROM]
        return sql.SQL(
            "insert into {target} ({names}, {since}, {until}, {current}) {overriding} "
            "select {values}, {date}, null, false from {stage} s where {where} "
            "order by s.{row} on conflict do nothing"
        ).format(
            target=qualified(self.spec.name),
            names=listed(column.name for column in columns),
            since=sql.Identifier(FROM),
            until=sql.Identifier(TO),
            current=sql.Identifier(CURRENT),
            overriding=self._overriding(),
            values=sql.SQL(", ").join(map(self._value, columns)),
            date=self._date(),
            stage=self.table,
            where=where,
            row=sql.Identifier(ROW_COLUMN),
        )

    def _date(self) -> sql.Composable:
        """From when a staged row holds: its `valid_from`, else the time of this transaction."""
        if self._dated:
            return sql.Identifier("s", FROM)
        return sql.SQL("transaction_timestamp()::{}").format(
            sql.SQL(self.spec.column(FROM).type)  # of format_type
        )

    def _sign(self, *, cast: bool) -> sql.Composed:
        """What has a history, as one text: a record's, in which NULL and '' differ."""
        parts = [
            self._value(column) if cast else sql.Identifier("t", column.name)
            for column in self._tracked
        ]
        texts = sql.SQL(", ").join(sql.SQL("{}::text").format(part) for part in parts)
        return sql.SQL("row({})::text").format(texts)
