"""tsvector: words with positions, none twice. Not for: making words of a text (`to_tsvector`).

PostgreSQL puts equal words together and forgets positions that are too many or too far; that is
refused here. It puts words and positions in order, which changes no value.
"""

from __future__ import annotations

import re

import polars as pl

from penstock.loading.types.check import (
    BLANKS,
    Check,
    Verdict,
    null_hint,
    refuse,
    second_look,
    shown,
)
from penstock.model.options import Grammar
from penstock.model.table import Column

#: PostgreSQL's own limits (source, ts_type.h): the last position, positions of a word, bytes of a
#: word, bytes of all.
_LAST, _POSITIONS, _WORD, _ALL = 16383, 255, 2046, (1 << 20) - 1
#: What a word takes besides its bytes, at most, and each position.
_BESIDE, _EACH = 8, 2
_POSITION = "[1-9][0-9]{0,4}[A-Da-d]?"
_LEXEME = re.compile(
    r"(?:'(?P<quoted>(?:[^'\\]|\\.|'')+)'|(?P<bare>[^\s'\\:]+))"
    rf"(?::(?P<positions>{_POSITION}(?:,{_POSITION})*))?(?:\s+|$)",
    re.S,
)
_ESCAPE = re.compile(r"\\(.)|''", re.S)


def tsvector_check(column: Column, grammar: Grammar) -> Check:
    """Words, in single quotes where they are odd, each perhaps with `:1,5A`.

    The empty text is the empty tsvector, unless `grammar.empty` makes it NULL.
    """
    raw = pl.col(column.name)
    careful = second_look(pl.String(), _judge, lambda canonical: canonical)
    return Check(column, pl.String(), raw, raw.is_not_null(), careful)


def _judge(text: str) -> Verdict:
    stripped = text.strip(BLANKS)
    seen: set[str] = set()
    place = size = 0
    while place < len(stripped):
        match = _LEXEME.match(stripped, place)
        if match is None:
            reason = f"{shown(text)} is not written as 'word':1,5 'other':2"
            return refuse("22P02", reason + null_hint(text))
        word = match["bare"] or _ESCAPE.sub(lambda m: m[1] or "'", match["quoted"])
        if word in seen:
            return refuse(
                "duplicate_key", f"the word {shown(word)} stands twice, tsvector keeps one"
            )
        seen.add(word)
        positions = [int(one.rstrip("ABCDabcd")) for one in (match["positions"] or "0").split(",")]
        if why := _wrong(positions):
            return refuse("altered", f"the word {shown(word)} has {why}")
        bytes_ = len(word.encode())
        if bytes_ > _WORD:
            return refuse("54000", f"the word {shown(word)} is longer than {_WORD} bytes")
        size += bytes_ + _BESIDE + _EACH * len(positions)
        place = match.end()
    if size > _ALL:
        return refuse("54000", f"longer than a tsvector may be: {size:,} bytes of {_ALL:,}")
    return Verdict(stripped)


def _wrong(positions: list[int]) -> str:
    """What of the positions PostgreSQL would not keep, or empty."""
    if len(positions) > _POSITIONS:
        return f"{len(positions)} positions, tsvector keeps {_POSITIONS}"
    if len(set(positions)) < len(positions):
        return "a position twice"
    beyond = max(positions)
    return f"the position {beyond}, tsvector keeps none beyond {_LAST}" if beyond > _LAST else ""
