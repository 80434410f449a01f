"""What a CSV file holds, found slowly by the standard library alone; no code under test.

Not for: speed. Every record is read by a strict reader of its own.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """A record: `values`, or the `code` it is refused with, or neither where it is blank."""

    record: int
    line: int
    raw: bytes
    values: tuple[str | None, ...] | None = None
    code: str = ""


def records(data: bytes, width: int, *, quote: str = '"', eol: bytes = b"\n") -> Iterator[Seen]:
    """The records of a comma-separated UTF-8 text without a header."""
    lines = re.findall(rb"[^%(e)s]*%(e)s|[^%(e)s]+\Z" % {b"e": eol}, data)
    at, number = 0, 0
    while at < len(lines):
        number += 1
        fields, used = _one(lines[at:], quote)
        raw = b"".join(lines[at : at + used])
        shown = raw.removesuffix(eol)
        shown = shown.removesuffix(b"\r")
        values, code = _judge(raw, fields, width, quote)
        yield Seen(number, at + 1, shown, values, code)
        at += used


def _one(lines: Sequence[bytes], quote: str) -> tuple[list[str] | None, int]:
    text = [line.decode("utf-8", "surrogateescape") for line in lines]
    if quote:
        reader = csv.reader(text, strict=True, quotechar=quote)
    else:
        reader = csv.reader(text, strict=True, quotechar=None, quoting=csv.QUOTE_NONE)
    try:
        fields = next(reader)
    except csv.Error:
        return None, 1
    return fields, reader.line_num


def _judge(
    raw: bytes, fields: list[str] | None, width: int, quote: str
) -> tuple[tuple[str | None, ...] | None, str]:
    if not raw.strip(b", \t\r\n"):
        return None, ""
    if b"\0" in raw:
        return None, "nul"
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None, "encoding"
    if fields is None:
        return None, "quote"
    if len(fields) != width:
        return None, "ragged"
    quoted = _in_quotes(text, quote)
    pairs = zip(fields, quoted, strict=True)
    return tuple(None if value == "" and not kept else value for value, kept in pairs), ""


def _in_quotes(text: str, quote: str) -> list[bool]:
    """For each field of a well-formed record, whether it opens with a quote."""
    quoted, inside, opening = [], False, True
    ended = re.split(r"[\r\n]+\Z", text)[0]
    for character in ended + ",":
        if opening:
            quoted.append(bool(quote) and character == quote)
            inside = quoted[-1]
            opening = character == ","
        elif character == quote and quoted[-1]:
            inside = not inside
        elif character == "," and not inside:
            opening = True
    return quoted
