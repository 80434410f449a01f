"""Cuts SQL into statements and words, so that what a statement does can be told from them.

Strings, quoted names, dollar quotes and comments are each one piece, or none. Not for: the grammar
of PostgreSQL; what is not told by the leading words is left alone (`steps`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_PIECE = re.compile(
    r"""
      (?P<skip>\s+|--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)
    | (?P<text>[eE]'(?:[^'\\]|\\.|'')*'|(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*')
    | (?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<word>[A-Za-z_\u0080-\uffff][\w$]*)
    | (?P<number>\d[\w.]*)
    | (?P<sign>.)
    """,
    re.X | re.S,
)
#: How much of a statement a message shows.
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of SQL.

    Attributes:
        kind: `word` (folded to small letters), `quoted` (a name, without its quotes), `text`,
            `dollar`, `number` or `sign`.
        value: Its text.
    """

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its words, and its text as a message shows it."""

    words: tuple[Word, ...]
    text: str

    def shown(self) -> str:
        """The statement in one line, shortened."""
        line = " ".join(self.text.split())
        return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."


def statements(sql: str) -> Iterator[Statement]:
    """The statements of a text, without comments' words; empty ones are left out."""
    words: list[Word] = []
    begin = 0
    for found in _PIECE.finditer(sql):
        kind = str(found.lastgroup if found.lastgroup != "tag" else "dollar")
        value = found[0]
        if kind == "sign" and value == ";":
            if words:
                yield Statement(tuple(words), sql[begin : found.start()].strip())
            words, begin = [], found.end()
        elif kind == "skip":
            if not words:
                begin = found.end()
        else:
            words.append(Word(kind, _folded(kind, value)))
    if words:
        yield Statement(tuple(words), sql[begin:].strip())


def _folded(kind: str, value: str) -> str:
    if kind == "word":
        return value.lower()
    return value[1:-1].replace('""', '"') if kind == "quoted" else value


class Reading:
    """Reads words one after the other.

    Args:
        words: Of a statement, or of a part of one.
    """

    def __init__(self, words: tuple[Word, ...]) -> None:
        self._words = words
        self._at = 0

    def take(self, *expected: str) -> bool:
        """Go past these words, if they come next."""
        if self.next(*expected):
            self._at += len(expected)
            return True
        return False

    def next(self, *expected: str) -> bool:
        """Whether these words come next."""
        there = self._words[self._at : self._at + len(expected)]
        return tuple(w.value for w in there if w.kind in ("word", "sign")) == expected

    def name(self) -> tuple[str, ...]:
        """Go past a name such as `shop.events`; its parts; empty where none comes next."""
        parts: list[str] = []
        while self._at < len(self._words) and self._words[self._at].kind in ("word", "quoted"):
            parts.append(self._words[self._at].value)
            self._at += 1
            if not self.take("."):
                break
        return tuple(parts)

    def brackets(self) -> tuple[str, ...]:
        """Go past a list in brackets, if one comes next; the words in it."""
        if not self.next("("):
            return ()
        begin = self._at
        while self._at < len(self._words) and not self.take(")"):
            self._at += 1
        return tuple(word.value for word in self._words[begin : self._at] if word.kind == "word")

    def rest(self) -> tuple[Word, ...]:
        """What was not read yet."""
        return self._words[self._at :]

    def parts(self) -> Iterator[Reading]:
        """What was not read yet, cut at the commas that are in no brackets."""
        depth, part = 0, list[Word]()
        for word in self.rest():
            if word.kind == "sign" and word.value in "([":
                depth += 1
            elif word.kind == "sign" and word.value in ")]":
                depth -= 1
            elif word.kind == "sign" and word.value == "," and not depth:
                yield Reading(tuple(part))
                part = []
                continue
            part.append(word)
        yield Reading(tuple(part))

    def has(self, *expected: str) -> bool:
        """Whether these words follow one another anywhere in what was not read yet, unbracketed."""
        return self.place(*expected) is not None

    def place(self, *expected: str) -> int | None:
        """Where in `rest` these words begin, outside of brackets; None where they do not."""
        depth, rest = 0, self.rest()
        for at, word in enumerate(rest):
            if word.kind == "sign" and word.value in "()":
                depth += 1 if word.value == "(" else -1
            there = rest[at : at + len(expected)]
            if not depth and tuple(w.value for w in there if w.kind == "word") == expected:
                return at
        return None


def called(words: tuple[Word, ...]) -> tuple[str, ...]:
    """The names of the functions that an expression calls, without their schemas."""
    return tuple(
        word.value
        for word, behind in pairwise(words)
        if word.kind in ("word", "quoted") and behind == Word("sign", "(")
    )


def joined(words: tuple[Word, ...]) -> str:
    """Words with single blanks between, to be compared."""
    return " ".join(word.value for word in words)
