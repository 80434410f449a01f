"""Batch: rows of bounded size with the origin of each. Not for: reading or checking them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

#: The column that carries the origin of a row: file number and record number in one Int64.
ROW = "_row"
#: The column with the physical line (from 1) on which the record starts; 0 where there is none.
LINE = "_line"
#: Bits of `_row` that hold the record number; the bits above hold the number of the file.
RECORD_BITS = 40
_RECORD_MASK = (1 << RECORD_BITS) - 1


def row_id(file: int, record: int) -> int:
    """The `_row` of a record: `file` counts the load's files from 0, `record` from 1."""
    return (file << RECORD_BITS) | record


def file_of(row: int) -> int:
    """The number of the file (from 0) that a `_row` belongs to."""
    return row >> RECORD_BITS


def record_of(row: int) -> int:
    """The record number (from 1, the header not counted) that a `_row` belongs to."""
    return row & _RECORD_MASK


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that has no fields because its structure is broken.

    Attributes:
        row: Its `_row`.
        line: The physical line (from 1) on which it starts.
        raw: Its bytes as they stand in the file, without the line end.
        code: A rule name. Of all text: `encoding`, `nul`, `too_long`. Of CSV: `ragged`, `quote`.
            Of JSON: `json`, `not_object`, `duplicate_key`, `unknown_key`, `too_deep`,
            `surrogate`. Of Excel: `cell`, `ragged`. Of fixed width: `short`, `record_kind`.
        reason: Plain words, with what was found and what was expected.
    """

    row: int
    line: int
    raw: bytes
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one file, as read.

    Attributes:
        frame: One String column per source column (typed columns for typed sources),
            then `_row` (Int64) and `_line` (Int64). NULL is the unquoted empty field.
        raw: Gives the bytes of records by their position in `frame`, without the line end.
            Called only for refused rows. Empty bytes where the source has none.
        records: Records met, malformed and blank ones included:
            `frame.height + len(malformed) + filtered`.
        malformed: Records that could not be split into fields.
        filtered: Wholly blank records.
        read_bytes: Bytes of the source (as stored, compressed or not) consumed so far.
        faults: Why rows are refused before their values are looked at: `position` (UInt32, in
            `frame`), `column`, `code`, `reason`, `value` (String). None: none is.
    """

    frame: pl.DataFrame
    raw: Callable[[Sequence[int]], list[bytes]]
    records: int
    malformed: list[Malformed] = field(default_factory=list)
    filtered: int = 0
    read_bytes: int = 0
    faults: pl.DataFrame | None = None
