"""boolean. Not for: numbers that stand for anything but 0 and 1."""

from __future__ import annotations

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

_TRUE = ("true", "t", "yes", "y", "on", "1")
_FALSE = ("false", "f", "no", "n", "off", "0")


def boolean_check(column: Column, grammar: Grammar) -> Check:
    """true/false, t/f, yes/no, y/n, on/off, 1/0 in any case."""

    def lookup(text: pl.Expr) -> pl.Expr:
        low = text.str.to_lowercase()
        return pl.when(low.is_in(_TRUE)).then(True).when(low.is_in(_FALSE)).then(False)

    raw = pl.col(column.name)
    typed = lookup(raw)
    careful = second_look(
        pl.Boolean(), bare(_judge, "true or false", grammar), lookup, regular=lookup
    )
    return Check(column, pl.Boolean(), typed, raw.is_not_null() & typed.is_null(), careful)


def _judge(text: str) -> Verdict:
    reason = f"{shown(text)} is not true or false (true/false, t/f, yes/no, y/n, on/off, 1/0)"
    return refuse("22P02", reason + null_hint(text))
