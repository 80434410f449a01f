"""Enums: exactly their labels. Not for: texts that only a CHECK limits."""

from __future__ import annotations

import difflib

import polars as pl

from penstock.loading.types.check import (
    BLANKS,
    Check,
    Verdict,
    null_hint,
    refuse,
    second_look,
    shown,
)
from penstock.model.options import Grammar
from penstock.model.table import Column

#: Labels that a message lists where none is near.
_LISTED = 8


def enum_check(column: Column, grammar: Grammar) -> Check:
    """A label as the catalog has it, letter for letter; `--trim` takes blanks away and counts."""
    labels = column.labels
    near = {label.lower(): label for label in reversed(labels)}

    def judge(text: str) -> Verdict:
        stripped = text.strip(BLANKS)
        if text in labels:
            return Verdict(text)
        if stripped in labels:
            if grammar.trim:
                return Verdict(stripped, change="trimmed")
            return refuse("22P02", f"{shown(text)} is not a label of {column.type}: --trim")
        close = difflib.get_close_matches(stripped.lower(), list(near), n=1)
        hint = null_hint(text)
        if close:
            hint = f", did you mean {near[close[0]]}?" + hint
        elif not hint:
            more = ", …" if len(labels) > _LISTED else ""
            hint = f" ({', '.join(labels[:_LISTED])}{more})"
        return refuse("22P02", f"{shown(text)} is not a label of {column.type}{hint}")

    raw = pl.col(column.name)
    suspect = raw.is_not_null() & ~raw.is_in(labels).fill_null(True)
    careful = second_look(pl.String(), judge, lambda canonical: canonical)
    return Check(column, pl.String(), raw, suspect, careful)
