"""Ranges and multiranges of PostgreSQL's own: `[1,5)`, `{[1,3),[5,9)}`.

A range is the set of its values: PostgreSQL writes `[1,4]` of integers as `[1,5)`, and puts the
ranges of a multirange in order and together. That is not a change of value. Not for: ranges that
users make, which go as text (`other`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from penstock.loading.types.check import Check, Verdict, null_hint, refuse, shown
from penstock.loading.types.nested import Literal, Part, nested_look
from penstock.model.options import Grammar
from penstock.model.table import Column

_BOUND = r'"(?:[^"\\]|\\.|"")*"|[^\[\](),"\\{}]*'
_RANGE = re.compile(
    rf"(?:(?P<empty>empty)|(?P<open>[\[(])(?P<low>{_BOUND}),(?P<high>{_BOUND})(?P<close>[\])]))",
    re.S | re.I,
)
_QUOTED = re.compile(r'\\(.)|""', re.S)
_BETWEEN = re.compile(r"\s*(,|$)\s*", re.A)
#: The greatest value of a type whose ranges are written with the next value as their end.
_GREATEST = {"int4": 2**31 - 1, "int8": 2**63 - 1}


@dataclass(frozen=True, slots=True)
class _Range:
    """A range as it is written; a bound is its place among the parts, None where there is none."""

    low: int | None
    high: int | None
    marks: str  # empty for the empty range


def range_check(column: Column, element: Check, grammar: Grammar) -> Check:
    """Each bound as its own type has it; the value is the canonical text."""
    raw = pl.col(column.name)
    many = column.kind == "m"
    noun, form = ("a multirange", "{[1,3),[5,9)}") if many else ("a range", "[1,5)")
    greatest = _GREATEST.get(element.column.base)

    def read(text: str) -> Literal | Verdict:
        parts: list[str] = []
        found = _ranges(text, parts) if many else _one(text, parts)
        if found is None:
            reason = f"{shown(text)} is not {noun} such as {form}"
            return refuse("22P02", reason + null_hint(text))

        def write(values: Sequence[Part]) -> Verdict:
            return _write(found, values, greatest, many=many)

        return Literal(parts, [f"bound {text}" for text in map(shown, parts)], write)

    careful = nested_look(element, read, noun, grammar)
    return Check(column, pl.String(), raw, raw.is_not_null(), careful)


def _one(text: str, parts: list[str]) -> list[_Range] | None:
    match = _RANGE.fullmatch(text)
    return None if match is None else [_taken(match, parts)]


def _ranges(text: str, parts: list[str]) -> list[_Range] | None:
    if not (text.startswith("{") and text.endswith("}")):
        return None
    inner = text[1:-1].strip()
    found: list[_Range] = []
    place = 0
    more = bool(inner)
    while more:
        match = _RANGE.match(inner, place)
        between = None if match is None else _BETWEEN.match(inner, match.end())
        if match is None or between is None:
            return None
        found.append(_taken(match, parts))
        place, more = between.end(), between[1] == ","
    return found


def _taken(match: re.Match[str], parts: list[str]) -> _Range:
    if match["empty"]:
        return _Range(None, None, "")
    low, high = (_bound(match[name], parts) for name in ("low", "high"))
    return _Range(low, high, match["open"] + match["close"])


def _bound(text: str, parts: list[str]) -> int | None:
    if not text:
        return None
    if text.startswith('"'):
        text = _QUOTED.sub(lambda m: m[1] or '"', text[1:-1])
    parts.append(text)
    return len(parts) - 1


def _write(
    ranges: Sequence[_Range], parts: Sequence[Part], greatest: int | None, *, many: bool
) -> Verdict:
    written = []
    for one in ranges:
        low = None if one.low is None else parts[one.low]
        high = None if one.high is None else parts[one.high]
        if not one.marks:
            written.append("empty")
            continue
        if low is not None and high is not None:
            if _size(low) > _size(high):
                return refuse(
                    "22000", f"the range from {low.text} to {high.text} ends before it begins"
                )
            if _size(low) == _size(high) and one.marks != "[]":
                written.append("empty")
                continue
        # [1,4] is kept as [1,5), and (1,4) as [2,4).
        stepped = [high if one.marks[1] == "]" else None, low if one.marks[0] == "(" else None]
        if any(part is not None and part.value == greatest for part in stepped):
            return refuse("22003", f"nothing comes after {greatest}, where the range must end")
        ends = ["" if part is None else f'"{part.text}"' for part in (low, high)]
        written.append(f"{one.marks[0]}{ends[0]},{ends[1]}{one.marks[1]}")
    return Verdict("{" + ",".join(written) + "}" if many else written[0])


def _size(part: Part) -> Any:
    """What bounds are compared by: numerics without a precision are texts."""
    return Decimal(part.value) if isinstance(part.value, str) else part.value
