"""Reads a file of exported rejects that somebody corrected. Not for: writing one (`export`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import SourceError, UsageError
from penstock.formats.csv.reader import CsvReader
from penstock.formats.excel.package import Workbook
from penstock.formats.excel.reader import ExcelReader
from penstock.formats.excel.values import Writing
from penstock.loading.export import without_apostrophe, written_as
from penstock.model.batch import LINE, ROW
from penstock.model.marks import marks_of
from penstock.model.options import CsvOptions, ExcelOptions, Grammar

#: The columns that an export puts before and behind those of the source.
_OURS = ("_id", "_column", "_reason", "_value", "_of", "_table", "_raw")
_ID = re.compile("_+id")
#: A spreadsheet may have made a number of it.
_NUMBER = re.compile(r"\s*([0-9]{1,18})(?:\.0)?\s*")


@dataclass(frozen=True, slots=True)
class Correction:
    """One row of the file.

    Attributes:
        reject_id: The reject that it corrects.
        record: Its place in the file, from 1.
        line: Its physical line or row of the sheet, from 1.
        cells: Every column but that of the reject's number -> text; None for NULL.
    """

    reject_id: int
    record: int
    line: int
    cells: Mapping[str, str | None]


class CorrectedFile:
    """An exported file of rejects: .csv, also as a spreadsheet program writes it, or .xlsx.

    Args:
        path: The file.
        options: How a .csv is written, where it is not as Penstock writes it.
        grammar: As the text cells of a sheet write numbers and days, its other cells are read.

    Attributes:
        name: For messages.
        rows: Its rows, by the number of the reject.

    Raises:
        UsageError: Another ending.
        SourceError: The file cannot be read, has no column of numbers, a row without one, or a
            reject twice.
    """

    def __init__(self, path: Path, options: CsvOptions, grammar: Grammar) -> None:
        self.name = str(path)
        self._given = path, options, grammar
        self._kind = path.suffix.lower()
        if not path.is_file():
            raise SourceError(f"{path}: there is no such file.")
        if self._kind == ".csv":
            rows = _csv(path, options)
        elif self._kind == ".xlsx":
            rows = _xlsx(path, Writing(grammar.dates, marks_of(grammar.numbers).decimal))
        else:
            raise UsageError(f"{path}: corrected rejects are read from .csv or .xlsx")
        self.rows: dict[int, Correction] = {}
        for row in rows:
            other = self.rows.setdefault(row.reject_id, row)
            if other is not row:
                raise SourceError(
                    f"{path}: reject {row.reject_id} stands twice, in line {other.line} and line "
                    f"{row.line}. Keep the right one.",
                    code="columns",
                )

    def as_written(self, grammar: Grammar) -> CorrectedFile:
        """The same file, its numbers and days made text as this grammar reads them."""
        path, options, before = self._given
        same = self._kind == ".csv" or grammar == before
        return self if same else CorrectedFile(path, options, grammar)

    def is_of(self, row: Correction, stored: Mapping[str, str | None] | None, mark: str) -> bool:
        """Whether a row says of its reject what `export.mark_of` says, or nothing.

        Args:
            row: Of this file.
            stored: As the reject came; None where it could not be split, or is not there.
            mark: Of the reject.
        """
        said = (row.cells.get(_free("_of", stored or {})) or "").strip()
        return said.casefold() in ("", mark.casefold())

    def values(
        self, row: Correction, stored: Mapping[str, str | None] | None
    ) -> dict[str, str | None] | None:
        """What is to be loaded for a row: source column -> text.

        What a sheet could not show, a long text or an empty one, and a column that was taken out
        of the file, are as they were.

        Args:
            row: Of this file.
            stored: As the reject came; None where it could not be split.

        Returns:
            None where a record that could not be split has no fields yet.
        """
        if stored is None:
            cells = {name: cell for name, cell in row.cells.items() if name[:1] != "_"}
            return cells if any(cell is not None for cell in cells.values()) else None
        ours = {_free(name, stored) for name in _OURS}
        cells = {name: cell for name, cell in row.cells.items() if name not in ours}
        values = dict(stored)
        for name, cell in cells.items():
            if name not in stored:
                # Of other rejects in the file, or new: a column that this row had not is left to
                # its default.
                if cell is not None and not name.startswith("_"):
                    values[name] = cell
            elif cell != written_as(stored[name], self._kind):
                values[name] = cell
        return values


def _free(name: str, names: Mapping[str, str | None]) -> str:
    """As the export calls its own column beside those of the source."""
    while name in names:
        name = f"_{name}"
    return name


def _csv(path: Path, options: CsvOptions) -> Iterator[Correction]:
    with CsvReader(path, options, known=_OURS, name=str(path)) as reader:
        try:
            columns = reader.columns
        except SourceError as error:
            if error.code != "columns":
                raise
            raise _no_ids(str(path)) from None
        id_column = _id_column(columns, str(path))
        for record, (line, cells) in enumerate(_rows(reader, columns), start=1):
            plain = {
                name: None if cell is None else without_apostrophe(cell)
                for name, cell in cells.items()
            }
            yield _correction(path, id_column, record, line, plain)


def _rows(
    reader: CsvReader | ExcelReader, columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Line and fields of each row; a row without fields is of no reject that could be named."""
    for batch in reader.batches():
        for bad in batch.malformed:
            raise SourceError(f"{reader.name} line {bad.line}: {bad.reason}.", code=bad.code)
        texts = batch.frame.drop(ROW, LINE).iter_rows()
        for line, row in zip(batch.frame[LINE], texts, strict=True):
            yield line, dict(zip(columns, row, strict=True))


def _xlsx(path: Path, writing: Writing) -> Iterator[Correction]:
    book = Workbook(path, str(path))
    book.close()
    found: list[str] = []
    record = 0
    for sheet in book.sheets:
        reader = ExcelReader(path, ExcelOptions(sheet=sheet.name), writing=writing)
        with closing(reader):
            columns = _columns(reader)
            if not any(map(_ID.fullmatch, columns)):
                found += columns
                continue  # somebody's own sheet beside ours
            id_column = _id_column(columns, str(path))
            for line, cells in _rows(reader, columns):
                record += 1
                yield _correction(path, id_column, record, line, cells)
    if not record:
        _id_column(found, str(path))


def _columns(reader: ExcelReader) -> tuple[str, ...]:
    try:
        return reader.columns
    except SourceError as error:
        if error.code in ("empty", "header"):
            return ()
        raise


def _id_column(columns: Sequence[str], name: str) -> str:
    for column in columns:
        if _ID.fullmatch(column):
            return column  # the first: the export puts it before a source's own
    raise _no_ids(name)


def _no_ids(name: str) -> SourceError:
    return SourceError(
        f"{name}: there is no column _id, which says which reject a row corrects. Export them "
        "with: penstock rejects export FILE; new rows are loaded with: penstock load.",
        code="columns",
    )


def _correction(
    path: Path, id_column: str, record: int, line: int, cells: dict[str, str | None]
) -> Correction:
    text = cells.pop(id_column)
    number = _NUMBER.fullmatch(text or "")
    if number is None:
        said = f'"{text}" is not the number of a reject' if text else "there is no number"
        raise SourceError(
            f"{path} line {line}: {said} in {id_column}. A new row is loaded with: penstock load.",
            code="columns",
        )
    return Correction(int(number[1]), record, line, cells)
