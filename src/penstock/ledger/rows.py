"""Refused rows as the text of a COPY, made by columns. Not for: what is kept of them (`rejects`).

The form is that of PostgreSQL's COPY in text format (PostgreSQL documentation, COPY, File Formats),
and of its array literals in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
import psycopg

#: Rows whose text is made at a time.
_AT_A_TIME = 20_000


def copy_rows(connection: psycopg.Connection[Any], copy: psycopg.Copy, frame: pl.DataFrame) -> None:
    """Send rows: text (String), bytes (Binary), arrays of text (List), numbers, booleans.

    Args:
        connection: Of the COPY, for the encoding that the server expects.
        copy: In text format, of as many columns as the frame has.
        frame: The rows; no text in it has a NUL.
    """
    # As psycopg does it: what takes every byte takes UTF-8.
    codec = connection.info.encoding
    codec = "utf-8" if codec == "ascii" else codec
    fields = [_field(pl.col(name), dtype) for name, dtype in frame.schema.items()]
    for part in frame.iter_slices(_AT_A_TIME):
        lines = part.select(pl.concat_str(fields, separator="\t").str.join("\n")).item()
        copy.write(f"{lines}\n".encode(codec))


def without_nul(name: str) -> pl.Expr:
    r"""A column of texts or lists of texts with `\x00` for NUL, which PostgreSQL never holds."""
    return pl.col(name).list.eval(pl.element().str.replace_all("\0", "\\x00", literal=True))


def mapped(frame: pl.DataFrame, name: str, texts: Sequence[Any]) -> pl.DataFrame:
    """The frame with other values of the same type in one column."""
    return frame.with_columns(pl.Series(name, texts, dtype=frame.schema[name]))


def _field(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A column as COPY reads it."""
    if isinstance(dtype, pl.Binary):
        text = pl.concat_str(pl.lit("\\\\x"), column.bin.encode("hex"))
    elif isinstance(dtype, pl.List):
        text = _escaped(_array(column))
    elif isinstance(dtype, pl.String):
        text = _escaped(column)
    else:
        text = column.cast(pl.String)
    return text.fill_null("\\N")


def _escaped(text: pl.Expr) -> pl.Expr:
    text = text.str.replace_all("\\", "\\\\", literal=True)
    for char, name in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.str.replace_all(char, name, literal=True)
    return text


def _array(column: pl.Expr) -> pl.Expr:
    """A list as an array literal: every text quoted, so that none is taken for NULL."""
    one = pl.element().str.replace_all("\\", "\\\\", literal=True)
    one = pl.concat_str(pl.lit('"'), one.str.replace_all('"', '\\"', literal=True), pl.lit('"'))
    inner = column.list.eval(one.fill_null("NULL")).list.join(",")
    return pl.concat_str(pl.lit("{"), inner, pl.lit("}"))
