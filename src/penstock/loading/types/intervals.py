"""interval: decimals that PostgreSQL would round. Not for: the form, which its input judges.

PostgreSQL keeps months, days and microseconds apart, and rounds what falls below: decimals of a
year to whole months, decimals of a second to microseconds.
"""

from __future__ import annotations

import re

import polars as pl

from penstock.loading.types.check import Check, Verdict, refuse, second_look, shown
from penstock.model.options import Grammar
from penstock.model.table import Column

#: Beginnings of the units (PostgreSQL source, datetime.c) -> decimals that are kept.
_KEPT = (
    (re.compile("ms|milli"), 3),
    (re.compile("us|micro"), 0),
)
#: As above -> months.
_MONTHS = (
    (re.compile("y"), 12),
    (re.compile("dec"), 120),
    (re.compile("c"), 1_200),
    (re.compile("mil"), 12_000),
)
_MOST = 6
#: Digits that survive a double, by which ISO forms (`P1DT2.5S`) are read.
_DOUBLE = 15
_DECIMAL = re.compile(
    r"(?P<whole>[0-9]*)\.(?P<decimals>[0-9]+)(?:[^a-z0-9.+-]*(?P<unit>[a-z]+)|(?P<year>-))?"
)
#: Only ISO forms take exponents.
_EXPONENT = re.compile(r"[0-9.]e[+-]?[0-9]")


def interval_check(column: Column, grammar: Grammar) -> Check:
    """The text as it is, blanks and empty texts included, unless its decimals would be rounded."""
    del grammar

    def judge(text: str) -> Verdict:
        why = _rounded(text.lower())
        if why is None:
            return Verdict(text)
        return refuse("scale", f"{shown(text)} has {why}, which {column.type} would round")

    raw = pl.col(column.name)
    suspect = raw.str.contains(r"\.|[0-9][eE]").fill_null(False)
    careful = second_look(pl.String(), judge, lambda canonical: canonical)
    return Check(column, pl.String(), raw, suspect, careful)


def _rounded(text: str) -> str | None:
    """What of the text PostgreSQL does not keep, or None."""
    iso = text.lstrip().startswith("p")
    if iso and _EXPONENT.search(text):
        return "an exponent"
    for match in _DECIMAL.finditer(text):
        decimals, unit = match["decimals"].rstrip("0"), match["unit"] or ""
        if match["year"]:
            unit = "years"  # the ISO form P0001.5-01-01
        months = next((size for start, size in _MONTHS if start.match(unit)), None)
        kept = next((count for start, count in _KEPT if start.match(unit)), _MOST)
        if kept != _MOST:
            months = None  # milliseconds begin as millennia do
        if months is None:
            lost = len(decimals) > kept
        else:
            lost = len(decimals) > _MOST or int(decimals or 0) * months % 10 ** len(decimals) != 0
        if lost or (iso and decimals and len(match["whole"] + decimals) > _DOUBLE):
            return f"the decimals .{decimals} {unit}".rstrip()
    return None
