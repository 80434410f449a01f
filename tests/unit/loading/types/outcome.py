"""Runs one check over texts, for the tests of the families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from penstock.loading.types.check import Check


@dataclass(frozen=True)
class Outcome:
    """What became of one text: a value (as Polars writes it), or a code."""

    value: str | None
    code: str | None = None
    reason: str | None = None
    change: str | None = None


def outcomes(check: Check, texts: Sequence[str], *, every: bool = False) -> list[Outcome]:
    """One for each text; with `every` each is looked at carefully, not the suspects alone."""
    frame = pl.DataFrame({check.column.name: texts}, schema={check.column.name: pl.String})
    looked = frame.select(check.typed.alias("typed"), check.suspect.alias("suspect"))
    careful = check.careful(frame.get_column(check.column.name))
    assert careful.schema["value"] == check.dtype == looked.schema["typed"]
    assert looked.schema["suspect"] == pl.Boolean
    assert not looked.get_column("suspect").null_count()
    quick = looked.get_column("typed").cast(pl.String).to_list()
    values = careful.get_column("value").cast(pl.String).to_list()
    suspects = looked.get_column("suspect").to_list()
    rest = careful.select("code", "reason", "change").rows()
    return [
        Outcome(value, *row) if suspect or every else Outcome(fast)
        for fast, value, row, suspect in zip(quick, values, rest, suspects, strict=True)
    ]
