"""Rows of a job as an input: each knows where it came from. Not for: reading (`extract`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from penstock.loading.inputs.frames import FrameInput, batch_of
from penstock.model.batch import ROW, Batch, Malformed, file_of, record_of, row_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """Rows with their origins, as a source of `load_table`.

    Attributes:
        frame: The rows, with `_row` (Int64) as `extract` numbers it; NULL: it has no origin.
        names: Number of an input, as in `_row` -> its name.
        malformed: Records that never became rows: the load refuses them.
        faults: What a map refused: `position` (UInt32, in the frame), `column`, `code`, `reason`,
            `value`; such a row is refused, whatever else is right with it.
    """

    frame: pl.DataFrame
    names: Mapping[int, str]
    malformed: Sequence[Malformed] = ()
    faults: pl.DataFrame | None = field(default=None)


class TracedInput(FrameInput):
    """Rows of a job, numbered as they come; `origin` says where each came from."""

    def __init__(self, traced: Traced, file: int) -> None:
        self._traced = traced
        self._origins = traced.frame.get_column(ROW)
        name = ", ".join(dict.fromkeys(traced.names.values())) or "frame"
        super().__init__([traced.frame.drop(ROW)], file, name)

    def origin(self, record: int) -> tuple[str, int]:
        """The source and the record that the row of this number, from 1, was made of."""
        place, rows = record - 1, self._origins.len()
        row = self._origins[place] if place < rows else self._traced.malformed[place - rows].row
        if row is None:
            return self.name, record
        return self._traced.names.get(file_of(row), self.name), record_of(row)

    def batches(self) -> Iterator[Batch]:
        """The rows, each refused one with its faults; last the records that never became rows."""
        faults = self._traced.faults
        if faults is not None:
            first = row_id(self.file, 1)
            faults = faults.with_columns((pl.col("position").cast(pl.Int64) + first).alias(ROW))
            faults = faults.drop("position")
        for batch in super().batches():
            if faults is None:
                yield batch
                continue
            places = batch.frame.select(ROW).with_row_index("position")
            found = places.join(faults, on=ROW, maintain_order="left_right").drop(ROW)
            yield replace(batch, faults=found)
        lost = self._traced.malformed
        if lost:
            first = row_id(self.file, self._origins.len() + 1)
            numbered = [replace(one, row=first + place) for place, one in enumerate(lost)]
            nothing = batch_of(self._frames[0].clear().cast(pl.String), first)
            yield replace(nothing, records=len(lost), malformed=numbered)
