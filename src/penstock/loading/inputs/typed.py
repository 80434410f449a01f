"""Files that are read by jumping about in them: their values have types.

They become the text that the grammars read exactly.
Not for: frames, nor files that are read from the beginning to the end (`stored`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from penstock.errors import SourceError
from penstock.formats.bytes import Source
from penstock.formats.excel.reader import ExcelReader
from penstock.formats.excel.values import Writing
from penstock.formats.parquet import SLICE, ParquetFile
from penstock.formats.reader import changed, state_of
from penstock.loading.inputs.frames import batch_of
from penstock.loading.inputs.protocol import Origin
from penstock.loading.types.typed import to_text
from penstock.model.batch import Batch, record_of, row_id
from penstock.model.marks import marks_of
from penstock.model.options import LoadOptions
from penstock.model.table import Column


class _WholeFile:
    """What the formats have in common: the file is hashed apart from reading it.

    Args:
        path: The file.
        file: Its number in the load, from 0.
        name: How messages name it.
    """

    def __init__(self, path: Path, file: int, name: str) -> None:
        self.name = name
        self.file = file
        self.size = path.stat().st_size
        self.stored = True
        self.typed: frozenset[str] = frozenset()
        self._path = path
        self._sha256 = ""

    def origin(self, record: int) -> tuple[str, int]:
        """Its own name and number."""
        return self.name, record

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
        source = Source(self._path, name=self.name)
        try:
            source.drain()
        finally:
            source.close()
        return source.sha256

    def matched(self, pairs: Sequence[tuple[str, Column]]) -> None:
        """Values have the types that they have."""
        del pairs

    def remarks(self) -> tuple[str, ...]:
        """Nothing is found out: the file says what it has."""
        return ()

    def _same_throughout(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches; the file must not be written to meanwhile."""
        self._sha256 = ""
        before = state_of(self._path)
        yield from batches
        digest = self.fingerprint()
        if state_of(self._path) != before:
            raise changed(self.name)
        self._sha256 = digest

    def _check_same(self) -> None:
        if self.fingerprint() != self.sha256():
            raise changed(self.name)


class ExcelInput(_WholeFile):
    """A sheet of an Excel workbook."""

    def __init__(self, path: Path, file: int, options: LoadOptions, name: str) -> None:
        super().__init__(path, file, name)
        self._options = options.excel
        self._declared = options.csv.columns
        # A sheet has dates and numbers as such and as text: both are then read by one grammar.
        marks = marks_of(options.grammar.numbers)
        self._writing = Writing(options.grammar.dates, marks.decimal)

    def columns(self, known: Collection[str]) -> tuple[str, ...]:
        """The names of the header."""
        del known
        reader = self._open()
        try:
            return reader.columns
        finally:
            reader.close()

    def batches(self) -> Iterator[Batch]:
        """The rows below the header."""
        return self._same_throughout(self._open().batches())

    def fetch(self, rows: Collection[int]) -> dict[int, Origin]:
        """The rows again; the content must be what it was."""
        self._check_same()
        return self._open().fetch(rows)

    def _open(self) -> ExcelReader:
        return ExcelReader(
            self._path,
            self._options,
            writing=self._writing,
            columns=self._declared,
            file=self.file,
            name=self.name,
        )


class ParquetInput(_WholeFile):
    """A Parquet file.

    Args:
        path: The file.
        file: Its number in the load, from 0.
        name: How messages name it.

    Raises:
        SourceError: It cannot be read as Parquet.
    """

    def __init__(self, path: Path, file: int, name: str) -> None:
        super().__init__(path, file, name)
        self._parquet = ParquetFile(path, name)
        schema = self._parquet.schema
        self.typed = frozenset(column for column, dtype in schema.items() if dtype != pl.String)
        self._wanted = tuple(schema)

    def columns(self, known: Collection[str]) -> tuple[str, ...]:
        """The file's column names."""
        del known
        return tuple(self._parquet.schema)

    def matched(self, pairs: Sequence[tuple[str, Column]]) -> None:
        """Only the columns that fill something are read."""
        self._wanted = tuple(name for name, _ in pairs)

    def batches(self) -> Iterator[Batch]:
        """The rows, as text that the grammars read exactly."""
        return self._same_throughout(self._batches())

    def _batches(self) -> Iterator[Batch]:
        done = 0
        for part in self._parquet.slices(self._wanted):
            batch = batch_of(to_text(part), row_id(self.file, done + 1))
            done += part.height
            # Rows are read where they stand in the file: their share is as good a measure.
            yield replace(batch, read_bytes=self.size * done // self._parquet.height)

    def fetch(self, rows: Collection[int]) -> dict[int, Origin]:
        """The rows again, as JSON; the content must be what it was."""
        self._check_same()
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
