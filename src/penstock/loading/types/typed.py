"""Typed columns as the canonical text that the grammars read. Not for: text columns' declarations.

A frame that came with types goes through the same checks as a file, so that both are refused for
the same reasons. The text says exactly what the value is: the default grammar reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal

import polars as pl

from penstock.errors import UsageError

#: Of a 64-bit count of nanoseconds: 2262-04-11 23:47:16.854775807.
_LAST_NANOSECOND = 2**63 - 1


def to_text(frame: pl.DataFrame) -> pl.DataFrame:
    r"""Every column as String, NULL where it was NULL.

    - whole numbers, decimals: all digits; a decimal keeps its scale
    - floating point: the shortest text that reads as the same value of that type, no exponent;
      `NaN`, `Infinity`, `-Infinity`
    - booleans `true`, `false`; enums and categories by their name
    - dates and times in ISO form with every digit that the unit has; with a zone in UTC, `+00:00`
    - binary `\x` and hexadecimal digits
    - lists and structs as JSON, with all digits of decimals

    Raises:
        UsageError: A column's type has no text here (Duration, Object, Map, extensions), or a
            moment was lost when it was read as nanoseconds.
    """
    return frame.select(_column(series) for series in frame.get_columns())


def _column(series: pl.Series) -> pl.Series:
    dtype = series.dtype
    if dtype == pl.String:
        return series
    if dtype.is_integer() or isinstance(
        dtype, pl.Null | pl.Decimal | pl.Boolean | pl.Enum | pl.Categorical
    ):
        return series.cast(pl.String)
    write = next((write for kind, write in _WRITERS if isinstance(dtype, kind)), None)
    if write is None:
        raise UsageError(
            f"column {series.name}: {dtype} has no text that PostgreSQL reads: cast it first",
            code="dtype",
        )
    return write(series)


def _float(series: pl.Series) -> pl.Series:
    if series.dtype == pl.Float16:
        series = series.cast(pl.Float32)
    text = series.cast(pl.String)
    odd = (text.str.contains("e", literal=True) | ~series.is_finite()).fill_null(False)
    if not odd.any():
        return text
    positions = odd.arg_true()
    return text.scatter(positions, [_positional(value) for value in text.gather(positions)])


def _positional(text: str) -> str:
    value = Decimal(text)
    if value.is_finite():
        return format(value, "f")
    return "NaN" if value.is_nan() else str(value)


def _datetime(series: pl.Series) -> pl.Series:
    if (series.to_physical() == _LAST_NANOSECOND).any():
        # Polars reads what it cannot hold, such as the year 9999 of an INT96 column, as this.
        raise UsageError(
            f"column {series.name}: {series.dtype} holds a moment outside of 1677 to 2262, which "
            "nanoseconds do not reach: write the file with timestamps in microseconds",
            code="dtype",
        )
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone is not None:
        utc = series.dt.convert_time_zone("UTC")
        return utc.dt.to_string("%Y-%m-%d %H:%M:%S%.9f+00:00")
    return series.dt.to_string("%Y-%m-%d %H:%M:%S%.9f")


def _binary(series: pl.Series) -> pl.Series:
    return ("\\x" + series.bin.encode("hex")).alias(series.name)


def _nested(series: pl.Series) -> pl.Series:
    if _has_nanoseconds(series.dtype):
        # Python's datetime and time would drop the last three digits.
        raise UsageError(
            f"column {series.name}: {series.dtype} holds nanoseconds, which JSON has no form for:"
            " cast it first",
            code="dtype",
        )
    texts = [None if value is None else _json(value, series) for value in series.to_list()]
    return pl.Series(series.name, texts, dtype=pl.String)


def _has_nanoseconds(dtype: object) -> bool:
    if isinstance(dtype, pl.List | pl.Array):
        return _has_nanoseconds(dtype.inner)
    if isinstance(dtype, pl.Struct):
        return any(_has_nanoseconds(field.dtype) for field in dtype.fields)
    return isinstance(dtype, pl.Time) or (
        isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns"
    )


def _json(value: object, series: pl.Series) -> str:
    if isinstance(value, list):
        return "[" + ",".join(_json(item, series) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(k)}:{_json(v, series)}" for k, v in value.items()) + "}"
    if value is None or isinstance(value, bool | int | float):
        # NaN and the infinities become words that the check of json refuses, row by row.
        return json.dumps(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, date | time):
        return _quoted(value.isoformat())
    raise UsageError(
        f"column {series.name}: {series.dtype} holds a {type(value).__name__}, which JSON has no"
        " form for: cast it first",
        code="dtype",
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


_WRITERS: tuple[tuple[type[pl.DataType], Callable[[pl.Series], pl.Series]], ...] = (
    (pl.Float16, _float),
    (pl.Float32, _float),
    (pl.Float64, _float),
    (pl.Date, lambda series: series.dt.to_string("%Y-%m-%d")),
    (pl.Datetime, _datetime),
    (pl.Time, lambda series: series.dt.to_string("%H:%M:%S%.f")),
    (pl.Binary, _binary),
    (pl.List, _nested),
    (pl.Array, _nested),
    (pl.Struct, _nested),
)
