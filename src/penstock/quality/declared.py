"""Declares what good data is: frozen checks. Not for: trying them (`rows`, `tables`).

A NULL says nothing about accepted values, ranges and references, as in a CHECK of SQL: `not_null`
looks after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Any

import polars as pl

from penstock.errors import UsageError
from penstock.mapping.perrow import unsuited

#: Rows with a value below which a share says nothing: with 20, one wrong row is 5 %. Where every
#: row must be right, one row is enough.
MIN_ROWS = 20
SEVERITIES = ("fail", "warn")
_PLACE = re.compile(r'(?P<table>.+)\.(?P<column>"(?:[^"]|"")+"|[^".]+)')
#: Kinds that are tried on the rows of a load; all but an expression are tried on tables too.
ON_ROWS = ("unique", "not_null", "accepted", "between", "expression")


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One declared check. Made by the functions of `penstock.quality`, not by hand.

    Attributes:
        kind: The name of the function that made it.
        name: By which results name it, one of its kind in a list.
        columns: Of the table, that it looks at.
        severity: `fail` or `warn`.
        stops: True: a load in which it fails is rolled back; False: the load is marked.
        at_least: The share of the rows looked at that must be right, from 0 to 1.
        min_rows: With fewer rows to look at it is skipped.
        values: Of `accepted`.
        least: Of `between` the least value, of `row_count` the least ratio.
        most: Of both, the most.
        within: Of `fresh`.
        days: Of `row_count`.
        parent: Of `refers`: table and column, as written.
        query: Of `sql`.
        expr: Of `expression`.
    """

    kind: str
    name: str
    columns: tuple[str, ...] = ()
    _: KW_ONLY
    severity: str = "fail"
    stops: bool = True
    at_least: float = 1.0
    min_rows: int = 1
    values: tuple[Any, ...] = ()
    least: Any = None
    most: Any = None
    within: timedelta = timedelta()
    days: int = 0
    parent: str = ""
    query: str = ""
    expr: pl.Expr | None = None

    def __post_init__(self) -> None:
        if not self.name or not all(isinstance(one, str) and one for one in self.columns):
            raise UsageError(f"quality.{self.kind}: names of columns and checks are texts")
        if self.severity not in SEVERITIES:
            raise self.wrong(f'severity: "{self.severity}" is not one of {", ".join(SEVERITIES)}')
        if not _is_number(self.at_least) or not 0 <= self.at_least <= 1:
            raise self.wrong(f"at_least: {self.at_least!r} is no share from 0 to 1")
        if self.min_rows < 1:
            raise self.wrong("min_rows: it takes at least 1 row")

    @property
    def referred(self) -> tuple[str, str]:
        """Of `refers`: the table as it is written, and the column."""
        found = _PLACE.fullmatch(self.parent)
        assert found is not None  # noqa: S101  it was read when it was declared
        name = found["column"]
        if name.startswith('"'):
            name = name[1:-1].replace('""', '"')
        return found["table"], name

    @property
    def on_rows(self) -> bool:
        """It is tried on the rows of a load."""
        return self.kind in ON_ROWS

    def wrong(self, why: str) -> UsageError:
        """An error about this declaration."""
        return UsageError(f"quality {self.name}: {why}")


def unique(*columns: str, name: str = "", severity: str = "fail", stops: bool = True) -> Check:
    """No two rows have the same values in all of the columns; rows with a NULL are left out.

    In a load: among its own rows, whose values in these columns are held in memory.

    Args:
        *columns: One or several.
        name: Default: `unique(a, b)`.
        severity: `fail` or `warn`.
        stops: False: a load in which it fails is marked instead of rolled back.

    Raises:
        UsageError: The declaration makes no sense; so in all functions here.
    """
    if not columns:
        raise UsageError("quality.unique: name at least one column")
    return Check(
        "unique", name or _named("unique", columns), columns, severity=severity, stops=stops
    )


def not_null(
    column: str,
    at_least: float = 1.0,
    *,
    name: str = "",
    severity: str = "fail",
    stops: bool = True,
    min_rows: int | None = None,
) -> Check:
    """So large a share of the rows has a value.

    Args:
        column: Which.
        at_least: The share, from 0 to 1.
        name: Default: `not_null(column)`.
        severity: `fail` or `warn`.
        stops: False: a load in which it fails is marked instead of rolled back.
        min_rows: With fewer rows to look at it is skipped. Default: 20, and 1 where `at_least`
            is 1.
    """
    return _share("not_null", column, at_least, min_rows, name=name, severity=severity, stops=stops)


def accepted(
    column: str,
    values: Iterable[Any],
    at_least: float = 1.0,
    *,
    name: str = "",
    severity: str = "fail",
    stops: bool = True,
    min_rows: int | None = None,
) -> Check:
    """So large a share of the values is among those given; further arguments as of `not_null`."""
    given = () if isinstance(values, str) else tuple(values)
    if not given or any(one is None for one in given):
        raise UsageError(f"quality.accepted({column}): give a list of values, without None")
    more: dict[str, Any] = {"name": name, "severity": severity, "stops": stops}
    return _share("accepted", column, at_least, min_rows, values=given, **more)


def between(
    column: str,
    least: Any,
    most: Any,
    at_least: float = 1.0,
    *,
    name: str = "",
    severity: str = "fail",
    stops: bool = True,
    min_rows: int | None = None,
) -> Check:
    """So large a share of the values is not below `least` and not above `most`.

    Args:
        column: Of numbers, dates or times.
        least: A number, date or datetime, or text in ISO form; None: no limit.
        most: The same.
        at_least: The share, from 0 to 1.
        name: Default: `between(column)`.
        severity: `fail` or `warn`.
        stops: False: a load in which it fails is marked instead of rolled back.
        min_rows: As of `not_null`.
    """
    if least is None and most is None:
        raise UsageError(f"quality.between({column}): give a least or a most value")
    more: dict[str, Any] = {"name": name, "severity": severity, "stops": stops}
    return _share("between", column, at_least, min_rows, least=least, most=most, **more)


def fresh(column: str, within: timedelta, *, name: str = "", severity: str = "fail") -> Check:
    """The newest row of the table is not older; times that are still to come do not count.

    Args:
        column: A date or time; without a zone it is taken as UTC, a date as its first moment.
        within: How old, such as `timedelta(hours=2)`. A table without a row is not fresh.
        name: Default: `fresh(column)`.
        severity: `fail` or `warn`.
    """
    if not isinstance(within, timedelta) or within <= timedelta():
        raise UsageError(f"quality.fresh({column}): within is a timedelta, such as hours=2")
    return Check(
        "fresh", name or _named("fresh", [column]), (column,), severity=severity, within=within
    )


def row_count(
    per: str,
    days: int = 7,
    least: float = 0.5,
    most: float = 2.0,
    *,
    name: str = "",
    severity: str = "fail",
) -> Check:
    """The last whole day has about as many rows as the days before it have on the mean.

    Today is not looked at: a part of a day cannot be compared with whole ones. Days are those of
    UTC. A day without rows counts as 0; days before the table's first row do not count.

    Args:
        per: A date or time of each row; without a zone it is taken as UTC.
        days: Days before the last whole one that it is compared with. Where weekends differ, a
            whole number of weeks.
        least: The smallest ratio of the day to that mean that is right.
        most: The largest one.
        name: Default: `row_count(per)`.
        severity: `fail` or `warn`.
    """
    if isinstance(days, bool) or not isinstance(days, int) or days < 1:
        raise UsageError(f"quality.row_count({per}): days is a whole number from 1")
    if not (_is_number(least) and _is_number(most) and 0 <= least <= most):
        raise UsageError(f"quality.row_count({per}): least and most are ratios, least below most")
    named = name or _named("row_count", [per])
    return Check("row_count", named, (per,), severity=severity, days=days, least=least, most=most)


def refers(
    column: str,
    to: str,
    at_least: float = 1.0,
    *,
    name: str = "",
    severity: str = "fail",
    min_rows: int | None = None,
) -> Check:
    """So large a share of the values is in a column of another table.

    Args:
        column: Which.
        to: `table.column` or `schema.table.column`.
        at_least: The share, from 0 to 1.
        name: Default: `refers(column)`.
        severity: `fail` or `warn`.
        min_rows: As of `not_null`.
    """
    if not isinstance(to, str) or _PLACE.fullmatch(to) is None:
        raise UsageError(f'quality.refers({column}): "{to}" is not table.column')
    return _share("refers", column, at_least, min_rows, name=name, severity=severity, parent=to)


def sql(query: str, *, name: str, severity: str = "fail") -> Check:
    """A query gives no row: it selects what is wrong. It may read, and not write."""
    if not isinstance(query, str) or not query.strip(" \t\r\n;"):
        raise UsageError(f"quality.sql({name}): give a SELECT of the rows that are wrong")
    return Check("sql", name, severity=severity, query=query.strip(" \t\r\n;"))


def expression(
    expr: pl.Expr,
    *,
    name: str,
    at_least: float = 1.0,
    severity: str = "fail",
    stops: bool = True,
    min_rows: int | None = None,
) -> Check:
    """So large a share of a load's rows makes a Polars expression true; NULL is not looked at.

    Args:
        expr: Of Boolean, over columns of the table as the load types them; of one row at a time,
            as a result of several would depend on how the rows come in batches.
        name: By which results name it.
        at_least: The share, from 0 to 1.
        severity: `fail` or `warn`.
        stops: False: a load in which it fails is marked instead of rolled back.
        min_rows: As of `not_null`.
    """
    if not isinstance(expr, pl.Expr):
        raise UsageError(f"quality.expression({name}): give a Polars expression")
    if why := unsuited(expr):
        raise UsageError(f"quality.expression({name}): {why[0].split(', and a map')[0]}")
    columns = tuple(dict.fromkeys(expr.meta.root_names()))
    if not columns:
        raise UsageError(f"quality.expression({name}): it looks at no column")
    return Check(
        "expression",
        name,
        columns,
        severity=severity,
        stops=stops,
        at_least=at_least,
        min_rows=_few(at_least, min_rows),
        expr=expr,
    )


def _share(
    kind: str, column: str, at_least: float, min_rows: int | None, *, name: str = "", **more: Any
) -> Check:
    return Check(
        kind,
        name or _named(kind, [column]),
        (column,),
        at_least=at_least,
        min_rows=_few(at_least, min_rows),
        **more,
    )


def _few(at_least: float, min_rows: int | None) -> int:
    if min_rows is not None:
        return min_rows
    return 1 if at_least == 1 else MIN_ROWS


def _named(kind: str, columns: Iterable[str]) -> str:
    return f"{kind}({', '.join(map(str, columns))})"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
