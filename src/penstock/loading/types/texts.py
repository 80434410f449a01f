"""text, varchar(n), char(n), citext. Not for: types that only look like text (`other`)."""

from __future__ import annotations

import polars as pl

from penstock.loading.types.check import BLANKS, Check
from penstock.model.options import Grammar
from penstock.model.table import Column

#: Types whose unquoted empty field may be the empty text (`Grammar.empty`).
TEXT_BASES = frozenset({"text", "varchar", "bpchar", "citext"})


def text_check(column: Column, grammar: Grammar) -> Check:
    """Text is kept as it is; a text with more characters than the column has is a fault.

    PostgreSQL cuts blanks beyond the length without a word; here they count, unless
    `grammar.trim` takes them away (and counts the values so changed).
    """
    raw = pl.col(column.name)
    typed = raw.str.strip_chars(BLANKS) if grammar.trim else raw
    suspect = pl.repeat(False, pl.len())
    if column.length is not None:
        # Never fewer bytes than characters.
        suspect = suspect | (raw.str.len_bytes() > column.length).fill_null(False)
    if grammar.trim:
        suspect = suspect | raw.str.contains(r"^[ \t\r\n]|[ \t\r\n]$").fill_null(False)

    def careful(texts: pl.Series) -> pl.DataFrame:
        return _careful(texts, column, grammar)

    return Check(column, pl.String(), typed, suspect, careful)


def _careful(texts: pl.Series, column: Column, grammar: Grammar) -> pl.DataFrame:
    text = pl.col("text")
    stripped = text.str.strip_chars(BLANKS)
    kept = stripped if grammar.trim else text
    fits = pl.lit(True)
    hint = pl.lit("")
    if column.length is not None:
        fits = kept.str.len_chars() <= column.length
        hint = pl.when(stripped.str.len_chars() <= column.length).then(pl.lit(": --trim"))
        hint = hint.otherwise(pl.lit(""))
    value = pl.when(kept == "").then(None).otherwise(kept) if grammar.empty == "null" else kept
    return (
        texts.alias("text")
        .to_frame()
        .select(
            pl.when(fits).then(value).alias("value"),
            pl.when(~fits).then(pl.lit("22001")).alias("code"),
            pl.when(~fits)
            .then(
                pl.format(
                    f"longer than {column.length} characters: {{}}{{}}", kept.str.len_chars(), hint
                )
            )
            .alias("reason"),
            pl.when(fits & (kept != text)).then(pl.lit("trimmed")).alias("change"),
        )
    )
