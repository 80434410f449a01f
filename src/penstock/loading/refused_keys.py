"""Keys of rows that the client refused: `sync` keeps these rows. Not for: why they are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from penstock.loading.group import as_group
from penstock.loading.validate import Validator
from penstock.model.batch import LINE, ROW
from penstock.model.options import Grammar
from penstock.model.table import Column


class RefusedKeys:
    """Gathers the keys of refused rows, as far as they can be read.

    Args:
        columns: Those of the key.
        group: The column that makes groups of rows, or None.
        fallen: Groups that are refused, as `as_group` writes them.

    Attributes:
        frames: The keys, typed.
        unread: Refused rows whose key could not be read.
        group: As given.
        groups: Groups of refused rows: no row of theirs is to be removed.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        group: Column | None = None,
        fallen: pl.Series | None = None,
    ) -> None:
        self.frames: list[pl.DataFrame] = []
        self.unread = 0
        self.group = group
        self.groups: list[pl.Series] = [] if fallen is None else [fallen]
        self._columns = tuple(columns)
        self._names = [column.name for column in columns]

    def see_texts(self, texts: pl.DataFrame, grammar: Grammar, typed: frozenset[str]) -> None:
        """Rows as read: String columns by the target's names, `_row` and `_line`."""
        wanted = texts.select(*map(texts.get_column, self._names), ROW, LINE)
        keys = Validator(self._columns, grammar, typed_columns=typed).check(wanted).good
        self.see_typed(keys)
        self.unread += texts.height - keys.height
        if self.group is not None:
            free = replace(self.group, nullable=True)
            wanted = texts.select(texts.get_column(free.name), ROW, LINE)
            self._see_groups(Validator([free], grammar, typed_columns=typed).check(wanted).good)

    def see_typed(self, rows: pl.DataFrame) -> None:
        """Rows whose values were right, and that were refused for something else."""
        keys = rows.select(map(rows.get_column, self._names))
        if self.group is not None and self.group.name in rows.columns:
            self._see_groups(rows)
        whole = keys.drop_nulls()
        self.unread += keys.height - whole.height
        if whole.height:
            self.frames.append(whole)

    def _see_groups(self, rows: pl.DataFrame) -> None:
        if self.group is not None:
            groups = rows.select(as_group(self.group)).to_series()
            self.groups.append(groups.drop_nulls().unique())
