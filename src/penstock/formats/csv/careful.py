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
from typing import AnyStr

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

#: Records after which a block is left to the next one: fields of short records are many objects.
_RECORDS = 100_000
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
    fields: list[list[str]] = field(default_factory=list)
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
        self._eol = dialect.eol.decode()
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
        found = _Found()
        feed = _Feed(text, self._dialect, self._limit)
        reader = csv.reader(feed, self._dialect.strict)
        while feed.start < min(len(text), self._block) and found.records < _RECORDS:
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
            if error:
                feed.give_up()
                reader = csv.reader(feed, self._dialect.strict)
            span, raw = feed.take()
            self._judge(found, raw, span, fields, error)
            found.records += 1
            found.line += span
        spans = pl.Series(found.spans, dtype=pl.Int64)
        return Parsed(
            self._fill(found),
            found.records,
            found.line,
            feed.start,
            found.refused,
            found.filtered,
            spans,
        )

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
            if not self._dialect.provable:
                found.fields.append(fields)
        elif verdict[0] == "blank":
            found.filtered += 1
        else:
            found.refused.append(Refused(found.records, found.line, span, *verdict))

    def _fill(self, found: _Found) -> pl.DataFrame:
        """Fields of the accepted records: by Polars where it can, else from the strict reader."""
        if not found.raws:
            return empty_frame(self._columns)
        if not found.raws[-1].endswith(self._dialect.eol):
            found.raws[-1] += self._dialect.eol
        if self._dialect.provable:
            frame = self._fast.fill(b"".join(found.raws))
            if frame is None:
                frame = self._fill_mixed(found.raws)
        else:
            frame = self._from_strict(found.raws, found.fields)
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
        again = [
            next(csv.reader(physical_lines(raws[at].decode(), self._eol), self._dialect.strict))
            for at in odd
        ]
        fields = self._from_strict([raws[at] for at in odd], again)
        if filled is None:
            return fields
        return pl.concat([filled, fields])[pl.Series([*plain, *odd]).arg_sort()]

    def _from_strict(self, raws: list[bytes], fields: list[list[str]]) -> pl.DataFrame:
        """The strict reader's fields, with NULL for the empty ones without quotes."""
        pairs = zip(raws, fields, strict=True)
        return pl.DataFrame(
            [self._nulled(raw, values) if "" in values else values for raw, values in pairs],
            schema=dict.fromkeys(self._columns, pl.String),
            orient="row",
        )

    def _nulled(self, raw: bytes, fields: list[str]) -> list[str | None]:
        quote = self._dialect.quote
        record = raw.decode()
        if not quote or quote * 2 not in record:
            return [value or None for value in fields]
        quoted = _quoted(protected(record, self._dialect), len(fields), self._dialect)
        pairs = zip(fields, quoted, strict=True)
        return [value if value or kept else None for value, kept in pairs]


class _Feed:
    """Physical lines for the strict reader, cut off the text as it asks for them."""

    def __init__(self, text: bytes, dialect: Dialect, limit: int) -> None:
        #: Where the record at hand begins.
        self.start = 0
        self._text = text
        self._dialect = dialect
        self._limit = limit
        self._at = 0
        self._lines = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._at >= len(self._text):
            raise StopIteration
        end = self._text.find(self._dialect.eol, self._at) + 1 or len(self._text)
        line = self._text[self._at : end]
        if self._at - self.start + len(line.rstrip(b"\r\n")) > self._limit:
            raise _TooLong
        self._at = end
        self._lines += 1
        return protected(line.decode("utf-8", "surrogateescape"), self._dialect)

    def give_up(self) -> None:
        """The record at hand is no more than its first physical line."""
        self._at = self._text.find(self._dialect.eol, self.start) + 1 or len(self._text)
        self._lines = 1

    def take(self) -> tuple[int, bytes]:
        """End the record at hand: its physical lines and its bytes."""
        span, raw = self._lines, self._text[self.start : self._at]
        self.start, self._lines = self._at, 0
        return span, raw


def physical_lines(text: AnyStr, eol: AnyStr) -> list[AnyStr]:
    """Lines with their line ends; only `eol` ends one."""
    lines: list[AnyStr] = [line + eol for line in text.split(eol)]
    last = lines.pop().removesuffix(eol)
    if last:
        lines.append(last)
    return lines


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
