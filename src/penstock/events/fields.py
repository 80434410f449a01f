"""Finds fields in the bytes of a JSON text. Not for: what is done with them (`encrypting`).

What no strict reader takes (RFC 8259, in UTF-8) is told from JSON before anything is looked for, so
that two readers cannot see different fields in one text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

#: Values within values, at the most: far below what any reader's recursion allows.
MOST_LEVELS = 200
#: Possessive, so that a long text costs no memory: it never goes back.
_PARTS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]++', re.S)
_QUOTE, _COMMA, _COLON = b'",:'
_OPENING, _CLOSING, _OBJECT = b"{[", b"}]", b"{"[0]


class NotJson(Exception):
    """A text in which no field can be told for sure: no JSON, or nested too deep."""


@dataclass(frozen=True, slots=True)
class Field:
    """A value in a text.

    Attributes:
        start: Of its first byte.
        end: Behind its last one.
        path: The names of the keys that lead to it, with dots between; lists are not named.
    """

    start: int
    end: int
    path: str


def fields_at(raw: bytes, paths: Collection[str], mark: bytes) -> list[Field]:
    """The values under some paths, and all texts that begin with a mark, in their order.

    A key that is there twice leads to two of them. What is within a value that is found is not
    looked at.

    Args:
        raw: The text.
        paths: As `sources.plain_path` gives them. One that holds a dot may lead through several
            keys, or be the name of one: `user.email` is both.
        mark: What a text begins with, as it is written.

    Raises:
        NotJson: It is no JSON, or is nested too deep.
    """
    check(raw)
    walk = _Walk(raw, paths, mark)
    for part in _PARTS.finditer(raw):
        walk.step(part.start(), part.end())
    return walk.found


def check(raw: bytes) -> None:
    """Refuse what is no JSON.

    Raises:
        NotJson: It is none.
    """
    try:
        _CHECKED.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise NotJson from None


def _constant(text: str) -> Any:
    raise ValueError(text)


#: As floats, since Python's int has a limit of digits; the values are not used.
_CHECKED = json.JSONDecoder(parse_int=float, parse_constant=_constant)


@dataclass(slots=True)
class _Walk:
    """Where the reading of a text is; each object and list that is open has its path."""

    raw: bytes
    paths: Collection[str]
    mark: bytes
    found: list[Field] = field(default_factory=list)
    _open: list[tuple[str, bool]] = field(default_factory=list)
    _next: str = ""
    _key: bool = False
    _taken: tuple[int, str, int] | None = None

    def step(self, start: int, end: int) -> None:
        """Look at the next part of the text."""
        first = self.raw[start]
        if first in _CLOSING:
            self._open.pop()
            self._key = False
            if self._taken is not None and len(self._open) == self._taken[2]:
                self.found.append(Field(self._taken[0], end, self._taken[1]))
                self._taken = None
        elif first == _COMMA:
            self._next, self._key = self._open[-1]
        elif first == _COLON:
            self._key = False
        elif self._key:
            if self._taken is None:
                self._next = _joined(self._open[-1][0], json.loads(self.raw[start:end]))
        else:
            self._value(start, end, first)

    def _value(self, start: int, end: int, first: int) -> None:
        path, opens = self._next, first in _OPENING
        if self._taken is None and (
            path in self.paths or (first == _QUOTE and self.raw.startswith(self.mark, start + 1))
        ):
            if opens:
                self._taken = start, path, len(self._open)
            else:
                self.found.append(Field(start, end, path))
        if opens:
            if len(self._open) == MOST_LEVELS:
                raise NotJson
            self._key = first == _OBJECT
            self._open.append((path, self._key))


def _joined(path: str, key: str) -> str:
    key = key.replace("[]", "")
    return f"{path}.{key}" if path else key
