"""How a field's text becomes what it says: dates, numbers, types. Not for: where it comes from.

Every step is one expression over the column `VALUE`; NULL out of a value means: not readable.
Nothing is rounded, guessed or cut here: a value is read exactly, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from penstock.model.marks import Marks
from penstock.model.patterns import ISO, DatePattern, pattern_of

#: The column that steps read.
VALUE = "value"
#: What means nothing around a number, a date or a boolean. A no-break space is not a blank.
BLANKS = " \t\r\n"
#: Digits that a fixed decimal holds.
DIGITS = 38
_SHOWN = 40

#: How a text may be cleaned, in the order that the field names it.
CLEAN: Mapping[str, Callable[[pl.Expr], pl.Expr]] = {
    "trim": lambda text: text.str.strip_chars(BLANKS),
    "squeeze": lambda text: text.str.replace_all(f"[{BLANKS}]+", " "),
    "lower": lambda text: text.str.to_lowercase(),
    "upper": lambda text: text.str.to_uppercase(),
    "empty_to_null": lambda text: pl.when(text != "").then(text),
}

_INTEGER = r"^[+-]?[0-9]+(?:\.0*)?$"
_FLOAT = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_PLAIN = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)$"
_ISO = pattern_of(ISO).regex
_MOMENT = (
    rf"^{_ISO}"
    r"(?:[ T](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?)?$"
)
_TRUE, _FALSE = ("true", "t", "yes", "y", "on", "1"), ("false", "f", "no", "n", "off", "0")


@dataclass(frozen=True, slots=True)
class Reading:
    """A step that reads.

    Attributes:
        value: NULL where the text is not what is `wanted`.
        wanted: With its article: `an integer`.
        rounds: True where the value may be another one than the text says.
    """

    value: pl.Expr
    wanted: str
    rounds: bool = False


def shown(value: pl.Expr) -> pl.Expr:
    """A value as a message shows it: as text, and short."""
    text = value.cast(pl.String)
    return (
        pl.when(text.str.len_chars() > _SHOWN)
        .then(pl.format("{}…", text.str.slice(0, _SHOWN - 1)))
        .when(text.str.strip_chars() == "")
        .then(pl.format('"{}"', text))
        .otherwise(text)
    )


def read_dates(pattern: DatePattern) -> Reading:
    """A text in the declared pattern as `YYYY-MM-DD`; a time of day behind it stays as it is."""
    parts = (
        pl.col(VALUE)
        .str.strip_chars(BLANKS)
        .str.extract_groups(f"^{pattern.regex}(?:[ T](?P<rest>.+))?$")
    )
    year, month, day, rest = (parts.struct.field(name) for name in ("y", "m", "d", "rest"))
    iso = pl.format("{}-{}-{}", year, month.str.zfill(2), day.str.zfill(2))
    real = iso.str.to_date("%Y-%m-%d", strict=False).is_not_null()
    text = pl.when(rest.is_null()).then(iso).otherwise(pl.format("{} {}", iso, rest))
    return Reading(pl.when(real).then(text), f"a date written as {pattern.text}")


def read_numbers(marks: Marks, example: str) -> Reading:
    """A text with the declared marks as `1234.56`."""
    text = pl.col(VALUE).str.strip_chars(BLANKS)
    form = f"^[+-]?(?:{marks.whole}(?:{marks.point}[0-9]*)?|{marks.point}[0-9]+)$"
    value = pl.when(text.str.contains(form)).then(marks.plain(text))
    return Reading(value, f"a number written like {example}")


def round_text(decimals: int) -> Reading:
    """A number as text, rounded half away from zero as PostgreSQL does, where it has more."""
    text = pl.col(VALUE).str.strip_chars(BLANKS)
    # The next decimal alone decides, so nothing that comes after it is read.
    start = text.str.extract(rf"^([+-]?[0-9]*\.?[0-9]{{0,{decimals + 1}}})")
    rounded = (
        start.cast(pl.Decimal(DIGITS, decimals + 1), strict=False)
        .round(decimals, mode="half_away_from_zero")
        .cast(pl.Decimal(DIGITS, decimals), strict=False)
        .cast(pl.String)
    )
    more = text.str.contains(rf"\.[0-9]{{{decimals}}}[0-9]*[1-9]")
    value = pl.when(text.str.contains(_PLAIN)).then(pl.when(more).then(rounded).otherwise(text))
    return Reading(value, f"a number of at most {DIGITS} digits", rounds=True)


def read_type(dtype: pl.DataType) -> Reading | None:
    """A text as a value of that type; None where the type is none of those that a field takes."""
    if isinstance(dtype, pl.String):
        return Reading(pl.col(VALUE), "a text")
    text = pl.col(VALUE).str.strip_chars(BLANKS)
    if dtype.is_integer():
        whole = text.str.strip_prefix("+").str.replace(r"\.0*$", "")
        return _formed(text, _INTEGER, whole.cast(dtype, strict=False), f"an {dtype} integer")
    if isinstance(dtype, pl.Decimal):
        exact = rf"^[+-]?(?:[0-9]+(?:\.[0-9]{{0,{dtype.scale}}}0*)?|\.[0-9]{{1,{dtype.scale}}}0*)$"
        if dtype.scale == 0:
            exact = _INTEGER
        size = f"{dtype.precision} digits, {dtype.scale} of them decimals"
        return _formed(text, exact, text.cast(dtype, strict=False), f"a number of at most {size}")
    if isinstance(dtype, pl.Float64):
        number = text.cast(dtype, strict=False)
        number = pl.when(number.is_finite()).then(number)
        return _formed(text, _FLOAT, number, "a number")
    return _other(dtype, text)


def typed(dtype: pl.DataType) -> Reading:
    """`read_type` of a type that a field takes."""
    reading = read_type(dtype)
    if reading is None:
        raise AssertionError(f"{dtype} was not refused when the map was made")
    return reading


def _other(dtype: pl.DataType, text: pl.Expr) -> Reading | None:
    if isinstance(dtype, pl.Boolean):
        word = text.str.to_lowercase()
        said = pl.when(word.is_in(_TRUE)).then(True).when(word.is_in(_FALSE)).then(False)
        return Reading(said, "true or false")
    if isinstance(dtype, pl.Date):
        day = text.str.replace(r"[ T]00:00(?::00(?:\.0+)?)?$", "")
        read = day.str.to_date("%Y-%m-%d", strict=False)
        return _formed(day, f"^{_ISO}$", read, f"a date written as {ISO}")
    if dtype == pl.Datetime("us"):
        full = text.str.replace("T", " ", literal=True)
        full = full.str.replace(r"^(.{10})$", "$1 00:00").str.replace(r"^(.{16})$", "$1:00")
        moment = full.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")
        return _formed(text, _MOMENT, moment, "a time written as YYYY-MM-DD HH:MM:SS")
    return None


def _formed(text: pl.Expr, form: str, value: pl.Expr, wanted: str) -> Reading:
    return Reading(pl.when(text.str.contains(form)).then(value), wanted)


def literal(value: Any, dtype: pl.DataType) -> pl.Expr:
    """A default as a value of a column's type; of its own type where the column has only NULLs."""
    return pl.lit(value) if isinstance(dtype, pl.Null) else pl.lit(value).cast(dtype)


def fits(value: Any, dtype: pl.DataType) -> bool:
    """Whether a default is exactly a value of the type; every plain value is a text."""
    try:
        made = pl.select(literal(value, dtype)).item()
    except (pl.exceptions.PolarsError, TypeError):
        return False
    return isinstance(dtype, pl.String) or bool(made == value)
