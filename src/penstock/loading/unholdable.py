"""Finds values that the database's encoding cannot hold. Not for: databases in UTF8."""

from __future__ import annotations

import json

import polars as pl

from penstock.model.table import Column
from penstock.postgres.encodings import Encoding, missing

#: Characters that a reason names.
_NAMED = 3
#: Halves of surrogate pairs, which are refused as such.
_SURROGATE, _LAST = "\ud800", "\udfff"


def unholdable(column: Column, texts: pl.Series, encoding: Encoding) -> pl.DataFrame:
    """The values of a column that the encoding cannot hold.

    Args:
        column: The target column.
        texts: Its values, as they will be sent (String).
        encoding: The database's.

    Returns:
        `position` (UInt32) in `texts` and `reason`, in their order.
    """
    suspect = pl.lit(value=False)
    text = pl.col("text")
    if encoding.of_texts is not None:
        suspect = text.str.len_bytes() != text.str.len_chars()
    if column.base == "jsonb":
        suspect = suspect | text.str.contains("\\u", literal=True)
    places = texts.alias("text").to_frame().select(suspect.fill_null(value=False)).to_series()
    found: list[tuple[int, str]] = []
    for position in places.arg_true() if places.any() else ():
        lost = _lost(column, texts[position], encoding)
        if lost:
            found.append((position, _reason(lost, encoding)))
    return pl.DataFrame(
        found, schema={"position": pl.UInt32(), "reason": pl.String()}, orient="row"
    )


def _lost(column: Column, text: str, encoding: Encoding) -> list[str]:
    lost = [] if encoding.of_texts is None else missing(text, encoding.of_texts)
    if lost or column.base != "jsonb" or "\\u" not in text:
        return lost
    # jsonb keeps what an escape stands for; json keeps the escape.
    try:
        plain = json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return []  # no JSON: refused as such
    return [char for char in missing(plain, encoding.of_escapes) if not _SURROGATE <= char <= _LAST]


def _reason(lost: list[str], encoding: Encoding) -> str:
    named = ", ".join(f'"{char}" (U+{ord(char):04X})' for char in lost[:_NAMED])
    more = " and others" if len(lost) > _NAMED else ""
    return (
        f"the database's encoding {encoding.name} has no {named}{more}: replace it in the input, "
        "or load into a database in UTF8"
    )
