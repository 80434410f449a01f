"""Writes refused rows to a file that a person corrects and loads again. Not for: choosing them.

The columns are `_id, _column, _reason, _value`, `_of` where the rows are in the ledger (`mark_of`),
`_table` where they are of several tables, then those of the source in its order, then `_raw` where
a record could not be split. A source column of such a name keeps it: then ours gets another
underscore in front.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias

import polars as pl
import psycopg

from penstock.errors import UsageError
from penstock.ledger import quarantine
from penstock.ledger.quarantine import Selection, texts_of
from penstock.model.batch import ROW
from penstock.model.table import TableName
from penstock.postgres.catalog import read_spec

#: How a spreadsheet takes a field for a formula (OWASP "CSV Injection"), after any apostrophes:
#: our own apostrophe in front then means one thing only, and taking it away gives the value back.
#: The last four are the wide forms of = + - @.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\0\uff1d\uff0b\uff0d\uff20]")
#: These begin with a sign and are no formulas.
_PLAIN_NUMBER = re.compile(r"'*[+-](?:[0-9][0-9.,]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
_NEEDS_QUOTES = re.compile(r'[",;\t\r\n]|^\s|\s$')

#: What a sheet holds (Microsoft, "Excel specifications and limits").
_SHEET_ROWS = 1_048_576
_SHEET_COLUMNS = 16_384
_CELL = 32_767

_JOIN = "; "
Cell: TypeAlias = str | None


@dataclass(frozen=True, slots=True)
class SpoolPart:
    """The refused rows of one table that are in no ledger.

    Attributes:
        table: The table.
        frames: Gives them in frames of `spool.SCHEMA`; called twice.
        origin: Gives the source's name and the record number of a `_row`.
    """

    table: TableName
    frames: Callable[[], Iterable[pl.DataFrame]]
    origin: Callable[[int], tuple[str, int]]


@dataclass(frozen=True, slots=True)
class _Refused:
    """One row of the file before it is laid out."""

    id: str
    table: TableName
    columns: Sequence[str]
    reasons: Sequence[str]
    bad: Sequence[Cell]
    values: str | None
    raw: bytes
    mark: Cell = None


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of the file."""

    names: tuple[str, ...]
    tables: int
    with_raw: bool
    with_of: bool = False

    def header(self) -> list[str]:
        ours = ["_id", "_column", "_reason", "_value"]
        ours += ["_of"] if self.with_of else []
        ours += ["_table"] if self.tables > 1 else []
        ours = [self._free(name) for name in ours]
        return [*ours, *self.names, *([self._free("_raw")] if self.with_raw else [])]

    def cells(self, row: _Refused) -> list[Cell]:
        values = {} if row.values is None else texts_of(row.values)
        cells: list[Cell] = [
            row.id,
            _JOIN.join(row.columns) or None,
            _JOIN.join(row.reasons) or None,
            _JOIN.join(value or "" for value in row.bad) or None,
        ]
        cells += [row.mark] if self.with_of else []
        cells += [str(row.table)] if self.tables > 1 else []
        cells += [values.get(name) for name in self.names]
        if self.with_raw:
            unsplit = row.values is None
            cells.append(row.raw.decode("utf-8", "backslashreplace") if unsplit else None)
        return cells

    def _free(self, name: str) -> str:
        while name in self.names:
            name = f"_{name}"
        return name


class _Writer(Protocol):
    def row(self, cells: Sequence[Cell]) -> None: ...

    def close(self) -> None: ...


def export_rejects(connection: psycopg.Connection[Any], path: str | Path, what: Selection) -> int:
    """Write rejects of the ledger to a file, one line each; gives how many there were.

    The file is private (0600) and appears as a whole; an older one of that name is replaced. CSV is
    UTF-8, NULL is an empty field and the empty text is `""`, as Penstock reads them; a field that a
    spreadsheet would take for a formula begins with an apostrophe (plain numbers do not). In xlsx
    every cell is a text, and texts longer than a cell holds are cut, which `_reason` then says.

    Args:
        connection: To a database with the ledger, in autocommit, outside of a transaction.
        path: Ends with .csv or .xlsx.
        what: Which rejects.

    Raises:
        UsageError: Another ending, no such folder, xlsx without XlsxWriter, or too many columns.
    """
    with connection.transaction():
        # The columns are asked for first: they must be those of the rows that come after.
        connection.execute("set transaction isolation level repeatable read, read only")
        found = quarantine.layouts(connection, what)
        names = _merged(one.names for one in found if one.names is not None)
        layout = _Layout(
            names=names or _to_fill_in(connection, {one.table for one in found}),
            tables=len({one.table for one in found}),
            with_raw=any(one.names is None for one in found),
            with_of=True,
        )
        rows = (
            _Refused(
                id=str(one.reject_id),
                table=one.table,
                columns=one.columns,
                reasons=one.reasons,
                bad=one.bad_values,
                values=one.raw_values,
                raw=one.raw,
                mark=mark_of(one.load_id),
            )
            for one in quarantine.stream(connection, what)
        )
        return _write(Path(path), layout, rows)


def mark_of(load_id: str) -> str:
    """What tells a reject from one of another ledger with the same number: the load that met it.

    What stands in front keeps spreadsheets from taking it for a number or a day.
    """
    return f"L-{load_id[:8]}"


def _to_fill_in(connection: psycopg.Connection[Any], tables: set[TableName]) -> tuple[str, ...]:
    """Columns of the table, where no record could be split: a person fills them in."""
    if len(tables) != 1:
        return ()
    try:
        spec = read_spec(connection, next(iter(tables)))
    except UsageError:  # it is not there any more
        return ()
    return tuple(column.name for column in spec.columns if not column.generated)


def export_spools(path: str | Path, parts: Sequence[SpoolPart]) -> int:
    """Write refused rows that are in no ledger; as `export_rejects`.

    Their `_id` is the source's name and the record number, such as `orders.csv:17`.

    Raises:
        UsageError: As `export_rejects`.
    """
    layouts: dict[tuple[str, ...], None] = {}
    tables: set[TableName] = set()
    with_raw = False
    for part in parts:
        for frame in part.frames():
            tables.add(part.table)
            with_raw = with_raw or frame["values"].null_count() > 0
            for text in frame["values"].drop_nulls():
                layouts[tuple(json.loads(text))] = None
    layout = _Layout(names=_merged(layouts), tables=len(tables), with_raw=with_raw)
    return _write(Path(path), layout, _spooled(parts))


def check_path(path: str | Path) -> None:
    """Can rejects be exported to this path? Asked before a load, so that it does not run in vain.

    Raises:
        UsageError: Another ending than .csv or .xlsx, no such folder, not a plain file, or xlsx
            without XlsxWriter.
    """
    path = Path(path)
    _kind(path)
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} for {path.name}")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise UsageError(f"{path} is not a plain file: rejects are not written there")


def _spooled(parts: Sequence[SpoolPart]) -> Iterator[_Refused]:
    for part in parts:
        for frame in part.frames():
            chosen = frame.select(ROW, "columns", "reasons", "bad", "values", "raw")
            for row, columns, reasons, bad, values, raw in chosen.iter_rows():
                source, record = part.origin(row)
                yield _Refused(f"{source}:{record}", part.table, columns, reasons, bad, values, raw)


def _merged(layouts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """All names once, in the order of the first layout; each further one adds what it has more."""
    return tuple(dict.fromkeys(name for names in layouts for name in names))


def _kind(path: Path) -> Callable[[IO[bytes], _Layout], _Writer]:
    ending = path.suffix.lower()
    if ending == ".csv":
        return _Csv
    if ending != ".xlsx":
        raise UsageError(f"{path}: rejects are written as .csv or .xlsx")
    try:
        import xlsxwriter  # noqa: F401
    except ImportError:
        raise UsageError(
            f"{path}: writing .xlsx needs XlsxWriter: pip install 'penstock[excel]'; or write .csv"
        ) from None
    return _Xlsx


def _write(path: Path, layout: _Layout, rows: Iterable[_Refused]) -> int:
    check_path(path)
    count = 0
    with _replacing(path) as file, closing(_kind(path)(file, layout)) as writer:
        writer.row(layout.header())
        for row in rows:
            writer.row(layout.cells(row))
            count += 1
    return count


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A private file that takes the path's place when it is whole, or vanishes."""
    place = path.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{place.name[:100]}.", dir=place.parent)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(place)
    except BaseException:  # the half-written file goes, whatever ended it; the error is raised
        Path(name).unlink(missing_ok=True)
        raise


class _Csv:
    def __init__(self, file: IO[bytes], layout: _Layout) -> None:
        del layout
        self._file = file
        # Excel reads UTF-8 only behind a mark; and no --encoding can then misread the file.
        file.write(codecs.BOM_UTF8)

    def row(self, cells: Sequence[Cell]) -> None:
        self._file.write((",".join(map(_field, cells)) + "\n").encode("utf-8"))

    def close(self) -> None:
        """Nothing is left to be written."""


def _field(cell: Cell) -> str:
    if cell is None:
        return ""
    if _FORMULA.match(cell) and not _PLAIN_NUMBER.fullmatch(cell):
        cell = f"'{cell}"
    if cell and not _NEEDS_QUOTES.search(cell):
        return cell
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


class _Xlsx:
    """Rows go to a temporary file at once; a full sheet is followed by another."""

    def __init__(self, file: IO[bytes], layout: _Layout) -> None:
        import xlsxwriter

        self._header = layout.header()
        if len(self._header) > _SHEET_COLUMNS:
            raise UsageError(
                f"A sheet holds {_SHEET_COLUMNS:,} columns, these rejects have "
                f"{len(self._header):,}: write them as .csv"
            )
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-")
        options = {"constant_memory": True, "tmpdir": self._folder.name}
        self._book = xlsxwriter.Workbook(file, options)
        self._book.use_zip64()
        self._bold = self._book.add_format({"bold": True})
        self._sheets = 0
        self._rows = _SHEET_ROWS

    def row(self, cells: Sequence[Cell]) -> None:
        if self._rows == _SHEET_ROWS:
            self._sheets += 1
            self._sheet = self._book.add_worksheet(f"rejects {self._sheets}")
            self._sheet.freeze_panes(1, 0)
            for place, name in enumerate(self._header):
                wide = _REASON_WIDTH if name == "_reason" else min(len(name) + 4, _REASON_WIDTH)
                self._sheet.set_column(place, place, max(wide, _LEAST_WIDTH))
            self._rows = 0
            if self._sheets > 1:
                self._put(self._header)
        self._put(cells)

    def close(self) -> None:
        from xlsxwriter.exceptions import FileCreateError

        try:
            self._book.close()
        except FileCreateError as error:  # it hides what the system said
            raise (error.args[0] if isinstance(error.args[0], OSError) else error) from None
        finally:
            self._folder.cleanup()

    def _put(self, cells: Sequence[Cell]) -> None:
        cut = [name for name, cell in zip(self._header, cells, strict=True) if _too_long(cell)]
        style = self._bold if self._rows == 0 else None
        for place, cell in enumerate(_shortened(cells, cut)):
            if cell:
                self._sheet.write_string(self._rows, place, cell, style)
        self._rows += 1


#: Characters that a column of a sheet shows: reasons are read, not only copied.
_REASON_WIDTH, _LEAST_WIDTH = 60, 12
#: The place of `_reason` among the columns.
_REASON = 2


def written_as(cell: Cell, kind: str) -> Cell:
    """What a cell of the ledger reads as in an untouched file.

    Args:
        cell: A source's text.
        kind: `.csv` or `.xlsx`; in a sheet, long texts are cut, and the empty text is no cell.
    """
    if cell is None or kind == ".csv":
        return cell
    return _cut(cell, _CELL) or None


def without_apostrophe(cell: str) -> str:
    """A field of a CSV file without the apostrophe that an export put in front of it."""
    if cell[:1] != "'" or not _FORMULA.match(cell) or _PLAIN_NUMBER.fullmatch(cell):
        return cell
    return cell[1:]


def _too_long(cell: Cell) -> bool:
    return cell is not None and _length(cell) > _CELL


def _shortened(cells: Sequence[Cell], cut: Sequence[str]) -> list[Cell]:
    if not cut:
        return list(cells)
    note = f"; cut here to what a cell holds: {_JOIN.join(cut)[:1000]}"
    kept = [cell if cell is None else _cut(cell, _CELL) for cell in cells]
    kept[_REASON] = _cut(kept[_REASON] or "", _CELL - len(note)) + note
    return kept


def _length(text: str) -> int:
    """As Excel counts: in units of UTF-16."""
    return len(text) + sum(char > "\uffff" for char in text)


def _cut(text: str, length: int) -> str:
    if _length(text) <= length:
        return text
    return text.encode("utf-16-le", "surrogatepass")[: 2 * length].decode("utf-16-le", "ignore")
