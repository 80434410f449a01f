"""Polars frames as an input. Not for: files (`stored`)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence

import polars as pl

from penstock.loading.inputs.protocol import Origin
from penstock.loading.types.typed import to_text
from penstock.model.batch import LINE, ROW, Batch, Malformed, row_id
from penstock.model.table import Column

#: Rows of a frame that make one batch.
BATCH_ROWS = 100_000


class FrameInput:
    """Polars frames: one, or several that were spooled to a file as they came."""

    def __init__(self, frames: Sequence[pl.DataFrame], file: int, name: str = "frame") -> None:
        self.name = name
        self.size = sum(int(frame.estimated_size()) for frame in frames)
        self.file = file
        self.stored = False
        self._frames = frames
        schema = frames[0].schema
        self.typed = frozenset(c for c, dtype in schema.items() if dtype != pl.String)

    def columns(self, known: Collection[str]) -> tuple[str, ...]:
        """The frame's column names."""
        del known
        return tuple(self._frames[0].columns)

    def matched(self, pairs: Sequence[tuple[str, Column]]) -> None:
        """A frame's types do not depend on it."""
        del pairs

    def batches(self) -> Iterator[Batch]:
        """Slices of the frames, as text that the grammars read exactly."""
        record = 1
        for frame in self._frames:
            for part in frame.iter_slices(BATCH_ROWS):
                yield batch_of(to_text(part), row_id(self.file, record))
                record += part.height

    def fetch(self, rows: Collection[int]) -> dict[int, Origin]:
        """The rows again, as JSON."""
        found: dict[int, Origin] = {}
        wanted = set(rows)
        for batch in self.batches():
            hits = batch.frame[ROW].is_in(sorted(wanted)).arg_true().to_list()
            for place, line in zip(hits, batch.raw(hits), strict=True):
                found[batch.frame[ROW][place]] = (0, line, json.loads(line))
        return found

    def origin(self, record: int) -> tuple[str, int]:
        """Its own name and number."""
        return self.name, record

    def sha256(self) -> str:
        """Frames have no stored bytes."""
        return ""

    def fingerprint(self) -> str:
        """Frames have no stored bytes."""
        return ""

    def remarks(self) -> tuple[str, ...]:
        """Nothing is found out about a frame."""
        return ()


def batch_of(text: pl.DataFrame, first: int) -> Batch:
    """A batch of typed rows that were made text; their raw form is JSON.

    Args:
        text: A String column for each source column.
        first: The `_row` of the first row.
    """
    numbered = text.with_columns(
        pl.int_range(first, first + text.height, dtype=pl.Int64).alias(ROW),
        pl.lit(0, dtype=pl.Int64).alias(LINE),
    )
    nul = text.select(
        pl.any_horizontal(pl.all().str.contains("\0", literal=True)).fill_null(value=False)
    ).to_series()
    raw = _RawRows(text)
    return _without_nul(numbered, raw, nul) if nul.any() else Batch(numbered, raw, text.height)


def _without_nul(numbered: pl.DataFrame, raw: _RawRows, nul: pl.Series) -> Batch:
    """A batch whose rows with NUL bytes are given up: no text of PostgreSQL holds one."""
    kept = (~nul).arg_true().to_list()
    lost = nul.arg_true().to_list()
    reason = "a NUL byte, which PostgreSQL's text cannot hold"
    malformed = [
        Malformed(numbered[ROW][place], 0, line, "nul", reason)
        for place, line in zip(lost, raw(lost), strict=True)
    ]
    return Batch(
        numbered.filter(~nul),
        lambda positions: raw([kept[position] for position in positions]),
        numbered.height,
        malformed,
    )


class _RawRows:
    def __init__(self, text: pl.DataFrame) -> None:
        self._text = text

    def __call__(self, positions: Sequence[int]) -> list[bytes]:
        return [
            json.dumps(self._text.row(position, named=True), ensure_ascii=False).encode()
            for position in positions
        ]
