"""Holds back the rows whose key is not above all keys before it. Not for: judging them.

In a file sorted by its key a row that is not above the greatest key so far is the only kind that
can repeat one: the others are distinct for certain. Those few are kept out of the COPY, and looked
at by the database afterwards. Where they are many the file is not sorted: nothing is held back any
more, and the unique index decides.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import polars as pl

from penstock.loading.inputs import Origin
from penstock.model.batch import LINE, ROW, Batch
from penstock.model.table import Column, TableSpec
from penstock.postgres.judged import has_grammar

#: Rows held back at most, and the share of the rows seen.
_MOST = 200_000
_SHARE = 0.05
#: Rows below which the share does not count.
_ALWAYS = 1_000

_ORDERED = ("int2", "int4", "int8", "date", "timestamp", "timestamptz", "text", "varchar", "uuid")


def ordering_key(spec: TableSpec, supplied: tuple[Column, ...]) -> str | None:
    """The column whose order proves that keys are distinct, or None.

    It is the single column of a key that the input supplies, of a type that Polars orders
    strictly; any total order will do, so collations do not matter where they are deterministic.
    """
    # Held back, a row comes after all others: right only where nothing but this key looks at the
    # order, and where what is stored is what was sent.
    alone = len(spec.keys) == 1 and not (
        spec.has_triggers or spec.has_exclusions or spec.has_odd_keys
    )
    if not alone or not all(has_grammar(column) for column in supplied):
        return None
    names = {column.name for column in supplied}
    for key in spec.keys:
        if len(key.columns) == 1 and key.columns[0] in names:
            column = spec.column(key.columns[0])
            if can_ascend(column):
                return column.name
    return None


class LateRows:
    """Splits batches into rows above all before them and late ones.

    Attributes:
        frames: The late rows, typed, as long as `active`.
        active: False once the input has shown that it is not sorted.
        origins: Texts and raw bytes of the late rows, so that what is refused of them need not be
            read again.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self.frames: list[pl.DataFrame] = []
        self.active = True
        self.origins: list[tuple[pl.DataFrame, list[bytes]]] = []
        self._highest: Any = None
        self._seen = 0
        self._held = 0

    def keep_origins(self, batch: Batch) -> None:
        """Keep the origins of the rows that `split` has just held back."""
        if not self.active or not self.frames:
            return
        late = batch.frame[ROW].is_in(self.frames[-1][ROW].implode())
        places = late.arg_true()
        if len(places):
            self.origins.append((batch.frame[places], batch.raw(places.to_list())))

    def origins_of(self, rows: Collection[int]) -> dict[int, Origin]:
        """Of these `_row`s, the origins of those that were held back."""
        wanted = set(rows)
        found: dict[int, Origin] = {}
        for frame, raw in self.origins:
            texts = frame.drop(ROW, LINE).iter_rows(named=True)
            for row, line, record, values in zip(frame[ROW], frame[LINE], raw, texts, strict=True):
                if row in wanted:
                    found[row] = (line, record, values)
        return found

    def split(self, frame: pl.DataFrame) -> list[pl.DataFrame]:
        """The frames to send now: the rows above, and all held ones when holding back ends."""
        if not self.active or frame.is_empty():
            return [frame]
        key = frame[self.column]
        before = key.cum_max().shift(1)
        if self._highest is not None:
            # A new maximum counts only where it is above those of earlier batches.
            floor = pl.lit(self._highest, dtype=key.dtype)
            before = pl.select(pl.max_horizontal(pl.lit(before), floor)).to_series()
        # NULL never repeats a key: it passes.
        late = (key <= before).fill_null(value=False)
        self._seen += frame.height
        if not late.any():
            self._highest = key[-1] if key[-1] is not None else _greatest(key, self._highest)
            return [frame]
        self._highest = _greatest(key, self._highest)
        held = frame.filter(late)
        self.frames.append(held)
        self._held += held.height
        ahead = frame.filter(~late)
        if self._held > min(_MOST, max(_ALWAYS, int(_SHARE * self._seen))):
            self.active = False
            back, self.frames = self.frames, []
            self.origins = []
            return [ahead, *back]
        return [ahead]


def _greatest(key: pl.Series, before: Any) -> Any:
    top = key.max()
    if before is None or top is None:
        return before if top is None else top
    return max(top, before)


class Ascending:
    """Proves that a key occurs once: each value is above the one before it.

    Args:
        column: The key's column, of a type for which `can_ascend`.

    Attributes:
        holds: True as long as every row that was looked at is above all before it.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self.holds = True
        self._last: Any = None

    def look(self, frame: pl.DataFrame) -> None:
        """Look at the next rows, typed."""
        if not self.holds or frame.is_empty():
            return
        key = frame.get_column(self.column)
        if key.null_count():
            self.holds = False
            return
        rises = bool((key.slice(1) > key.slice(0, len(key) - 1)).all())
        self.holds = rises and (self._last is None or key[0] > self._last)
        self._last = key[-1]


def can_ascend(column: Column) -> bool:
    """True where an order of Polars proves that two values are distinct to PostgreSQL."""
    return has_grammar(column) and column.base in _ORDERED and column.deterministic
