"""Tries checks on a table, by SQL. Not for: the rows of a load (`rows`)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from penstock.model.checked import CheckResult
from penstock.model.table import Column, TableSpec
from penstock.postgres.catalog import read_table
from penstock.postgres.names import listed, qualified
from penstock.quality.declared import Check
from penstock.quality.judging import age, judged, plain, share_result, skipped
from penstock.quality.rows import EXAMPLES
from penstock.quality.values import (
    NUMBERS,
    WHOLE,
    check_fit,
    column_named,
    fitted,
    is_time,
)

# Values are quoted into the statements by psycopg.sql: beside parameters, a name with a percent
# sign would be taken for one.
#: Characters of an example that are kept.
_EXAMPLE = 200

_COUNT = sql.SQL(
    "select count(*) filter (where {looked}), count(*) filter (where {looked} and not {right}) "
    "from {table} t"
)
_EXAMPLES = sql.SQL("select {shown} from {table} t where {looked} and not {right} limit {limit}")
_REPEATED = sql.SQL(
    "select coalesce(sum(n), 0), coalesce(sum(n) filter (where n > 1), 0) from "
    "(select count(*) n from {table} t where {looked} group by {columns}) g"
)
_REPEATS = sql.SQL(
    "select {shown} from {table} t where {looked} group by {columns} having count(*) > 1 "
    "limit {limit}"
)
#: The age of the newest row that is not to come yet; without a zone as UTC, a date from its start.
_NEWEST = sql.SQL(
    "select extract(epoch from clock_timestamp() - max({moment})), max({moment}) from {table} t "
    "where {column} <= {now}"
)
_BY_DAY = sql.SQL(
    "select ({moment} at time zone 'UTC')::date, count(*) from {table} t "
    "where {column} >= {begin} and {column} < {end} group by 1 order by 1"
)
_EARLIER = sql.SQL("select exists (select from {table} t where {column} < {begin})")
_QUERY = sql.SQL(
    "with wrong as materialized ({query}\n) select (select count(*) from wrong), "
    "(select array_agg(left(w::text, {length})) from "
    "(select to_jsonb(wrong) as w from wrong limit {limit}) e)"
)


def tried(
    connection: psycopg.Connection[Any], table: str, checks: Sequence[Check]
) -> Generator[CheckResult, None, None]:
    """Try checks on a table, one after the other, all on what it is at one moment.

    Args:
        connection: In autocommit; nothing is written.
        table: Its name.
        checks: Those about the rows of loads alone are skipped.

    Yields:
        The result of each, as soon as it is known.

    Raises:
        UsageError: A check names what is not there, or cannot be tried.
        psycopg.Error: The role may not read, or the server fails.
    """
    spec = read_table(connection, table)
    check_fit(checks, spec)
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        connection.execute("set local timezone to 'UTC'")
        for check in checks:
            yield _tried(_Trial(connection, spec, check))


def _tried(trial: _Trial) -> CheckResult:
    check = trial.check
    try:
        if check.kind == "expression":
            return skipped(check, "is tried on the rows of each load")
        if check.kind == "sql":
            return trial.query()
        if check.kind == "fresh":
            return trial.fresh()
        if check.kind == "row_count":
            return trial.row_count()
        return trial.unique() if check.kind == "unique" else trial.share()
    except (psycopg.DataError, psycopg.NotSupportedError, psycopg.ProgrammingError) as error:
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            raise
        raise check.wrong(f"the server says: {error.diag.message_primary}") from None
    except psycopg.errors.ReadOnlySqlTransaction:
        raise check.wrong("the query writes, which a check must not") from None


class _Trial:
    """One check on one table.

    Args:
        connection: Within the transaction.
        spec: The table.
        check: Its declaration.
    """

    def __init__(self, connection: psycopg.Connection[Any], spec: TableSpec, check: Check) -> None:
        self.check = check
        self._connection = connection
        self._spec = spec
        self._table = qualified(spec.name)
        self._columns = [column_named(check, spec, name) for name in check.columns]

    def share(self) -> CheckResult:
        """`not_null`, `accepted`, `between`, `refers`."""
        column = sql.Identifier("t", self._columns[0].name)
        looked: sql.Composable = sql.SQL("{} is not null").format(column)
        if self.check.kind == "not_null":
            looked, right = sql.SQL("true"), sql.SQL("{} is not null").format(column)
        else:
            right = self._right(column)
        parts = {"table": self._table, "looked": looked, "right": right}
        rows, wrong = self._row(_COUNT.format(**parts))
        found = share_result(self.check, rows, wrong, ())
        if not found.bad:
            return found
        limit, shown = sql.Literal(EXAMPLES), self._shown()
        return self._with_examples(found, _EXAMPLES.format(**parts, shown=shown, limit=limit))

    def unique(self) -> CheckResult:
        """No two rows alike."""
        names = [column.name for column in self._columns]
        looked = sql.SQL(" and ").join(
            sql.SQL("{} is not null").format(sql.Identifier("t", name)) for name in names
        )
        parts = {"table": self._table, "looked": looked, "columns": listed(names, "t")}
        rows, wrong = self._row(_REPEATED.format(**parts))
        found = share_result(self.check, int(rows), int(wrong), ())
        if not found.bad:
            return found
        limit, shown = sql.Literal(EXAMPLES), _named_values(names)
        return self._with_examples(found, _REPEATS.format(**parts, shown=shown, limit=limit))

    def fresh(self) -> CheckResult:
        """How old the newest row is."""
        column = self._time()
        name = sql.Identifier("t", column.name)
        now = _of_clock(column, sql.SQL("clock_timestamp()"))
        parts = {"table": self._table, "column": name, "now": now, "moment": _moment(column)}
        seconds, newest = self._row(_NEWEST.format(**parts))
        if newest is None:
            return replace(judged(self.check, plain(self.check)), reason="there is no row")
        found = replace(plain(self.check), figure=float(seconds), rows=1)
        if timedelta(seconds=float(seconds)) <= self.check.within:
            return found
        old = age(timedelta(seconds=float(seconds)))
        said = f"the newest row is {old} old: {newest.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return replace(judged(self.check, found), wrong=1, reason=said)

    def row_count(self) -> CheckResult:
        """The last whole day against the mean of the days before it."""
        column, check = self._time(), self.check
        (today,) = self._row(sql.SQL("select (clock_timestamp() at time zone 'UTC')::date"))
        last = today - timedelta(days=1)
        first = last - timedelta(days=check.days)
        name = sql.Identifier("t", column.name)
        begin, end = _day(column, first), _day(column, today)
        parts = {"table": self._table, "column": name, "begin": begin}
        by_day = dict(
            self._connection.execute(_BY_DAY.format(**parts, end=end, moment=_moment(column)))
        )
        (earlier,) = self._row(_EARLIER.format(**parts))
        since = first if earlier else min(by_day, default=last)
        days = (last - since).days
        before = sum(count for day, count in by_day.items() if day < last)
        if not days or not before:
            return skipped(check, "no rows in the days before the last whole one")
        rows, mean = by_day.get(last, 0), before / days
        found = replace(plain(check), figure=rows / mean, rows=rows)
        if check.least <= rows / mean <= check.most:
            return found
        noun = "the day before" if days == 1 else f"the mean of {days} days before"
        said = f"{rows:,} rows on {last}, {mean:,.0f} on {noun}"
        return replace(judged(check, found), reason=said)

    def query(self) -> CheckResult:
        """A query that selects what is wrong."""
        # The project's own text; without parameters its percent signs are what they are.
        own = sql.SQL(self.check.query.replace("{", "{{").replace("}", "}}"))
        wrong, examples = self._row(
            _QUERY.format(
                query=own.format(), limit=sql.Literal(EXAMPLES), length=sql.Literal(_EXAMPLE)
            )
        )
        found = replace(plain(self.check), figure=float(wrong), rows=wrong, wrong=wrong)
        if not wrong:
            return found
        said = "it gives 1 row" if wrong == 1 else f"it gives {wrong:,} rows"
        return replace(judged(self.check, found), examples=tuple(examples), reason=said)

    # Parts of statements -------------------------------------------------------------------

    def _row(self, statement: sql.SQL | sql.Composed) -> tuple[Any, ...]:
        found = self._connection.execute(statement).fetchone()
        assert found is not None  # noqa: S101  an aggregate gives one row
        return tuple(found)

    def _with_examples(self, found: CheckResult, statement: sql.Composed) -> CheckResult:
        rows = self._connection.execute(statement)
        return replace(found, examples=tuple(str(one)[:_EXAMPLE] for (one,) in rows))

    def _shown(self) -> sql.Composed:
        """How a row is named: by its key, or by its place where it has none."""
        key = next(iter(self._spec.keys), None)
        if key is not None:
            return _named_values(key.columns)
        return sql.SQL("'ctid ' || t.ctid::text").format()

    def _right(self, column: sql.Identifier) -> sql.Composed:
        check, of = self.check, self._columns[0]
        if check.kind == "refers":
            return self._refers(column)
        cast_to = sql.SQL(_type(of))
        if check.kind == "accepted":
            values = sql.SQL(", ").join(
                sql.SQL("{}::{}").format(sql.Literal(_plain(check, of, one)), cast_to)
                for one in check.values
            )
            return sql.SQL("({} in ({}))").format(column, values)
        limits = [
            sql.SQL("{} {} {}::{}").format(column, sign, sql.Literal(_plain(check, of, v)), cast_to)
            for sign, v in ((sql.SQL(">="), check.least), (sql.SQL("<="), check.most))
            if v is not None
        ]
        return sql.SQL("({})").format(sql.SQL(" and ").join(limits))

    def _refers(self, column: sql.Identifier) -> sql.Composed:
        table, name = self.check.referred
        parent = read_table(self._connection, table)
        other = column_named(self.check, parent, name)
        return sql.SQL("exists (select from {} p where {} = {})").format(
            qualified(parent.name), sql.Identifier("p", other.name), column
        )

    def _time(self) -> Column:
        column = self._columns[0]
        if not is_time(column):
            raise self.check.wrong(f"{column.name} is {column.type}, and no date or time")
        return column


def _plain(check: Check, column: Column, value: Any) -> str:
    """A declared value as text, which the server reads as its type."""
    found = fitted(check, column, value)
    return found.isoformat() if isinstance(found, date) else str(found)


def _type(column: Column) -> str:
    """What values are compared as: numbers as they are declared, others as the column's type."""
    if column.kind == "b" and column.element is None:
        if column.base in (*WHOLE, "numeric"):
            return "numeric"
        if column.base in NUMBERS:
            return "float8" if column.base == "float8" else "float4"
    return column.plain_type or column.type


def _moment(column: Column) -> sql.Composed:
    """The column as a moment."""
    name = sql.Identifier("t", column.name)
    if column.base == "timestamptz":
        return sql.SQL("{}").format(name)
    return sql.SQL("({}::timestamp at time zone 'UTC')").format(name)


def _of_clock(column: Column, clock: sql.SQL) -> sql.Composed:
    """A moment as the column's type, so that its index is of use."""
    if column.base == "timestamptz":
        return sql.SQL("{}").format(clock)
    return sql.SQL("({} at time zone 'UTC')::{}").format(
        clock, sql.SQL("date" if column.base == "date" else "timestamp")
    )


def _day(column: Column, day: date) -> sql.Composed:
    """The beginning of a day in UTC as the column's type."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    if column.base == "timestamptz":
        return sql.SQL("{}::timestamptz").format(sql.Literal(moment.isoformat()))
    kind = sql.SQL("date" if column.base == "date" else "timestamp")
    return sql.SQL("{}::{}").format(sql.Literal(day.isoformat()), kind)


def _named_values(names: Sequence[str]) -> sql.Composed:
    """`order_id 7, line 2`, made by the server."""
    parts = [
        sql.SQL("{} || coalesce({}::text, 'NULL')").format(
            sql.Literal(f"{name} "), sql.Identifier("t", name)
        )
        for name in names
    ]
    return sql.SQL(" || ', ' || ").join(parts)
