"""numeric, with and without precision. Not for: money, or floating point (`floats`).

A scale is kept exactly: a cast to a fixed decimal rounds half to even and reads exponents, so
every text passes a pattern first. What no fixed decimal of 38 digits holds stays text.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_UP, Context, Decimal, InvalidOperation

import polars as pl

from penstock.loading.types.check import Check, Verdict, bare, refuse, second_look, shown
from penstock.loading.types.marks import has_exponent, no_number
from penstock.model.marks import Marks, marks_of
from penstock.model.options import Grammar
from penstock.model.table import Column

#: PostgreSQL's own limits of a numeric without precision: digits before and after the mark.
MAX_WHOLE, MAX_DECIMALS = 131072, 16383
_FIXED_DIGITS = 38
_EXACT = Context(prec=200_000, Emax=MAX_EMAX, Emin=MIN_EMIN)


def numeric_check(column: Column, grammar: Grammar) -> Check:
    """Digits with an optional sign and decimals, no exponent, no NaN.

    The value is a Decimal(p,s) for `numeric(p,s)` with 0 <= s <= p <= 38, else canonical text.

    Raises:
        UsageError: `grammar.numbers` shows no marks.
    """
    marks = marks_of(grammar.numbers)
    if column.precision is None:
        return _free(column, grammar, marks)
    limits = _Limits(column.type, column.precision, column.scale or 0, grammar.round)
    if 0 <= limits.scale <= limits.precision <= _FIXED_DIGITS:
        return _fixed(column, grammar, marks, limits)

    def judge(text: str) -> Verdict:
        return _judge(text, marks, limits)

    raw = pl.col(column.name)
    careful = second_look(pl.String(), bare(judge, "a number", grammar), _same)
    return Check(column, pl.String(), raw, raw.is_not_null(), careful)


@dataclass(frozen=True, slots=True)
class _Limits:
    type: str
    precision: int
    scale: int
    round: bool


def _fixed(column: Column, grammar: Grammar, marks: Marks, limits: _Limits) -> Check:
    dtype = pl.Decimal(limits.precision, limits.scale)
    if limits.scale == 0:
        exact = f"^[+-]?{marks.whole}(?:{marks.point}0*)?$"
    elif limits.scale > 0:
        some = f"[0-9]{{0,{limits.scale}}}0*"
        first = f"[0-9][0-9]{{0,{limits.scale - 1}}}0*"
        exact = f"^[+-]?(?:{marks.whole}(?:{marks.point}{some})?|{marks.point}{first})$"

    def cast(text: pl.Expr) -> pl.Expr:
        return text.cast(dtype, strict=False)

    def regular(text: pl.Expr) -> pl.Expr:
        return pl.when(text.str.contains(exact)).then(cast(marks.plain(text)))

    def judge(text: str) -> Verdict:
        return _judge(text, marks, limits)

    raw = pl.col(column.name)
    typed = cast(marks.plain(raw))
    suspect = raw.is_not_null() & (typed.is_null() | ~raw.str.contains(exact))
    careful = second_look(dtype, bare(judge, "a number", grammar), cast, regular)
    return Check(column, dtype, typed, suspect, careful)


def _free(column: Column, grammar: Grammar, marks: Marks) -> Check:
    canonical = f"^{marks.canonical_whole}(?:{marks.point}[0-9]+)?$"

    def judge(text: str) -> Verdict:
        return _judge_free(text, marks)

    raw = pl.col(column.name)
    suspect = raw.is_not_null() & (
        ~raw.str.contains(canonical) | (raw.str.len_bytes() > MAX_DECIMALS)
    )
    careful = second_look(pl.String(), bare(judge, "a number", grammar), _same)
    return Check(column, pl.String(), marks.plain(raw), suspect, careful)


def _same(canonical: pl.Expr) -> pl.Expr:
    return canonical


def _judge(text: str, marks: Marks, limits: _Limits) -> Verdict:
    plain = _read(text, marks)
    if isinstance(plain, Verdict):
        return plain
    value = Decimal(plain)
    step = Decimal(1).scaleb(-limits.scale)
    if value.is_zero():
        return Verdict(format(step * 0, "f"))
    if value.adjusted() >= limits.precision - limits.scale:
        return _overflow(text, limits)
    rounded = value.quantize(step, ROUND_HALF_UP, _EXACT)
    if rounded == value:
        return Verdict(format(rounded, "f"))
    if not limits.round:
        return refuse("scale", _too_fine(text, plain, limits))
    if not rounded.is_zero() and rounded.adjusted() >= limits.precision - limits.scale:
        return _overflow(text, limits)
    return Verdict(format(rounded, "f"), change="rounded")


def _overflow(text: str, limits: _Limits) -> Verdict:
    room = limits.precision - limits.scale
    if room > 0:
        rule = f"{limits.type} has {room} digits before the decimal mark"
    else:
        rule = f"{limits.type} holds values below {Decimal(1).scaleb(room):f}"
    return refuse("22003", f"{shown(text)} is out of range: {rule}")


def _too_fine(text: str, plain: str, limits: _Limits) -> str:
    if limits.scale < 0:
        unit = format(Decimal(1).scaleb(-limits.scale), "f")
        return f"{shown(text)} is no multiple of {unit}, {limits.type} keeps no less: --round"
    count = len(plain.partition(".")[2].rstrip("0"))
    noun = "decimal" if count == 1 else "decimals"
    return f"{shown(text)} has {count} {noun}, {limits.type} keeps {limits.scale}: --round"


def _judge_free(text: str, marks: Marks) -> Verdict:
    plain = _read(text, marks)
    if isinstance(plain, Verdict):
        return plain
    whole, point, decimals = plain.lstrip("+-").partition(".")
    whole = whole.lstrip("0") or "0"
    if len(whole) > MAX_WHOLE or len(decimals) > MAX_DECIMALS:
        return _beyond(text)
    sign = "-" if plain.startswith("-") and (whole + decimals).strip("0") else ""
    return Verdict(sign + whole + (point + decimals if decimals else ""))


def _beyond(text: str) -> Verdict:
    return refuse(
        "22003",
        f"{shown(text)} is out of range: numeric has {MAX_WHOLE} digits before the decimal"
        f" mark and {MAX_DECIMALS} after it",
    )


def _is_beyond(text: str) -> bool:
    """Of a number with an exponent: no numeric could hold it, however it were written."""
    try:
        number = Decimal(text.replace(",", "."))
    except InvalidOperation:
        return True
    exponent = number.as_tuple().exponent
    return not number.is_zero() and (
        number.adjusted() >= MAX_WHOLE or (isinstance(exponent, int) and -exponent > MAX_DECIMALS)
    )


def _read(text: str, marks: Marks) -> str | Verdict:
    plain = marks.read(text)
    if plain is not None:
        return plain
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return refuse("22P02", f"{shown(text)} is not a finite number: --null {text}")
    if has_exponent(text) and _is_beyond(text):
        return _beyond(text)
    return refuse("22P02", no_number(text, "a number"))
