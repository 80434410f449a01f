"""Types without a grammar of Penstock's own: the server's input function judges them.

Not for: types whose input PostgreSQL reinterprets by settings (dates, numbers, booleans).
"""

from __future__ import annotations

import polars as pl

from penstock.loading.types.check import Check, Verdict, second_look
from penstock.model.options import Grammar
from penstock.model.table import Column


def other_check(column: Column, grammar: Grammar) -> Check:
    """The text as it is, blanks and empty texts included, sent as text."""
    del grammar
    return Check(
        column,
        pl.String(),
        pl.col(column.name),
        pl.repeat(False, pl.len()),
        second_look(pl.String(), Verdict, lambda canonical: canonical),
    )
