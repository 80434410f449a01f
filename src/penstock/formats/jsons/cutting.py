"""Finds an array in a JSON document that comes piece by piece, and cuts its elements out.

Not for: what an element is made of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penstock.errors import SourceError

_SPACE = re.compile(r"[ \t\r\n]*")
#: What a value that is skipped is made of; a quote alone begins a string that goes on.
_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}"]', re.S)
#: Only where a value ends is wanted. Python's int has a limit of digits, which text has not.
_QUICK = json.JSONDecoder()
_PATIENT = json.JSONDecoder(parse_int=str)


@dataclass(frozen=True, slots=True)
class Element:
    """An element of the array.

    Attributes:
        text: As it is written.
        line: The physical line (from 1) on which it begins.
    """

    text: str
    line: int


class Cutter:
    """A document's text, read as far as it is needed.

    Args:
        pieces: The text, in pieces of any size.
        name: How messages name the document.
        limit: Characters of the longest element.
    """

    def __init__(self, pieces: Iterator[str], name: str, limit: int) -> None:
        self._pieces = pieces
        self._name = name
        self._limit = limit
        self._text = ""
        self._at = 0
        self._line = 1

    def enter(self, path: Sequence[str]) -> None:
        """Go to the beginning of the array.

        Raises:
            SourceError: It is not there.
        """
        for depth, key in enumerate(path):
            where = ".".join(path[:depth]) or "the document"
            if self._mark() != "{":
                raise self._no_array(f"{where} is no object, and has no {key}")
            self._at += 1
            self._find(key, where)
        mark = self._mark()
        if mark == "":
            raise self._wrong("ends where a value should begin")
        if mark != "[":
            kind = "an object" if mark == "{" else "a single value"
            where = ".".join(path) or "the document"
            raise self._no_array(f"{where} is {kind}, not an array of objects")

    def elements(self) -> Iterator[Element]:
        """The elements of the array that begins here."""
        self._at += 1
        if self._mark() == "]":
            self._at += 1
            return
        while True:
            yield self.single()
            mark = self._mark()
            if mark not in (",", "]"):
                raise self._wrong("has no comma or ] after an element of the array")
            self._at += 1
            if mark == "]":
                return

    def begins(self) -> str:
        """The character that the next value begins with; empty at the end."""
        return self._mark()

    def single(self) -> Element:
        """The whole value that begins here."""
        self._mark()
        line = self._line
        start, end = self._value()
        text = self._text[start:end]
        self._go(end)
        return Element(text, line)

    def leave(self, path: Sequence[str]) -> None:
        """Read what comes after the array to the end, so that a document cut off is noticed.

        Raises:
            SourceError: It is no JSON, or has a key of the path once more.
        """
        for key in reversed(path):
            while self._mark() == ",":
                self._at += 1
                if self._key() == key:
                    raise self._wrong(f"has the key {key} a second time")
                self._skip()
            if self._mark() != "}":
                raise self._wrong("ends before the object is closed")
            self._at += 1
        if self._mark():
            raise self._wrong("goes on behind its end; is it NDJSON? Then say --format ndjson")

    def _find(self, wanted: str, where: str) -> None:
        """Go to the value of a key of the object whose inside begins here."""
        met = []
        while self._mark() != "}":
            key = self._key()
            if key == wanted:
                return
            met.append(key)
            self._skip()
            if self._mark() == ",":
                self._at += 1
            elif self._mark() != "}":
                raise self._wrong("has no comma or } after a value")
        raise self._no_array(f"{where} has no key {wanted}, but {', '.join(met) or 'none'}")

    def _key(self) -> str:
        if self._mark() != '"':
            raise self._wrong("has no key where one should be")
        start, end = self._value()
        key: str = json.loads(self._text[start:end], strict=False)
        self._go(end)
        if self._mark() != ":":
            raise self._wrong("has no colon after a key")
        self._at += 1
        return key

    def _mark(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            end = self._at if found is None else found.end()
            self._go(end)
            if end < len(self._text):
                return self._text[end]
            if not self._more():
                return ""

    def _value(self) -> tuple[int, int]:
        """Where the value that begins here begins and ends; all of it is in memory then."""
        while True:
            try:
                value, end = _decoded(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more():
                    raise self._no_json(error) from None
            except RecursionError:
                raise self._wrong("is nested too deep") from None
            else:
                # A number may go on behind what was read.
                if end < len(self._text) or isinstance(value, (dict, list)) or not self._more():
                    return self._at, end
            if len(self._text) - self._at > self._limit:
                raise self._wrong(
                    f"has no end of a value within {self._limit} characters: it is not closed, or "
                    "max_record_bytes must be raised"
                )

    def _skip(self) -> None:
        """Go behind the value that begins here, without keeping it."""
        if self._mark() not in ("{", "["):
            self._go(self._value()[1])
            return
        depth = 0
        while True:
            rest = len(self._text)
            for part in _PARTS.finditer(self._text, self._at):
                mark = part.group()
                if mark == '"':
                    rest = part.start()
                    break
                depth += (mark in "[{") - (mark in "]}") if len(mark) == 1 else 0
                if not depth:
                    self._go(part.end())
                    return
            self._go(rest)
            if not self._more():
                raise self._wrong("ends in the middle of a value")

    def _go(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to

    def _more(self) -> bool:
        """Read another piece; what lies behind is let go of."""
        piece = next(filter(None, self._pieces), "")
        self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)

    def _no_json(self, error: json.JSONDecodeError) -> SourceError:
        line = self._line + error.doc.count("\n", self._at, error.pos)
        near = error.doc[max(error.pos - 20, 0) : error.pos + 20]
        return SourceError(
            f"{self._name}: not valid JSON at line {line}: {error.msg}, near {near!r}. "
            "Is it whole? Fetch it again.",
            code="json",
        )

    def _wrong(self, what: str) -> SourceError:
        return SourceError(f"{self._name}: at line {self._line} the document {what}.", code="json")

    def _no_array(self, what: str) -> SourceError:
        return SourceError(
            f"{self._name}: {what}. Say where the array of objects is: --json-path data.items; "
            "or --format ndjson, where each line is an object.",
            code="json_path",
        )


def _decoded(text: str, at: int) -> tuple[object, int]:
    try:
        return _QUICK.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return _PATIENT.raw_decode(text, at)
