"""real and double precision. Not for: numeric, which keeps decimals exactly (`numerics`).

A decimal text is rounded to the nearest binary number: that is what the type means, and no fault.
"""

from __future__ import annotations

import re

import polars as pl

from penstock.loading.types.check import Check, Verdict, bare, refuse, second_look, shown
from penstock.loading.types.marks import no_number
from penstock.model.marks import Marks, marks_of
from penstock.model.options import Grammar
from penstock.model.table import Column

_DTYPES: dict[str, pl.DataType] = {"float4": pl.Float32(), "float8": pl.Float64()}
_SPECIAL = {
    "nan": "NaN",
    "inf": "inf",
    "+inf": "inf",
    "-inf": "-inf",
    "infinity": "inf",
    "+infinity": "inf",
    "-infinity": "-inf",
}
_MANTISSA = re.compile(r"[^eE]*")


def float_check(column: Column, grammar: Grammar) -> Check:
    """Decimal or exponent notation, NaN, Infinity, -Infinity and inf in any case.

    What would become infinite, or zero without being zero, is out of range, as in PostgreSQL.

    Raises:
        UsageError: `grammar.numbers` shows no marks.
    """
    dtype = _DTYPES[column.base]
    marks = marks_of(grammar.numbers)
    number = f"(?:{marks.whole}(?:{marks.point}[0-9]*)?|{marks.point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    formed = f"^[+-]?{number}$"
    zero = f"^[+-]?[0{re.escape(marks.group)}]+(?:{marks.point}0*)?$"

    def cast(text: pl.Expr) -> pl.Expr:
        return text.cast(dtype, strict=False)

    def doubtful(text: pl.Expr, value: pl.Expr) -> pl.Expr:
        # NULL, NaN and the infinities are not finite; a zero may have been another number.
        odd = ~value.is_finite().fill_null(False) | ((value == 0) & ~text.str.contains(zero))
        return odd if marks.plain_already else odd | ~text.str.contains(formed)

    def regular(text: pl.Expr) -> pl.Expr:
        value = cast(marks.plain(text))
        return pl.when(~doubtful(text, value)).then(value)

    def judge(text: str) -> Verdict:
        return _judge(text, marks, re.compile(formed), column.type, dtype)

    raw = pl.col(column.name)
    typed = cast(marks.plain(raw))
    suspect = raw.is_not_null() & doubtful(raw, typed)
    careful = second_look(dtype, bare(judge, "a number", grammar), cast, regular)
    return Check(column, dtype, typed, suspect, careful)


def _judge(
    text: str, marks: Marks, formed: re.Pattern[str], type_name: str, dtype: pl.DataType
) -> Verdict:
    special = _SPECIAL.get(text.lower())
    if special is not None:
        return Verdict(special)
    if not formed.match(text):
        return refuse("22P02", no_number(text, "a number"))
    plain = text.replace(marks.group, "") if marks.group else text
    plain = plain.replace(marks.decimal, ".")
    # One value through the cast that the column takes: real is not rounded by way of double.
    value = pl.Series([plain], dtype=pl.String).cast(dtype)[0]
    mantissa = _MANTISSA.match(plain)
    vanished = value == 0 and mantissa is not None and mantissa[0].strip("+-0.") != ""
    if vanished or value in (float("inf"), float("-inf")):
        size = "small" if vanished else "large"
        return refuse("22003", f"{shown(text)} is out of range: too {size} for {type_name}")
    return Verdict(plain)
