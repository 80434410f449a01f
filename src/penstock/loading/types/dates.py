"""date. Not for: points in time (`timestamps`, `zones`)."""

from __future__ import annotations

from datetime import date

import polars as pl

from penstock.loading.types.check import Check, Verdict, bare, refuse, second_look, shown
from penstock.loading.types.moments import read_moment
from penstock.loading.types.patterns import read_date
from penstock.model.options import Grammar
from penstock.model.patterns import DatePattern, pattern_of
from penstock.model.table import Column

#: A time of day that adds nothing to a date.
_MIDNIGHT = r"[ T]0?0:00(?::00(?:\.0+)?)?$"


def date_check(column: Column, grammar: Grammar) -> Check:
    """A day of the years 1 to 9999 in the declared pattern; midnight may stand behind it.

    Raises:
        UsageError: `grammar.dates` is no pattern.
    """
    pattern = pattern_of(grammar.dates)
    formed = f"^{pattern.regex}$"

    def cast(text: pl.Expr) -> pl.Expr:
        return text.str.to_date(pattern.format, strict=False)

    def regular(text: pl.Expr) -> pl.Expr:
        day = text.str.replace(_MIDNIGHT, "")
        return pl.when(day.str.contains(formed)).then(cast(day))

    def judge(text: str) -> Verdict:
        return _judge(text, pattern, column.type)

    raw = pl.col(column.name)
    typed = cast(raw)
    suspect = raw.is_not_null() & (typed.is_null() | ~raw.str.contains(formed))
    careful = second_look(
        pl.Date(),
        bare(judge, "a date", grammar),
        lambda canonical: canonical.str.to_date("%Y-%m-%d", strict=False),
        regular,
    )
    return Check(column, pl.Date(), typed, suspect, careful)


def _judge(text: str, pattern: DatePattern, type_name: str) -> Verdict:
    found = read_date(text, pattern)
    if isinstance(found, date):
        return Verdict(found.isoformat())
    moment = read_moment(text, pattern)
    if isinstance(moment, Verdict):
        return found if moment.code == "22007" else moment
    if moment.offset is not None:
        return refuse("offset", f"{shown(text)} has an offset, which {type_name} does not keep")
    if moment.has_time:
        return refuse("22007", f"{shown(text)} has a time of day, which {type_name} does not keep")
    return Verdict(moment.day.isoformat())
