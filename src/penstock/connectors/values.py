"""Python's values, as drivers of databases give them, to columns with exact types. Not for: SQL.

A column is of the one kind that all its values have; nothing is made of another kind silently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl

from penstock.errors import SourceError

#: Digits that a fixed decimal holds.
_DIGITS = 38
#: Up to here floating point holds every whole number.
_EXACT_FLOAT = 2**53
_MOST = 2**63
#: Seconds of an hour and of a minute.
_HOUR, _MINUTE = 3600, 60

_NAMES = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a floating-point number",
    "decimal": "a decimal",
    "text": "a text",
    "binary": "binary",
    "date": "a date",
    "timestamp": "a timestamp without a zone",
    "timestamptz": "a timestamp with a zone",
    "time": "a time",
    "span": "a span of time",
    "uuid": "a UUID",
    "json": "JSON",
}
_KINDS: Mapping[type, str] = {
    bool: "bool",
    int: "int",
    float: "float",
    Decimal: "decimal",
    str: "text",
    bytes: "binary",
    bytearray: "binary",
    memoryview: "binary",
    date: "date",
    time: "time",
    timedelta: "span",
    UUID: "uuid",
    dict: "json",
    list: "json",
}
_TYPES: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "bool": pl.Boolean,
    "int": pl.Int64,
    "float": pl.Float64,
    "decimal": pl.Decimal(_DIGITS, 0),
    "binary": pl.Binary,
    "date": pl.Date,
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "time": pl.Time,
}


class Gathered:
    """A column as it comes in, batch by batch.

    Args:
        name: Its own.
        declared: The kind that the database declares, a key of what messages name; empty: none.
        scale: Digits after the point that it declares for decimals.

    Attributes:
        kind: What its values are so far; empty: there was none.
        largest: Of its whole numbers, whatever their sign.
    """

    def __init__(self, name: str, declared: str = "", scale: int = 0) -> None:
        self.name = name
        self.kind = declared
        self._scale = scale
        self._rows = 0
        self._parts: list[pl.Series] = []
        self.largest = 0

    def take(self, values: Sequence[Any]) -> None:
        """The next values.

        Raises:
            SourceError: They are not of the kind of those before.
        """
        for python in dict.fromkeys(map(type, values)):
            if python is not type(None):
                self._meet(python, values)
        self._parts.append(_WRITERS.get(self.kind, _plain)(values, self))
        self._rows += len(values)

    def column(self, unknown: Any = pl.String) -> pl.Series:
        """All of it.

        Args:
            unknown: The type of a column whose type nothing says: no value, none declared.
        """
        kind = self.kind
        if kind == "decimal":
            return _decimals(self.name, self._parts, self._scale)
        if kind == "int" and self.largest >= _MOST:
            return _decimals(self.name, self._parts, 0)
        dtype = _TYPES.get(kind, pl.String if kind else unknown)
        parts = [
            pl.Series([None], dtype=dtype).new_from_index(0, len(part))
            if part.null_count() == len(part)  # its batch came before the kind was known
            else part.cast(dtype)
            for part in self._parts
        ]
        return pl.concat([pl.Series(self.name, [], dtype=dtype), *parts])

    def _meet(self, python: type, values: Sequence[Any]) -> None:
        for kind in dict.fromkeys(_kind_of(value) for value in values if type(value) is python):
            if not self.kind:
                self.kind = kind
            elif {kind, self.kind} == {"int", "float"}:
                self._as_floats(kind, values)
            elif kind != self.kind:
                raise self._mixed(kind, values)

    def _as_floats(self, kind: str, values: Sequence[Any]) -> None:
        """SQLite keeps 1.0 as 1 in columns for numbers: the same value, where it is small."""
        whole = [value for value in values if type(value) is int]
        if max(self.largest, *map(abs, whole), 0) > _EXACT_FLOAT:
            raise self._mixed(kind, values)
        self.kind = "float"

    def _mixed(self, kind: str, values: Sequence[Any]) -> SourceError:
        there = [value is not None and _kind_of(value) == kind for value in values]
        place = there.index(True) + 1
        had = _NAMES[self.kind]
        shown = str(values[place - 1])[:40]
        advice = f"Say in the query what is meant: cast({self.name} as char) or as text"
        if had.startswith(("a date", "a timestamp")) and kind == "text":
            advice = (
                f"PostgreSQL has no such date. Say what it means: nullif({self.name}, {shown!r}) "
                f"makes it NULL, cast({self.name} as char) a text"
            )
        return SourceError(
            f"Column {self.name} is {had}, and {_NAMES[kind]} in row "
            f"{self._rows + place:,}: {shown!r}. {advice}.",
            code="mixed",
        )


def _kind_of(value: Any) -> str:
    if isinstance(value, datetime):
        return "timestamp" if value.tzinfo is None else "timestamptz"
    found = _KINDS.get(type(value))
    if found is not None:
        return found
    for kind, name in _KINDS.items():  # a driver's own kinds of text and numbers
        if isinstance(value, kind):
            return name
    raise SourceError(
        f"The driver gives a {type(value).__name__}, which is no value of a column: cast it to "
        "text in the query",
        code="type",
    )


def _plain(values: Sequence[Any], column: Gathered) -> pl.Series:
    if column.kind in _TYPES:
        return pl.Series(values, dtype=_TYPES[column.kind], strict=True)
    return pl.Series([None if one is None else str(one) for one in values], dtype=pl.String)


def _ints(values: Sequence[Any], column: Gathered) -> pl.Series:
    largest = max((abs(one) for one in values if one is not None), default=0)
    column.largest = max(column.largest, largest)
    if largest < _MOST:
        return pl.Series(values, dtype=pl.Int64, strict=True)
    return _decimal_texts(values, column)


def _decimal_texts(values: Sequence[Any], column: Gathered) -> pl.Series:
    del column
    return pl.Series([None if one is None else _digits(one) for one in values], dtype=pl.String)


def _digits(value: int | Decimal) -> str:
    """All digits, without an exponent."""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _decimals(name: str, parts: Sequence[pl.Series], scale: int) -> pl.Series:
    """Decimals of the largest scale that is there; text where 38 digits do not hold them."""
    texts = [part.cast(pl.String) for part in parts]
    whole = pl.concat([pl.Series(name, [], dtype=pl.String), *texts])
    found = whole.str.split(".").list.get(1, null_on_oob=True).str.len_bytes().max()
    largest = max(scale, int(found) if isinstance(found, int) else 0)
    if largest > _DIGITS:
        return whole
    column = whole.cast(pl.Decimal(_DIGITS, largest), strict=False)
    return whole if column.null_count() > whole.null_count() else column


def _floats(values: Sequence[Any], column: Gathered) -> pl.Series:
    del column
    return pl.Series([None if one is None else float(one) for one in values], dtype=pl.Float64)


def _binaries(values: Sequence[Any], column: Gathered) -> pl.Series:
    del column
    return pl.Series([None if one is None else bytes(one) for one in values], dtype=pl.Binary)


def _moments(values: Sequence[Any], column: Gathered) -> pl.Series:
    del column
    utc = [None if one is None else one.astimezone(UTC) for one in values]
    return pl.Series(utc, dtype=pl.Datetime("us", "UTC"))


def _json(values: Sequence[Any], column: Gathered) -> pl.Series:
    del column
    texts = [None if one is None else json.dumps(one, ensure_ascii=False) for one in values]
    return pl.Series(texts, dtype=pl.String)


def _spans(values: Sequence[Any], column: Gathered) -> pl.Series:
    del column
    return pl.Series([None if one is None else _span(one) for one in values], dtype=pl.String)


def _span(value: timedelta) -> str:
    """`-838:59:59.000001`: hours may be many."""
    sign = "-" if value < timedelta() else ""
    value = abs(value)
    minutes, seconds = divmod(value.days * 24 * _HOUR + value.seconds, _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"


_WRITERS: Mapping[str, Callable[[Sequence[Any], Gathered], pl.Series]] = {
    "int": _ints,
    "float": _floats,
    "decimal": _decimal_texts,
    "binary": _binaries,
    "timestamptz": _moments,
    "json": _json,
    "span": _spans,
}
