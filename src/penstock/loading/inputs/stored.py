"""Files as inputs: one class for each kind of reader. Not for: frames, nor telling formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from penstock.formats.bytes import Source
from penstock.formats.csv.reader import CsvReader
from penstock.formats.fixed.reader import FixedReader
from penstock.formats.jsons.document import DocumentReader
from penstock.formats.jsons.lines import JsonRows, NdjsonReader
from penstock.formats.reader import Reader
from penstock.formats.zipped import Member
from penstock.loading.inputs.protocol import Origin
from penstock.model.batch import Batch
from penstock.model.options import CsvOptions, FixedOptions
from penstock.model.table import Column
from penstock.postgres.encodings import writable

_JSON = ("json", "jsonb")
_DECIMAL = ("int2", "int4", "int8", "numeric")
#: A file, or one in a zip archive.
Where = Path | Member


class StoredInput(ABC):
    """A file of any format.

    Args:
        where: The file.
        file: Its number in the load, from 0.
        name: How messages name it; default the path.
    """

    def __init__(self, where: Where, file: int, name: str = "") -> None:
        self.name = writable(name or str(where))
        self.where = where
        self.file = file
        self.size = where.size if isinstance(where, Member) else where.stat().st_size
        self.typed: frozenset[str] = frozenset()
        self.stored = True
        self._known: tuple[str, ...] = ()
        self._reader: Reader | None = None

    @abstractmethod
    def _open(self) -> Reader:
        """A new reader."""

    def columns(self, known: Collection[str]) -> tuple[str, ...]:
        """The names of the source columns."""
        self._known = tuple(known)
        with closing(self._open()) as reader:
            return reader.columns

    def matched(self, pairs: Sequence[tuple[str, Column]]) -> None:
        """Most formats are read the same way whatever they fill."""
        del pairs

    def batches(self) -> Iterator[Batch]:
        """The file's records."""
        self._reader = self._open()
        return self._reader.batches()

    def fetch(self, rows: Collection[int]) -> dict[int, Origin]:
        """The records again; the content must be what it was."""
        return {} if self._reader is None else self._reader.fetch(rows)

    def origin(self, record: int) -> tuple[str, int]:
        """Its own name and number."""
        return self.name, record

    def sha256(self) -> str:
        """Of the stored bytes."""
        return "" if self._reader is None else self._reader.sha256

    def fingerprint(self) -> str:
        """Of the stored bytes, read for this alone."""
        source = Source(self.where, name=self.name)
        try:
            source.drain()
        finally:
            source.close()
        return source.sha256

    def remarks(self) -> tuple[str, ...]:
        """Most formats leave nothing to be found out."""
        return ()


class CsvInput(StoredInput):
    """A CSV file."""

    def __init__(self, where: Where, file: int, options: CsvOptions, name: str = "") -> None:
        super().__init__(where, file, name)
        self._options = options
        self._delimiter = ""

    def _open(self) -> CsvReader:
        return CsvReader(
            self.where, self._options, known=self._known, file=self.file, name=self.name
        )

    def columns(self, known: Collection[str]) -> tuple[str, ...]:
        """The header's names, or those declared."""
        self._known = tuple(known)
        with self._open() as reader:
            columns, self._delimiter = reader.columns, reader.delimiter
        return columns

    def remarks(self) -> tuple[str, ...]:
        """The delimiter, where it was found out and is not the comma."""
        if self._options.delimiter is not None or self._delimiter == ",":
            return ()
        shown = {"\t": "tab"}.get(self._delimiter, self._delimiter)
        return (f"fields are separated by '{shown}', as the header shows",)


class JsonInput(StoredInput):
    """A file of JSON objects: one a line, or the elements of an array.

    Args:
        where: The file.
        file: Its number in the load, from 0.
        rows: How objects become rows.
        path: Keys that lead to the array of a document; None: an object on each line.
        name: How messages name it; default the path.
    """

    def __init__(
        self,
        where: Where,
        file: int,
        rows: JsonRows,
        path: Sequence[str] | None = None,
        name: str = "",
    ) -> None:
        super().__init__(where, file, name)
        self._rows = rows
        self._path = path

    def matched(self, pairs: Sequence[tuple[str, Column]]) -> None:
        """A column of JSON keeps a value's JSON: the string "12" is not the number 12."""
        self._rows = replace(
            self._rows,
            verbatim=frozenset(name for name, column in pairs if column.base in _JSON),
            positional=frozenset(name for name, column in pairs if column.base in _DECIMAL),
        )

    def _open(self) -> Reader:
        rows = replace(self._rows, known=self._known)
        if self._path is None:
            return NdjsonReader(self.where, rows, file=self.file, name=self.name)
        return DocumentReader(self.where, rows, self._path, file=self.file, name=self.name)


class FixedInput(StoredInput):
    """A file of fixed width."""

    def __init__(
        self, where: Where, file: int, fixed: FixedOptions, options: CsvOptions, name: str = ""
    ) -> None:
        super().__init__(where, file, name)
        self._fixed = fixed
        self._options = options

    def _open(self) -> Reader:
        return FixedReader(
            self.where,
            self._fixed,
            encoding=self._options.encoding,
            max_record_bytes=self._options.max_record_bytes,
            file=self.file,
            name=self.name,
        )
