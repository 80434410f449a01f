"""timestamp without time zone. Not for: timestamptz (`zones`)."""

from __future__ import annotations

import polars as pl

from penstock.loading.types.check import Check, Verdict, bare, refuse, second_look, shown
from penstock.loading.types.moments import CLOCK, read_moment, to_local
from penstock.model.options import Grammar
from penstock.model.patterns import DatePattern, pattern_of
from penstock.model.table import Column

#: Canonical texts of verdicts.
CANONICAL = "%Y-%m-%d %H:%M:%S%.f"
MICROSECONDS = pl.Datetime("us")


def timestamp_check(column: Column, grammar: Grammar) -> Check:
    """Date in the declared pattern, a blank or `T`, `HH:MM[:SS[.ffffff]]`; or the date alone.

    Raises:
        UsageError: `grammar.dates` is no pattern.
    """
    pattern = pattern_of(grammar.dates)
    digits = 6 if column.fraction is None else column.fraction
    raw = pl.col(column.name)
    typed = quick(raw, pattern)
    suspect = raw.is_not_null() & (typed.is_null() | ~raw.str.contains(quick_form(pattern)))

    def judge(text: str) -> Verdict:
        moment = read_moment(text, pattern)
        if isinstance(moment, Verdict):
            return moment
        if moment.offset is not None:
            return refuse(
                "offset",
                f"{shown(text)} has an offset, which {column.type} would lose:"
                " make the column timestamptz, or take the offset away",
            )
        local = to_local(text, moment, digits, type_name=column.type, rounding=grammar.round)
        if isinstance(local, Verdict):
            return local
        return Verdict(local[0].isoformat(" "), change="rounded" if local[1] else None)

    def regular(text: pl.Expr) -> pl.Expr:
        return pl.when(text.str.contains(f"^{local_form(pattern, digits)}$")).then(
            local_time(text, pattern)
        )

    careful = second_look(
        MICROSECONDS,
        bare(judge, "a timestamp", grammar),
        lambda canonical: canonical.str.to_datetime(CANONICAL, strict=False, time_unit="us"),
        regular,
    )
    return Check(column, MICROSECONDS, typed, suspect, careful)


def quick(text: pl.Expr, pattern: DatePattern) -> pl.Expr:
    """The local time of the commonest form, `DATE HH:MM:SS`; fractions cost four times as much."""
    return text.str.to_datetime(f"{pattern.format} %H:%M:%S", strict=False, time_unit="us")


def quick_form(pattern: DatePattern) -> str:
    """Regular expression of the texts that `quick` reads right, if it reads them."""
    return f"^{pattern.regex} {CLOCK}:[0-5][0-9]$"


def local_form(pattern: DatePattern, digits: int) -> str:
    """Regular expression, without anchors, of the texts that `local_time` reads right."""
    fraction = f"[0-9]{{1,{digits}}}0*" if digits else "0+"
    return rf"{pattern.regex}(?:[ T]{CLOCK}(?::[0-5][0-9](?:\.{fraction})?)?)?"


def local_time(text: pl.Expr, pattern: DatePattern) -> pl.Expr:
    """The local time of any text of `local_form`."""
    text = (
        pl.when(text.str.contains(f"[ T]{CLOCK}$"))
        .then(text + ":00")
        .when(text.str.contains(":", literal=True))
        .then(text)
        .otherwise(text + " 00:00:00")
    )
    spaced = text.str.replace("T", " ", literal=True)
    return spaced.str.to_datetime(f"{pattern.format} %H:%M:%S%.f", strict=False, time_unit="us")
