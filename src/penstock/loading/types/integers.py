"""smallint, integer, bigint. Not for: numerics without decimals, which are `numerics`."""

from __future__ import annotations

import polars as pl

from penstock.loading.types.check import (
    Check,
    Verdict,
    bare,
    refuse,
    second_look,
    shown,
)
from penstock.loading.types.marks import no_number
from penstock.model.marks import Marks, marks_of
from penstock.model.options import Grammar
from penstock.model.table import Column

_DTYPES: dict[str, tuple[pl.DataType, int]] = {
    "int2": (pl.Int16(), 16),
    "int4": (pl.Int32(), 32),
    "int8": (pl.Int64(), 64),
}


def integer_check(column: Column, grammar: Grammar) -> Check:
    """Digits with an optional sign; decimals that are all zero (`17850.0`) say the same.

    Raises:
        UsageError: `grammar.numbers` shows no marks.
    """
    dtype, bits = _DTYPES[column.base]
    marks = marks_of(grammar.numbers)
    raw = pl.col(column.name)
    typed = marks.plain(raw).cast(dtype, strict=False)
    suspect = raw.is_not_null() & typed.is_null()
    if not marks.plain_already:
        # Taking the marks away would make 1.2.3 and 1,5 numbers: their places are checked first.
        suspect = raw.is_not_null() & (typed.is_null() | ~raw.str.contains(f"^[+-]?{marks.whole}$"))

    def regular(text: pl.Expr) -> pl.Expr:
        digits = marks.plain(text).str.replace(r"\.0*$", "").cast(dtype, strict=False)
        return pl.when(text.str.contains(f"^[+-]?{marks.whole}(?:{marks.point}0*)?$")).then(digits)

    def judge(text: str) -> Verdict:
        return _judge(text, marks, column.type, 1 << (bits - 1))

    careful = second_look(
        dtype,
        bare(judge, "an integer", grammar),
        lambda canonical: canonical.cast(dtype, strict=False),
        regular,
    )
    return Check(column, dtype, typed, suspect, careful)


def _judge(text: str, marks: Marks, type_name: str, bound: int) -> Verdict:
    plain = marks.read(text)
    if plain is None:
        return refuse("22P02", no_number(text, "an integer"))
    whole, _, decimals = plain.partition(".")
    if decimals.strip("0"):
        return refuse(
            "22P02", f"{shown(text)} is not a whole number, {type_name} keeps no decimals"
        )
    negative = whole.startswith("-")
    digits = whole.lstrip("+-").lstrip("0") or "0"
    # int() refuses more than 4300 digits, so the length is looked at first.
    if len(digits) > 19 or int(digits) > bound - (not negative):
        return refuse(
            "22003", f"{shown(text)} is out of range of {type_name} ({-bound} to {bound - 1})"
        )
    return Verdict(("-" if negative else "") + digits)
