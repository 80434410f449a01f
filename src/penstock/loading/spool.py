"""Refused rows wait here until they are written. Not for: deciding what is refused.

Bounded memory: past a few MiB the rows go to files without a name, which vanish with the process,
however it ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

import polars as pl

from penstock.model.batch import LINE, ROW, Malformed
from penstock.model.result import ReasonCount, Sample

#: Bytes of refused rows kept in memory.
_IN_MEMORY = 16 << 20
#: Refused rows of one reason that are kept when the load is rolled back.
KEPT_AFTER_ROLLBACK = 1000
_SAMPLES = 2

#: One refused row. `columns`, `codes`, `reasons` and `bad` are parallel lists, one entry a fault.
SCHEMA: Mapping[str, pl.DataType] = {
    ROW: pl.Int64(),
    LINE: pl.Int64(),
    "raw": pl.Binary(),
    "values": pl.String(),
    "columns": pl.List(pl.String()),
    "codes": pl.List(pl.String()),
    "reasons": pl.List(pl.String()),
    "bad": pl.List(pl.String()),
    "key": pl.List(pl.String()),
}


class Spool:
    """The refused rows of one table's load, in the order in which they were found.

    Args:
        origin: Gives the source's name and the record number of a `_row`.
        conceal: What becomes of rows before they are kept; None: they stay as they are.

    Attributes:
        rows: How many there are.
        unsplit: How many of them could not be split into fields.
    """

    def __init__(
        self,
        origin: Callable[[int], tuple[str, int]],
        conceal: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    ) -> None:
        self.rows = 0
        self.unsplit = 0
        self._origin = origin
        self._conceal = conceal
        self._frames: list[pl.DataFrame] = []
        self._bytes = 0
        self._files: list[IO[bytes]] = []
        self._counts: dict[tuple[str, str], int] = {}
        self._samples: dict[tuple[str, str], list[Sample]] = {}

    def add(self, frame: pl.DataFrame) -> None:
        """Add rows of `SCHEMA`."""
        if frame.is_empty():
            return
        frame = frame.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
        if self._conceal is not None:
            frame = self._conceal(frame)
        self.rows += frame.height
        self.unsplit += frame.get_column("values").null_count()
        self._count(frame)
        self._frames.append(frame)
        self._bytes += int(frame.estimated_size())
        if self._bytes > _IN_MEMORY:
            file = tempfile.TemporaryFile(prefix="penstock-")  # noqa: SIM115  kept open
            pl.concat(self._frames).write_ipc(file, compression="zstd")
            self._files.append(file)
            self._frames, self._bytes = [], 0

    def add_malformed(self, malformed: Sequence[Malformed]) -> None:
        """Add records that could not be split into fields."""
        if not malformed:
            return
        self.add(
            pl.DataFrame(
                {
                    ROW: [m.row for m in malformed],
                    LINE: [m.line for m in malformed],
                    "raw": [m.raw for m in malformed],
                    "values": [None for _ in malformed],
                    "columns": [[""] for _ in malformed],
                    "codes": [[m.code] for m in malformed],
                    "reasons": [[m.reason] for m in malformed],
                    "bad": [[None] for _ in malformed],
                    "key": [None for _ in malformed],
                },
                schema=dict(SCHEMA),
            )
        )

    def frames(self) -> Iterator[pl.DataFrame]:
        """All rows, in frames of `SCHEMA`."""
        for file in self._files:
            file.seek(0)
            yield pl.read_ipc(file.read())
        if self._frames:
            yield pl.concat(self._frames)

    def close(self) -> None:
        """Let go of the files; the rows are gone, the counts stay."""
        for file in self._files:
            file.close()
        self._files, self._frames = [], []

    def first_of_each(self) -> Iterator[pl.DataFrame]:
        """At most `KEPT_AFTER_ROLLBACK` rows of each first code."""
        left: dict[str, int] = {}
        for frame in self.frames():
            code = frame["codes"].list.first()
            place = pl.int_range(pl.len()).over("code")
            taken = (
                pl.DataFrame({"code": code})
                .with_columns(n=place)
                .with_columns(
                    keep=pl.col("n")
                    < pl.col("code").replace_strict(
                        left, default=KEPT_AFTER_ROLLBACK, return_dtype=pl.Int64
                    )
                )["keep"]
            )
            for name, count in code.filter(taken).value_counts().iter_rows():
                left[name] = left.get(name, KEPT_AFTER_ROLLBACK) - count
            yield frame.filter(taken)

    def reasons(self) -> tuple[ReasonCount, ...]:
        """How often each (column, code) occurred, commonest first, with samples."""
        ordered = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(
            ReasonCount(
                column=column,
                code=code,
                rows=rows,
                samples=tuple(self._samples[(column, code)]),
            )
            for (column, code), rows in ordered
        )

    def refused(self, codes_of: Sequence[str]) -> Iterator[list[str | None]]:
        """The texts of these source columns in every refused row that could be split."""
        for frame in self.frames():
            fields = frame.drop_nulls("values")
            if fields.is_empty():
                continue
            wanted = pl.Struct({name: pl.String() for name in codes_of})
            decoded = fields["values"].str.json_decode(wanted).struct.unnest()
            yield from (list(row) for row in decoded.iter_rows())

    def _count(self, frame: pl.DataFrame) -> None:
        faults = frame.select(ROW, LINE, "columns", "codes", "reasons", "bad").explode(
            "columns", "codes", "reasons", "bad"
        )
        for (column, code), group in faults.group_by(["columns", "codes"], maintain_order=True):
            key = (str(column), str(code))
            self._counts[key] = self._counts.get(key, 0) + group.height
            samples = self._samples.setdefault(key, [])
            for row in group.head(_SAMPLES - len(samples)).iter_rows(named=True):
                name, record = self._origin(row[ROW])
                samples.append(Sample(name, row[LINE], row["bad"], row["reasons"], record))
