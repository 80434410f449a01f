"""The readings that a column's texts are tried with. Not for: choosing one (`decide`).

Types are tried by the very checks that a load makes, made stricter where a type would be taken for
what is none: 0 and 1 for booleans, leading zeros for numbers, 32 digits for a UUID.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import polars as pl

from penstock.loading.profile.facts import Reading
from penstock.loading.profile.types import column_of_type
from penstock.loading.types.registry import check_for
from penstock.model.marks import USUAL_NUMBERS, Marks, marks_of
from penstock.model.options import Grammar
from penstock.model.patterns import USUAL_DATES

#: The words for true and false, as pairs; 1 and 0 are integers.
BOOLEAN_PAIRS = (("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("on", "off"))
#: Ways to write numbers, the plainest first.
NUMBERS = ("1234.56", "1234,56", *USUAL_NUMBERS)
LEADING_ZERO = re.compile(r"[+-]?0[0-9]+")
_UUID = "^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_EXPONENT = r"^[+-]?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?$"
_MOMENTS = ("date", "timestamp", "timestamptz")

#: Texts (String, no NULLs, no blanks around) -> Boolean: which fit.
Fits = Callable[[pl.Series], pl.Series]


def readings(grammar: Grammar) -> dict[Reading, Fits]:
    """All readings but those as numbers (`number_fits`), with their tests.

    Args:
        grammar: Its `dates` are tried besides the usual patterns.
    """
    words = [word for pair in BOOLEAN_PAIRS for word in pair]
    found: dict[Reading, Fits] = {
        Reading("boolean"): lambda texts: texts.str.to_lowercase().is_in(words),
        Reading("uuid"): _matching(_UUID),
        Reading("jsonb"): _checked("jsonb", Grammar(), r"^[\[{]"),
        Reading("float"): _checked("double precision", Grammar(), _EXPONENT),
    }
    for pattern in dict.fromkeys((*USUAL_DATES, grammar.dates)):
        for kind in _MOMENTS:
            # A date alone is a date: midnight behind it would be lost from a timestamp.
            only = "^[^:]*$" if kind == "date" else None
            written = replace(Grammar(), dates=pattern)
            found[Reading(kind, pattern)] = _checked(kind, written, only)
    return found


def stricter(reading: Reading) -> tuple[Reading, ...]:
    """Readings that only fit what this one fits too: while one of them does, so does this."""
    found = []
    if reading.kind == "float":
        found.append(Reading("number", NUMBERS[0]))
    if reading.kind == "timestamp":
        found.append(Reading("date", reading.written))
    padded = re.sub(r"\bM\b", "MM", re.sub(r"\bD\b", "DD", reading.written))
    if reading.kind in _MOMENTS and padded != reading.written:
        found.append(Reading(reading.kind, padded))
    return tuple(found)


def number_readings(grammar: Grammar) -> tuple[str, ...]:
    """Examples of all ways in which numbers are tried, the plainest first."""
    return tuple(dict.fromkeys((*NUMBERS, grammar.numbers)))


def number_fits(texts: pl.Series, example: str, there: frozenset[str]) -> tuple[pl.Series, Marks]:
    """Which texts are numbers without leading zeros, and the marks that matter for them.

    Args:
        texts: Without blanks around.
        example: As of `Grammar.numbers`.
        there: The marks that occur in the texts.
    """
    marks = effective(example, there)
    some = f"[1-9][0-9]{{0,2}}(?:{re.escape(marks.group)}[0-9]{{3}})+|" if marks.group else ""
    whole = f"(?:0|{some}[1-9][0-9]*)"
    number = f"{whole}(?:{marks.point}[0-9]*)?|{marks.point}[0-9]+"
    return texts.str.contains(f"^[+-]?(?:{number})$"), marks


def effective(example: str, there: frozenset[str]) -> Marks:
    """The marks of an example without a grouping mark that does not occur."""
    marks = marks_of(example)
    return marks if marks.group in there else Marks(marks.decimal)


def _matching(pattern: str) -> Fits:
    return lambda texts: texts.str.contains(pattern)


def _checked(type_name: str, grammar: Grammar, only: str | None) -> Fits:
    """What a load's check of the type accepts, of the texts that match `only`."""
    check = check_for(column_of_type("0", 1, type_name), grammar)

    def fits(texts: pl.Series) -> pl.Series:
        good = pl.repeat(True, len(texts), dtype=pl.Boolean, eager=True)
        if only is not None:
            good = texts.str.contains(only)
            if not good.all():
                return good  # the first that does not fit decides
        suspect = texts.alias("0").to_frame().select(check.suspect).to_series()
        if not suspect.any():
            return good
        positions = suspect.arg_true()
        refused = check.careful(texts.gather(positions)).get_column("code").is_not_null()
        return good.scatter(positions.filter(refused), False)

    return fits
