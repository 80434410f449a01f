"""Keys of rows that the client refused: `sync` keeps these rows. Not for: why they are refused."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from penstock.loading.validate import Validator
from penstock.model.batch import LINE, ROW
from penstock.model.options import Grammar
from penstock.model.table import Column


class RefusedKeys:
    """Gathers the keys of refused rows, as far as they can be read.

    Args:
        columns: Those of the key.

    Attributes:
        frames: The keys, typed.
        unread: Refused rows whose key could not be read.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.frames: list[pl.DataFrame] = []
        self.unread = 0
        self._columns = tuple(columns)
        self._names = [column.name for column in columns]

    def see_texts(self, texts: pl.DataFrame, grammar: Grammar, typed: frozenset[str]) -> None:
        """Rows as read: String columns by the target's names, `_row` and `_line`."""
        wanted = texts.select(*map(texts.get_column, self._names), ROW, LINE)
        keys = Validator(self._columns, grammar, typed_columns=typed).check(wanted).good
        self.see_typed(keys)
        self.unread += texts.height - keys.height

    def see_typed(self, rows: pl.DataFrame) -> None:
        """Rows whose values were right, and that were refused for something else."""
        keys = rows.select(map(rows.get_column, self._names))
        whole = keys.drop_nulls()
        self.unread += keys.height - whole.height
        if whole.height:
            self.frames.append(whole)
