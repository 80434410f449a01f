"""Files whose values have types, as the text that the grammars read exactly.

Not for: frames, nor what has no types.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from penstock.errors import SourceError
from penstock.formats.parquet import SLICE, ParquetFile, sha256_of
from penstock.formats.reader import changed
from penstock.loading.inputs.frames import batch_of
from penstock.loading.inputs.protocol import Origin
from penstock.loading.types.typed import to_text
from penstock.model.batch import Batch, record_of, row_id
from penstock.model.table import Column


class ParquetInput:
    """A Parquet file.

    Args:
        path: The file.
        file: Its number in the load, from 0.
        name: How messages name it.

    Raises:
        SourceError: It cannot be read as Parquet.
    """

    def __init__(self, path: Path, file: int, name: str) -> None:
        self.name = name
        self.file = file
        self.size = path.stat().st_size
        self.stored = True
        self._path = path
        self._parquet = ParquetFile(path, name)
        schema = self._parquet.schema
        self.typed = frozenset(column for column, dtype in schema.items() if dtype != pl.String)
        self._wanted = tuple(schema)
        self._sha256 = ""

    def columns(self, known: Collection[str]) -> tuple[str, ...]:
        """The file's column names."""
        del known
        return tuple(self._parquet.schema)

    def matched(self, pairs: Sequence[tuple[str, Column]]) -> None:
        """Only the columns that fill something are read."""
        self._wanted = tuple(name for name, _ in pairs)

    def batches(self) -> Iterator[Batch]:
        """The rows, as text that the grammars read exactly."""
        self._sha256 = ""
        done = 0
        for part in self._parquet.slices(self._wanted):
            batch = batch_of(to_text(part), row_id(self.file, done + 1))
            done += part.height
            # Rows are read where they stand in the file: their share is as good a measure.
            yield replace(batch, read_bytes=self.size * done // self._parquet.height)
        self._sha256 = self.fingerprint()
        self._parquet.check_unchanged()

    def fetch(self, rows: Collection[int]) -> dict[int, Origin]:
        """The rows again, as JSON; the content must be what it was."""
        if self.fingerprint() != self.sha256():
            raise changed(self.name)
        found: dict[int, Origin] = {}
        by_slice: dict[int, list[int]] = {}
        for row in sorted(rows):
            by_slice.setdefault((record_of(row) - 1) // SLICE, []).append(row)
        for number, wanted in by_slice.items():
            first = number * SLICE
            part = self._parquet.rows(first, SLICE, self._wanted)
            places = [record_of(row) - 1 - first for row in wanted]
            batch = batch_of(to_text(part[places]), row_id(self.file, 1))
            for row, line in zip(wanted, batch.raw(range(len(places))), strict=True):
                found[row] = (0, line, json.loads(line))
        return found

    def sha256(self) -> str:
        """Of the file, once all was read.

        Raises:
            SourceError: Not all has been read yet.
        """
        if not self._sha256:
            raise SourceError(f"{self.name}: its SHA-256 is known only after it was read whole.")
        return self._sha256

    def fingerprint(self) -> str:
        """Of the file, read for this alone."""
        return sha256_of(self._path, self.name)

    def remarks(self) -> tuple[str, ...]:
        """Nothing is found out: the file says what it has."""
        return ()
