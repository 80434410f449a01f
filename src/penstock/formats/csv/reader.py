"""A CSV file as batches of text with the origin of every record.

Blank lines before the header are no records. Not for: types of values, matching of names.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import polars as pl

from penstock.errors import BalanceError, SourceError, UsageError
from penstock.formats.bytes import Given, Source
from penstock.formats.csv.careful import CarefulReader
from penstock.formats.csv.dialect import Dialect, check_characters
from penstock.formats.csv.fast import FastReader
from penstock.formats.csv.framing import BLOCK, Frames
from penstock.formats.csv.header import (
    check_names,
    first_record,
    prove_delimiter,
    read_header,
    skip_blank,
)
from penstock.formats.csv.parsed import Parsed, encoding, is_text
from penstock.formats.csv.text import Text
from penstock.formats.reader import OfSource
from penstock.formats.zipped import Member
from penstock.model.batch import LINE, ROW, Batch, Malformed, row_id
from penstock.model.options import CsvOptions

#: Bytes of an overlong record that its reject keeps.
_KEPT = 4096
#: Bytes within which a header must end.
_BEGINNING = 1 << 20


class CsvReader(OfSource):
    """One CSV file, read once from beginning to end in flat memory.

    Args:
        path_or_stream: A file, or a binary stream read from where it stands; compressed or not.
        options: How the file is written.
        known: Column names of the target, by which the delimiter is proven.
        file: Number of the file within the load, from 0.
        name: How messages name it; default the path.
        block: Bytes looked at together; only tests change it.

    Attributes:
        name: How messages name it.

    Raises:
        UsageError: An option is wrong. `columns` are missing where there is no header.
        SourceError: The file cannot be opened. On first access to `columns` or `delimiter`, or
            with the first batch: it is empty, its header is unusable, its delimiter is not
            proven. While reading: compression that is truncated or corrupt.
    """

    def __init__(
        self,
        path_or_stream: Given,
        options: CsvOptions,
        *,
        known: Collection[str] = (),
        file: int = 0,
        name: str = "",
        block: int = BLOCK,
    ) -> None:
        escape = options.escape if options.escape != options.quote else None
        check_characters(options.delimiter, options.quote, escape)
        if options.columns is not None:
            check_names(options.columns, name, declared=True)
        elif not options.header:
            raise UsageError("A file without a header needs the names of its columns: --columns.")
        self._options = options
        self._escape = escape
        self._known = known
        self._file = file
        self._block = block
        self._given = path_or_stream
        self._start = _position(path_or_stream)
        self._source = Source(path_or_stream, name=name, text=True)
        self.name = self._source.name
        self._columns: tuple[str, ...] | None = None
        self._begun = False
        self._record = 1
        self._line = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the source columns, in file order."""
        return self._open()

    @property
    def delimiter(self) -> str:
        """The delimiter, as declared or proven."""
        self._open()
        return self._dialect.delimiter

    @property
    def encoding(self) -> str:
        """The codec's name, as declared, shown by a byte order mark, or `utf-8`."""
        self._open()
        return self._text.encoding

    @property
    def size(self) -> int:
        """Stored bytes read so far; the size of the file once all is read."""
        return self._source.consumed

    def batches(self) -> Generator[Batch, None, None]:
        """The records, in file order; `sha256` and `size` are known afterwards.

        A batch may have no rows where all its records were refused or blank.

        Raises:
            UsageError: Called a second time.
            BalanceError: Records counted and records explained differ: a defect.
        """
        if self._begun:
            raise UsageError(f"{self.name}: its batches were read already; open a new reader.")
        self._begun = True
        try:
            self._open()
            yield from self._batches()
        finally:
            self.close()

    def _batches(self) -> Iterator[Batch]:
        window = self._block
        while True:
            text, final = self._frames.peek(window)
            if not text:
                self.drain()  # padding behind the end of compressed data
                return
            parsed = self._fast.parse(text)
            if parsed is None:
                parsed = self._careful.parse(text, final=final)
            if not parsed.size:
                window *= 2  # the first record goes on behind the block
                continue
            window = self._block
            yield self._batch(parsed, self._frames.consume(parsed.size))

    def _batch(self, parsed: Parsed, stored: bytes) -> Batch:
        height = parsed.frame.height
        if parsed.records != height + len(parsed.refused) + parsed.filtered:
            raise BalanceError(
                f"{self.name}: from line {self._line} on {parsed.records} records were counted, "
                f"but {height} rows, {len(parsed.refused)} malformed and {parsed.filtered} blank "
                f"ones were found. This is a defect of Penstock: please report it."
            )
        starts = parsed.frame[LINE]
        frame = parsed.frame.with_columns(
            pl.col(ROW) + row_id(self._file, self._record), pl.col(LINE) + self._line
        )
        batch = Batch(
            frame=frame,
            raw=_raw_of(self._text, stored, starts, parsed.spans),
            records=parsed.records,
            malformed=self._malformed(parsed, stored),
            filtered=parsed.filtered,
            read_bytes=self.size,
        )
        self._record += parsed.records
        self._line += parsed.lines
        return batch

    def _malformed(self, parsed: Parsed, stored: bytes) -> list[Malformed]:
        if not parsed.refused:
            return []
        lines = self._text.lines(stored)
        found = []
        for refused in parsed.refused:
            raw = self._text.record(lines, refused.line, refused.span)
            reason = refused.reason or encoding(raw, self._text.encoding)
            if refused.code == "too_long":
                raw = raw[:_KEPT]
                reason = f"{reason}; the first {_KEPT} bytes are kept"
            row = row_id(self._file, self._record + refused.record)
            found.append(Malformed(row, self._line + refused.line, raw, refused.code, reason))
        return found

    def _open(self) -> tuple[str, ...]:
        """Read the beginning of the file: encoding, line end, header, delimiter."""
        if self._columns is not None:
            return self._columns
        options = self._options
        limit = options.max_record_bytes
        self._text = Text(
            self._source, options.encoding, quote=options.quote, limit=limit, block=self._block
        )
        self._frames = Frames(self._text, options.quote)
        dialect = Dialect(options.delimiter or ",", options.quote, self._escape, self._text.eol)
        first = self._beginning(dialect)
        if options.delimiter is None:
            width = len(options.columns) if options.columns is not None else None
            proven = prove_delimiter(
                first, self._known, dialect=dialect, width=width, name=self.name
            )
            dialect = Dialect(proven, options.quote, self._escape, self._text.eol)
        self._dialect = dialect
        columns = self._header(first) if options.header else self._declared(first)
        self._fast = FastReader(dialect, columns, limit)
        self._careful = CarefulReader(dialect, columns, limit, block=self._block)
        self._columns = columns
        return columns

    def _beginning(self, dialect: Dialect) -> bytes:
        """The text from the first record that is not blank; blank lines before a header go."""
        while True:
            text, final = self._frames.peek(max(self._block, _BEGINNING))
            blank = skip_blank(text, dialect)
            if blank == len(text) and final:
                raise SourceError(
                    f"{self.name}: empty: it has no header and no rows.", code="empty"
                )
            if not self._options.header or not blank:
                return text[blank:]
            self._take(text[:blank])

    def _take(self, text: bytes) -> bytes:
        """Consume what comes before the first row."""
        self._line += text.count(self._text.eol)
        return self._frames.consume(len(text))

    def _header(self, first: bytes) -> tuple[str, ...]:
        names, size = read_header(first, self._dialect, self.name)
        stored = self._take(first[:size])
        if not is_text(first[:size]):
            reason = encoding(stored.rstrip(b"\r\n\0"), self._text.encoding)
            raise SourceError(f"{self.name}: the header: {reason}.", code="encoding")
        columns = self._options.columns
        if columns is None:
            check_names(names, self.name, declared=False)
            return tuple(names)
        self._same_number(len(names), "the header", columns)
        return columns

    def _declared(self, first: bytes) -> tuple[str, ...]:
        columns = self._options.columns or ()
        try:
            fields, _ = first_record(first, self._dialect)
        except csv.Error:
            return columns  # refused as a record, later
        if fields:
            self._same_number(len(fields), "the first record", columns)
        return columns

    def _same_number(self, found: int, where: str, columns: Sequence[str]) -> None:
        if found != len(columns):
            raise SourceError(
                f"{self.name}: {where} has {found} fields (delimiter "
                f"{self._dialect.delimiter!r}), --columns names {len(columns)}: "
                f"{', '.join(columns)}. Name every column, or declare --delimiter.",
                code="header",
            )

    def fetch(self, rows: Collection[int]) -> dict[int, tuple[int, bytes, dict[str, str | None]]]:
        """Records once more, by a second pass over the same content.

        Args:
            rows: The `_row`s wanted.

        Returns:
            `_row` -> (physical line, stored bytes, source column -> text). Malformed records
            have no columns.

        Raises:
            SourceError: The first pass is not finished, the stream cannot be read again, or the
                content is not the same any more.
            UsageError: A `_row` that this file does not have.
        """
        sha256 = self.sha256
        options = replace(self._options, delimiter=self.delimiter)
        again = CsvReader(
            self._from_start(), options, file=self._file, name=self.name, block=self._block
        )
        missing = set(rows)
        found: dict[int, tuple[int, bytes, dict[str, str | None]]] = {}
        with again, closing(again.batches()) as batches:
            for batch in batches if missing else ():
                _pick(batch, missing, found)
                if not missing:
                    break
            again.drain()
            if again.sha256 != sha256:
                raise SourceError(
                    f"{self.name}: its content changed while it was being loaded. "
                    f"Load it again when nobody writes to it.",
                    code="changed",
                )
        if missing:
            raise UsageError(f"{self.name}: has no record with _row {min(missing)}.")
        return found

    def _from_start(self) -> Given:
        if isinstance(self._given, str | Path | Member):
            return self._given
        if self._start is None:
            raise SourceError(f"{self.name}: a stream that cannot be read a second time.")
        self._given.seek(self._start)
        return self._given


def _position(given: Given) -> int | None:
    """Where a stream stands, if it can be set back to it."""
    if isinstance(given, str | Path | Member) or not given.seekable():
        return None
    return given.tell()


def _pick(
    batch: Batch,
    missing: set[int],
    found: dict[int, tuple[int, bytes, dict[str, str | None]]],
) -> None:
    """Move the wanted records of a batch from `missing` to `found`."""
    frame = batch.frame
    positions = frame[ROW].is_in(sorted(missing)).arg_true()
    lines = frame[LINE].gather(positions).to_list()
    rows = frame[ROW].gather(positions).to_list()
    raws = batch.raw(positions.to_list()) if rows else []
    fields = frame[positions].drop(ROW, LINE).to_dicts()
    for row, line, raw, values in zip(rows, lines, raws, fields, strict=True):
        found[row] = (line, raw, values)
        missing.discard(row)
    for malformed in batch.malformed:
        if malformed.row in missing:
            found[malformed.row] = (malformed.line, malformed.raw, {})
            missing.discard(malformed.row)


def _raw_of(
    text: Text, stored: bytes, starts: pl.Series, spans: pl.Series | None
) -> Callable[[Sequence[int]], list[bytes]]:
    """Where the bytes of a batch's rows are found; nothing is cut before somebody asks."""

    def raw(positions: Sequence[int]) -> list[bytes]:
        lines = text.lines(stored)
        return [
            text.record(lines, starts[at], 1 if spans is None else spans[at]) for at in positions
        ]

    return raw
