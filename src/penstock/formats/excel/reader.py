"""A sheet as batches of text with the origin of every row. Not for: what a cell's value is."""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import polars as pl

from penstock.errors import SourceError, UsageError
from penstock.formats.bytes import Source
from penstock.formats.csv.header import check_names
from penstock.formats.excel.package import Sheet, Workbook
from penstock.formats.excel.sheet import Row, letters, rows
from penstock.formats.excel.values import Writing
from penstock.formats.reader import Record, fetch_from
from penstock.model.batch import LINE, ROW, Batch, Malformed, row_id
from penstock.model.options import ExcelOptions

#: Rows of a batch.
_ROWS = 20_000
_PLAIN = Writing()


class ExcelReader:
    """One sheet of a workbook, read once from top to bottom.

    Args:
        path: The file.
        options: Which sheet, and where its names are.
        writing: How numbers and days are made text.
        columns: Names of the columns, from the first named one on; None: those of the header.
        file: Number of the file within the load, from 0.
        name: How messages name it; default the path.

    Attributes:
        name: How messages name it.

    Raises:
        SourceError: It is no workbook, or protected by a password or damaged. On access to
            `columns`: it has no such sheet, several and none was named, or the header has no
            names that can be told apart.
    """

    def __init__(
        self,
        path: Path,
        options: ExcelOptions,
        *,
        writing: Writing = _PLAIN,
        columns: tuple[str, ...] | None = None,
        file: int = 0,
        name: str = "",
    ) -> None:
        self.name = name or str(path)
        self._path = path
        self._options = options
        self._writing = writing
        self._declared = columns
        self._file = file
        self._book = Workbook(path, self.name)
        self._rows: Iterator[Row] | None = None
        self._names: dict[int, str] = {}
        self._record = 1

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the header, from left to right."""
        self._open()
        return tuple(self._names.values())

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the file as it is now."""
        source = Source(self._path, name=self.name)
        with closing(source):
            source.drain()
        return source.sha256

    def drain(self) -> None:
        """The digest does not depend on how far the sheet was read."""

    def close(self) -> None:
        """Close the file. Reading to the end closes by itself."""
        self._book.close()

    def batches(self) -> Generator[Batch, None, None]:
        """The rows below the header, from top to bottom."""
        try:
            source = self._open()
            size = self._path.stat().st_size
            while part := _some(source):
                yield self._batch(part, size)
        finally:
            self.close()

    def fetch(self, rows: Collection[int]) -> dict[int, Record]:
        """Rows once more, by a second pass; whoever calls has seen that the file is the same.

        Raises:
            UsageError: A `_row` that this sheet does not have.
        """
        again = ExcelReader(
            self._path,
            self._options,
            writing=self._writing,
            columns=self._declared,
            file=self._file,
            name=self.name,
        )
        return fetch_from(again, rows, self.sha256)

    def _batch(self, part: list[Row], size: int) -> Batch:
        good: list[Row] = []
        ids: list[int] = []
        malformed: list[Malformed] = []
        blank = 0
        for row in part:
            record = row_id(self._file, self._record)
            self._record += 1
            if not row.cells and not row.wrong:
                blank += 1
            elif wrong := self._wrong(row):
                code, reason = wrong
                malformed.append(Malformed(record, row.number, self._raw(row), code, reason))
            else:
                good.append(row)
                ids.append(record)
        data: dict[str, pl.Series] = {
            name: pl.Series([row.cells.get(column) for row in good], dtype=pl.String)
            for column, name in self._names.items()
        }
        data[ROW] = pl.Series(ids, dtype=pl.Int64)
        data[LINE] = pl.Series([row.number for row in good], dtype=pl.Int64)

        def raw(positions: Sequence[int]) -> list[bytes]:
            return [self._raw(good[position]) for position in positions]

        return Batch(pl.DataFrame(data), raw, len(part), malformed, blank, size)

    def _wrong(self, row: Row) -> tuple[str, str] | None:
        """Why a row has no fields."""
        if row.wrong:
            return "cell", "; ".join(row.wrong[column] for column in sorted(row.wrong))
        if row.cells.keys() <= self._names.keys():
            return None
        column = min(row.cells.keys() - self._names.keys())
        return "ragged", f"{letters(column)}{row.number} has a value, and its column no name"

    def _raw(self, row: Row) -> bytes:
        shown = row.cells | {column: why.partition(": ")[2] for column, why in row.wrong.items()}
        named = {self._names.get(at, letters(at)): shown[at] for at in sorted(shown)}
        return json.dumps(named, ensure_ascii=False).encode()

    def _open(self) -> Iterator[Row]:
        """The rows below the header, whose names are then known."""
        if self._rows is None:
            found = rows(self._book, self._sheet(), self._writing)
            header = next((row for row in found if self._is_header(row)), None)
            if header is None:
                at = self._options.header_row
                where = "it is blank" if at is None else f"it has no row {at} with names"
                raise SourceError(
                    f"{self.name}: {where}. Say --sheet or --header-row.", code="empty"
                )
            self._names = self._named(header)
            self._rows = found
        return self._rows

    def _is_header(self, row: Row) -> bool:
        at = self._options.header_row
        return bool(row.cells or row.wrong) if at is None else row.number == at and bool(row.cells)

    def _named(self, header: Row) -> dict[int, str]:
        if header.wrong:
            raise SourceError(
                f"{self.name}: the header: {min(header.wrong.values())}.", code="header"
            )
        names = {at: header.cells[at].strip() for at in sorted(header.cells) if header.cells[at]}
        first, last = min(names), max(names)
        gaps = [letters(at) for at in range(first, last + 1) if at not in names]
        if gaps and self._declared is None:
            raise SourceError(
                f"{self.name}: row {header.number} has no name in column {', '.join(gaps)}; are "
                "cells merged? Unmerge and name them, say --header-row where the names are in "
                "another row, or name all columns with --columns.",
                code="header",
            )
        if self._declared is None:
            check_names(list(names.values()), self.name, declared=False)
            return names
        if len(self._declared) != last - first + 1:
            raise SourceError(
                f"{self.name}: row {header.number} has {last - first + 1} columns from "
                f"{letters(first)} to {letters(last)}, --columns names {len(self._declared)}.",
                code="header",
            )
        check_names(self._declared, self.name, declared=True)
        return dict(enumerate(self._declared, first))

    def _sheet(self) -> Sheet:
        sheets, wanted = self._book.sheets, self._options.sheet
        shown = ", ".join(sheet.name for sheet in sheets)
        if wanted is None:
            visible = [sheet for sheet in sheets if not sheet.hidden]
            if len(visible) == 1:
                return visible[0]
            raise SourceError(
                f"{self.name}: which of its {len(sheets)} sheets? Say --sheet NAME: {shown}.",
                code="sheet",
            )
        for sheet in sheets:
            if sheet.name == str(wanted):
                return sheet
        if str(wanted).isdecimal() and 0 < int(wanted) <= len(sheets):
            return sheets[int(wanted) - 1]
        raise UsageError(f"{self.name}: has no sheet {wanted}. It has: {shown}.")


def _some(source: Iterator[Row]) -> list[Row]:
    part: list[Row] = []
    for row in source:
        part.append(row)
        if len(part) == _ROWS:
            break
    return part
