"""money: `1234.56`, read as numeric(19,2) is. Not for: signs of currency, or grouping.

The server reads it under lc_monetary C, with two decimals.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import polars as pl

from penstock.loading.types.check import Check
from penstock.loading.types.numerics import numeric_check
from penstock.model.options import Grammar
from penstock.model.table import Column

#: 8 bytes of hundredths.
_MOST, _LEAST = Decimal(2**63 - 1) / 100, Decimal(-(2**63)) / 100


def money_check(column: Column, grammar: Grammar) -> Check:
    """Digits with an optional sign and two decimals.

    Raises:
        UsageError: `grammar.numbers` shows no marks.
    """
    inner = numeric_check(replace(column, base="numeric", precision=19, scale=2), grammar)

    def careful(texts: pl.Series) -> pl.DataFrame:
        looked = inner.careful(texts)
        beyond = _beyond(pl.col("value"))
        reason = f"out of range of money ({_LEAST} to {_MOST})"
        return looked.select(
            pl.when(~beyond).then("value").alias("value"),
            pl.when(beyond).then(pl.lit("22003")).otherwise("code").alias("code"),
            pl.when(beyond).then(pl.lit(reason)).otherwise("reason").alias("reason"),
            pl.when(~beyond).then("change").alias("change"),
        )

    suspect = inner.suspect | _beyond(inner.typed)
    return Check(column, inner.dtype, inner.typed, suspect, careful)


def _beyond(value: pl.Expr) -> pl.Expr:
    within = value.is_between(pl.lit(_LEAST, pl.Decimal(19, 2)), pl.lit(_MOST, pl.Decimal(19, 2)))
    return ~within.fill_null(True)
