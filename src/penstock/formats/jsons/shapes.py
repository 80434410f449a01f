"""Many JSON records of one shape, taken apart at once.

Programs write all their objects in the same order of keys. A shape is that order as a regular
expression of exactly the JSON that has these keys: what it matches is well-formed, has each key
once, and its groups are the values' tokens. What it does not match is no error; it is looked at
closely (`tokens`). Not for: values nested deeper than two levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from penstock.formats.jsons.tokens import BLANKS, SCALAR, STRING

#: Most keys of a shape; the expression of more would grow beyond what Polars takes.
_MOST_KEYS = 200
#: Most keys whose values are nested: their expressions are long.
_MOST_NESTED = 8
_BLANK = f"[{BLANKS}]*"


def _nested(value: str) -> str:
    """Arrays and objects of these values, the values included."""
    comma = f"{_BLANK},{_BLANK}"
    member = f"{STRING}{_BLANK}:{_BLANK}(?:{value})"
    items = rf"\[{_BLANK}(?:(?:{value})(?:{comma}(?:{value}))*{_BLANK})?\]"
    members = rf"\{{{_BLANK}(?:{member}(?:{comma}{member})*{_BLANK})?\}}"
    return f"{value}|{items}|{members}"


_NESTED = _nested(_nested(SCALAR))


@dataclass(frozen=True, slots=True)
class Shape:
    """An order of keys.

    Attributes:
        keys: The keys, each once.
        pattern: Matches whole records of this shape; its groups are the values' tokens.
    """

    keys: tuple[str, ...]
    pattern: str

    def match(self, texts: pl.Series) -> pl.DataFrame:
        """A column for each key, all NULL where a text is not of this shape."""
        groups = texts.str.extract_groups(self.pattern).struct.unnest()
        groups.columns = list(self.keys)
        return groups


def shape_of(members: Sequence[tuple[str, str, str]]) -> Shape | None:
    """The shape of a record, from `tokens.fields`; None where it is no good one."""
    nested = sum(value[0] in "[{" for _, _, value in members)
    if not members or len(members) > _MOST_KEYS or nested > _MOST_NESTED:
        return None
    parts = [
        f"{pl.escape_regex(token)}{_BLANK}:{_BLANK}({_NESTED if value[0] in '[{' else SCALAR})"
        for _, token, value in members
    ]
    inside = f"{_BLANK},{_BLANK}".join(parts)
    pattern = rf"^{_BLANK}\{{{_BLANK}{inside}{_BLANK}\}}{_BLANK}$"
    return Shape(tuple(key for key, _, _ in members), pattern)
