"""What a transform gives, as rows of text that the loader's grammars read. Not for: transforms."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from penstock.model.batch import ROW

#: Before the decimal mark PostgreSQL's numeric has fewer, and behind it fewer still.
_MOST_DIGITS = 200_000


class CannotBeText(Exception):
    """A value that no column can take; the message names its column."""


def rows_frame(rows: Sequence[Mapping[str, str | None]], events: Sequence[int]) -> pl.DataFrame:
    """Rows of text as a frame.

    Args:
        rows: As `text_row` gives them.
        events: The number of the event that each was made of.

    Returns:
        A String column for each key that any row has, in the order in which they were met, then
        `_row` (Int64).
    """
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    schema = dict.fromkeys(names, pl.String())
    return pl.DataFrame(columns, schema=schema).with_columns(pl.Series(ROW, events, dtype=pl.Int64))


def text_row(row: Mapping[str, Any]) -> dict[str, str | None]:
    """One row that a transform gave, its values as text.

    Raises:
        CannotBeText: It has a key or a value that no column can take.
    """
    return {_name(name): _text(name, value) for name, value in row.items()}


def _name(name: object) -> str:
    if not isinstance(name, str) or name == ROW:
        raise CannotBeText(f"{name!r} is not the name of a column")
    return name


def _text(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        if not value.isascii():
            _encodable(name, value)
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = repr(value)
        # 0.00001 is 1e-05 to Python, and no number of PostgreSQL's grammar has an exponent.
        return text if "e" not in text else format(Decimal(text), "f")
    if isinstance(value, Decimal):
        # `1e999999999` would be a text of a gigabyte: the load refuses it as it is written.
        plain = value.is_finite() and -_MOST_DIGITS < value.adjusted() < _MOST_DIGITS
        return format(value, "f") if plain else str(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, (Mapping, list, tuple)):
        return _json(name, value)
    raise CannotBeText(
        f"{name}: a {type(value).__name__} is no value of a column; give a text, a number, a time "
        "or what JSON can hold"
    )


def _json(name: str, value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_exact)
    except (TypeError, ValueError, RecursionError) as error:
        raise CannotBeText(f"{name}: cannot be written as JSON: {error}") from None
    _encodable(name, text)
    return text


def _exact(value: Any) -> Any:
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is not of JSON")


def _encodable(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CannotBeText(
            f"{name}: half of a surrogate pair, which no text of PostgreSQL can hold"
        ) from None
