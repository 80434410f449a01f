"""The strict reader of the standard library, for blocks that need a closer look.

A malformed record gives up its first physical line only, and reading goes on with the next one:
an unclosed quote never swallows the rest of a file.
Not for: blocks that the bytes prove (`fast`); this is ten times slower.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from penstock.errors import BalanceError
from penstock.formats.csv.dialect import Dialect
from penstock.formats.csv.fast import FastReader, empty_frame
from penstock.formats.csv.parsed import (
    Parsed,
    Refused,
    condemned,
    not_closed,
    ragged,
)
from penstock.model.batch import LINE, ROW

_END_OF_DATA = "unexpected end of data"


class _TooLong(Exception):
    """The record being read is beyond the limit."""


@dataclass(slots=True)
class _Found:
    """The records of one block."""

    rows: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    spans: list[int] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    records: int = 0
    filtered: int = 0
    line: int = 0


class CarefulReader:
    """Takes any block apart, record by record.

    Args:
        dialect: How the file is written.
        columns: Names of the source columns.
        limit: Longest record in bytes.
        block: Bytes after which it stops at the next record's end, to keep memory flat.
    """

    def __init__(self, dialect: Dialect, columns: Sequence[str], limit: int, *, block: int) -> None:
        self._dialect = dialect
        self._columns = list(columns)
        self._limit = limit
        self._block = block
        self._fast = FastReader(dialect, columns, limit)
        # The limit is one for the process: it is only ever raised, never lowered for others.
        csv.field_size_limit(max(csv.field_size_limit(), limit + 1))

    def parse(self, text: bytes, *, final: bool) -> Parsed:
        """As much of a block as consists of whole records, about `block` bytes of it.

        `size` is 0 where the block ends within its first record and is not the `final` one.
        """
        lines = physical_lines(text, self._dialect.eol)
        found = self._read(lines, final)
        frame = self._fill(found)
        size = len(text) if found.line == len(lines) else sum(map(len, lines[: found.line]))
        spans = pl.Series(found.spans, dtype=pl.Int64)
        return Parsed(frame, found.records, found.line, size, found.refused, found.filtered, spans)

    def _read(self, lines: list[bytes], final: bool) -> _Found:
        found = _Found()
        feed = _Feed(lines, self._dialect, self._limit)
        reader = csv.reader(feed, self._dialect.strict)
        size = 0
        while found.line < len(lines) and size < self._block:
            feed.begin(found.line)
            error = ""
            fields: list[str] = []
            try:
                fields = next(reader)
            except csv.Error as malformed:
                error = str(malformed)
            except _TooLong:
                error = not_closed(self._limit)
            if error == _END_OF_DATA and not final:
                break
            span = 1 if error else feed.at - found.line
            raw = lines[found.line] if span == 1 else b"".join(lines[found.line : feed.at])
            self._judge(found, raw, span, fields, error)
            found.records += 1
            found.line += span
            size += len(raw)
            if error:
                feed = _Feed(lines, self._dialect, self._limit)
                reader = csv.reader(feed, self._dialect.strict)
        return found

    def _judge(self, found: _Found, raw: bytes, span: int, fields: list[str], error: str) -> None:
        verdict = condemned(raw, self._dialect, self._limit)
        if verdict is None and error:
            verdict = ("quote", _plain_words(error, self._dialect))
        if verdict is None and len(fields) != len(self._columns):
            verdict = ("ragged", ragged(len(fields), self._columns))
        if verdict is None:
            found.rows.append(found.records)
            found.starts.append(found.line)
            found.spans.append(span)
            found.raws.append(raw)
        elif verdict[0] == "blank":
            found.filtered += 1
        else:
            found.refused.append(Refused(found.records, found.line, span, *verdict))

    def _fill(self, found: _Found) -> pl.DataFrame:
        """Fields of the accepted records: by Polars where it can, else from the strict reader."""
        if not found.raws:
            return empty_frame(self._columns)
        eol = self._dialect.eol
        if not found.raws[-1].endswith(eol):
            found.raws[-1] += eol
        frame = self._fast.fill(b"".join(found.raws))
        if frame is None:
            frame = self._fill_mixed(found.raws)
        return frame.with_columns(
            pl.Series(ROW, found.rows, dtype=pl.Int64),
            pl.Series(LINE, found.starts, dtype=pl.Int64),
        )

    def _fill_mixed(self, raws: list[bytes]) -> pl.DataFrame:
        """Records that Polars cannot read, such as `5" pipe`, among those that it can."""
        proven = [self._fast.proves(raw) == 1 for raw in raws]
        plain = [at for at, ok in enumerate(proven) if ok]
        odd = [at for at, ok in enumerate(proven) if not ok]
        filled = self._fast.fill(b"".join([raws[at] for at in plain]))
        if filled is None:
            plain, odd = [], list(range(len(raws)))
        fields = pl.DataFrame(
            [self._fields(raws[at]) for at in odd],
            schema=dict.fromkeys(self._columns, pl.String),
            orient="row",
        )
        if filled is None:
            return fields
        return pl.concat([filled, fields])[pl.Series([*plain, *odd]).arg_sort()]

    def _fields(self, raw: bytes) -> list[str | None]:
        """The fields of one accepted record; None for empty ones without quotes."""
        lines = [line.decode() for line in physical_lines(raw, self._dialect.eol)]
        text = [protected(line, self._dialect) for line in lines]
        fields: list[str] = next(csv.reader(text, self._dialect.strict))
        if "" not in fields:
            return list(fields)
        quoted = _quoted("".join(text), len(fields), self._dialect)
        return [
            None if value == "" and not kept else value
            for value, kept in zip(fields, quoted, strict=True)
        ]


class _Feed:
    """Physical lines for the strict reader, counting what the record at hand has taken."""

    def __init__(self, lines: list[bytes], dialect: Dialect, limit: int) -> None:
        self.at = 0
        self._lines = lines
        self._dialect = dialect
        self._limit = limit
        self._size = 0

    def begin(self, line: int) -> None:
        """The next line given opens a record."""
        self.at = line
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.at >= len(self._lines):
            raise StopIteration
        line = self._lines[self.at]
        if self._size + len(line.rstrip(b"\r\n")) > self._limit:
            raise _TooLong
        self._size += len(line)
        self.at += 1
        return protected(line.decode("utf-8", "surrogateescape"), self._dialect)


def physical_lines(text: bytes, eol: bytes) -> list[bytes]:
    """Lines with their line ends; only `eol` ends one."""
    lines = [line + eol for line in text.split(eol)]
    last = lines.pop().removesuffix(eol)
    return [*lines, last] if last else lines


def protected(line: str, dialect: Dialect) -> str:
    """Double the escape characters that stand for themselves.

    The strict reader would drop an escape character before any other character, and
    so turn a Windows path into something else without a word.
    """
    escape, pattern = dialect.escape, dialect.escaped
    if escape is None or pattern is None or escape not in line:
        return line
    special = {dialect.delimiter, dialect.quote, escape, dialect.eol.decode()} - {""}

    def double(found: re.Match[str]) -> str:
        return found.group() if found[1] in special else f"{escape}{found.group()}"

    return pattern.sub(double, line)


def _quoted(record: str, fields: int, dialect: Dialect) -> list[bool]:
    """Which fields of an accepted record stand in quotes."""
    if not dialect.quote or dialect.quote not in record:
        return [False] * fields
    quoted, at = [], 0
    for _ in range(fields):
        found = dialect.field.match(record, at)
        if found is None:
            raise BalanceError(f"The fields of a record cannot be found again: {record[:80]!r}.")
        quoted.append(record.startswith(dialect.quote, at))
        at = found.end()
    return quoted


def _plain_words(error: str, dialect: Dialect) -> str:
    if error == _END_OF_DATA:
        if not dialect.quote:
            return "the file ends behind an escape character"
        return "a quoted field begins here and is not closed before the end of the file"
    if "expected after" in error:
        return (
            f"text after a closing quote; a quote inside of a quoted field is written "
            f"{dialect.escape or dialect.quote}{dialect.quote}"
        )
    if "new-line character" in error:
        return "a carriage return or line feed outside of quotes that is no line end of this file"
    return error
