"""What the readers say about a block, and the words for records they refuse.

Numbers are offsets within the block, from 0: `reader` adds where the block stands in the file.
Not for: reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from penstock.formats.csv.dialect import Dialect
from penstock.model.batch import LINE, ROW

#: Characters of a line that a reason shows.
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that has no fields.

    Attributes:
        record: Its number within the block.
        line: Its first physical line within the block; it is the only one given up, except
            where a record spans lines and is well-formed but has the wrong number of fields
            or bytes that are no text.
        span: Its physical lines.
        code: The rule's name (`penstock.model.batch.Malformed`).
        reason: Plain words; empty for `encoding`, where the stored bytes are needed.
    """

    record: int
    line: int
    span: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A block taken apart.

    Attributes:
        frame: A String column per source column, `_row` and `_line` (Int64).
        records: Records counted on the bytes, refused and blank ones included.
        lines: Physical lines consumed.
        size: Bytes of UTF-8 consumed.
        refused: Records without fields, in file order.
        filtered: Wholly blank records.
        spans: Physical lines of each row of `frame`; None: one each.
    """

    frame: pl.DataFrame
    records: int
    lines: int
    size: int
    refused: list[Refused] = field(default_factory=list)
    filtered: int = 0
    spans: pl.Series | None = None


def schema(columns: Sequence[str]) -> dict[str, type[pl.DataType]]:
    """The columns of `Parsed.frame`."""
    return {**dict.fromkeys(columns, pl.String), ROW: pl.Int64, LINE: pl.Int64}


def ragged(found: int, columns: Sequence[str]) -> str:
    """Why a record with `found` fields is refused."""
    reason = f"{_count(found)}, {len(columns)} expected"
    if found < len(columns):
        missing = ", ".join(columns[found:])
        return f"{reason}: nothing for {missing}"
    return f"{reason}: {found - len(columns)} more after {columns[-1]}"


def too_long(limit: int) -> str:
    """Why a record is refused whose first physical line is beyond the limit."""
    return f"longer than {limit} bytes; raise max_record_bytes if such a record is meant"


def not_closed(limit: int) -> str:
    """Why a record is refused that still goes on at the limit."""
    return (
        f"a quoted field begins here and is not closed within {limit} bytes; "
        f"raise max_record_bytes if such a field is meant"
    )


def nul_byte() -> str:
    """Why a record is refused that PostgreSQL could not store."""
    return "a NUL byte, which no text in PostgreSQL can hold"


def encoding(line: bytes, declared: str) -> str:
    """Why bytes are no text, how likely encodings would read them, and what to declare.

    Where the rest of the record is UTF-8 beyond ASCII, the byte is wrong and not the encoding: to
    declare another would damage every other record, so none is named.

    Args:
        line: The record as stored.
        declared: The codec that should have read it.
    """
    try:
        line.decode(declared)
    except UnicodeDecodeError as error:
        start, bad = error.start, line[error.start : error.start + 1].hex().upper()
    else:  # the line end cut a character that is several bytes wide
        start, bad = len(line), ""
    reason = f"byte 0x{bad} at position {start + 1} of the record is not {declared}"
    if declared == "utf-8" and has_multibyte(line):
        return f"{reason}, the rest of the record is: correct this byte"
    readings = _readings(line, declared, start)
    if not readings:
        return reason
    shown = "; ".join(f"as {name} it reads {text!r}" for name, text in readings)
    name = readings[0][0]
    return f"{reason}; {shown}; if the whole file is {name}, declare it: --encoding {name}"


def _readings(line: bytes, declared: str, start: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in ("utf-8", "cp1252", "latin-1"):
        if name == declared:
            continue
        try:
            text = line.decode(name)
        except UnicodeDecodeError:
            continue
        at = len(line[:start].decode(name, "replace"))
        begin = max(at - _SHOWN // 2, 0)
        shown = text[begin : begin + _SHOWN]
        if all(shown != other for _, other in found):
            found.append((name, shown))
    return found


def is_text(line: bytes) -> bool:
    """True where the bytes are valid UTF-8."""
    if line.isascii():
        return True
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def has_multibyte(line: bytes) -> bool:
    """True where the bytes hold a character beyond ASCII as UTF-8 writes it, whatever else."""
    return not line.isascii() and not line.decode("utf-8", "ignore").isascii()


def condemned(line: bytes, dialect: Dialect, limit: int) -> tuple[str, str] | None:
    """The code and reason of a record refused for its bytes, whatever its fields are.

    `("blank", "")` for a wholly blank record. The order is part of the contract: both readers
    must name the same rule for the same record.
    """
    if len(line.rstrip(b"\r\n")) > limit:
        return "too_long", too_long(limit)
    if dialect.is_blank(line):
        return "blank", ""
    if b"\0" in line:
        return "nul", nul_byte()
    if not is_text(line):
        return "encoding", ""
    return None


def _count(fields: int) -> str:
    return "1 field" if fields == 1 else f"{fields} fields"
