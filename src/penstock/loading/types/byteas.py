r"""bytea: `\x` and hexadecimal digits. Not for: the escape form, in which text may mean itself."""

from __future__ import annotations

import re

import polars as pl

from penstock.loading.types.check import (
    Check,
    Verdict,
    bare,
    null_hint,
    refuse,
    second_look,
    shown,
)
from penstock.model.options import Grammar
from penstock.model.table import Column

_HEX = r"^\\x(?:[0-9a-fA-F]{2})*$"
_DIGITS = re.compile(r"\\x([0-9a-fA-F]*)")


def bytea_check(column: Column, grammar: Grammar) -> Check:
    r"""`\x` and an even number of digits; `\x` alone is no bytes at all."""
    raw = pl.col(column.name)
    careful = second_look(
        pl.String(),
        bare(_judge, "bytes (no bytes are written \\x)", grammar),
        lambda canonical: canonical,
        lambda text: pl.when(text.str.contains(_HEX)).then(text),
    )
    return Check(column, pl.String(), raw, raw.is_not_null() & ~raw.str.contains(_HEX), careful)


def _judge(text: str) -> Verdict:
    match = _DIGITS.match(text)
    if match is None:
        reason = f"{shown(text)} is not written in hexadecimal, such as \\x00ff"
        return refuse("22P02", reason + null_hint(text))
    if match.end() < len(text):
        wrong = shown(text[match.end()])
        return refuse("22023", f"{wrong} at character {match.end() + 1} is no hexadecimal digit")
    return refuse("22023", f"{len(match[1])} hexadecimal digits: the last byte is half a byte")
