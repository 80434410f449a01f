"""json and jsonb: strict JSON that PostgreSQL keeps whole. Not for: reading JSON files.

jsonb keeps the last of two equal keys and forgets the others; that is refused here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import NoReturn

import polars as pl

from penstock.loading.types.check import BLANKS, Check, Verdict, refuse, second_look, shown
from penstock.loading.types.numerics import MAX_DECIMALS, MAX_WHOLE
from penstock.model.options import Grammar
from penstock.model.table import Column

#: Deepest nesting accepted. PostgreSQL takes some thousands, Python's reader fewer than a thousand.
MAX_DEPTH = 500
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)
_ESCAPES = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.S)
#: A number that may not fit numeric: a long exponent or very many digits.
_HUGE = re.compile(f"[eE][+-]?[0-9]{{4,}}|[0-9]{{{MAX_DECIMALS},}}")


class _RefusedError(Exception):
    """Carries a refusal out of the parser's hooks."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.verdict = refuse(code, reason)


def json_check(column: Column, grammar: Grammar) -> Check:
    """Every text is read once by the strict reader; the value is the text as it is written."""
    binary = column.base == "jsonb"

    def judge(text: str) -> Verdict:
        if not text.strip(BLANKS):
            if grammar.empty == "null":
                return Verdict()
            return refuse("22P02", f"the empty text is not {column.type}: --empty null")
        return judge_json(text, binary=binary)

    raw = pl.col(column.name)
    careful = second_look(pl.String(), judge, lambda canonical: canonical)
    return Check(column, pl.String(), raw, raw.is_not_null(), careful)


def judge_json(text: str, *, binary: bool) -> Verdict:
    """A text that is not blank; `binary`: as jsonb keeps it."""
    try:
        if _depth(text) > MAX_DEPTH:
            return refuse("54001", f"JSON nested deeper than {MAX_DEPTH} levels")
        numbers: Callable[[str], object] = str
        if binary and _HUGE.search(text):
            numbers = _number
        json.loads(
            text,
            parse_int=numbers,
            parse_float=numbers,
            parse_constant=_constant,
            object_pairs_hook=_unique if binary else None,
        )
        if "\\u" in text:
            _check_escapes(text)
    except _RefusedError as refused:
        return refused.verdict
    except json.JSONDecodeError as error:
        return refuse("22P02", f"not valid JSON: {error.msg} at character {error.pos + 1}")
    except RecursionError:
        return refuse("54001", "JSON nested too deep")
    return Verdict(text)


def _depth(text: str) -> int:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for mark in re.findall(r"[\[\]{}]", _STRINGS.sub("", text)):
        depth += 1 if mark in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _constant(name: str) -> NoReturn:
    raise _RefusedError("22P02", f"not valid JSON: {name} is no JSON number")


def _unique(pairs: list[tuple[str, object]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise _RefusedError(
                "duplicate_key", f"the key {shown(key)} stands twice, jsonb would keep the last"
            )
        seen.add(key)


def _number(text: str) -> None:
    try:
        sign_digits_exponent = Decimal(text).as_tuple()
    except InvalidOperation:
        raise _out_of_range(text) from None
    exponent = sign_digits_exponent.exponent
    if not isinstance(exponent, int) or -exponent > MAX_DECIMALS:
        raise _out_of_range(text)
    digits = sign_digits_exponent.digits
    if digits != (0,) and len(digits) + exponent > MAX_WHOLE:
        raise _out_of_range(text)


def _out_of_range(text: str) -> _RefusedError:
    return _RefusedError("22003", f"the number {shown(text)} is out of range of numeric")


def _check_escapes(text: str) -> None:
    r"""Refuse \u0000 and halves of surrogate pairs, which are no characters."""
    high_ends_at = -1
    for match in _ESCAPES.finditer(text):
        unit = int(match[1], 16) if match[1] else None
        pending = high_ends_at >= 0
        low = unit is not None and 0xDC00 <= unit <= 0xDFFF
        paired = pending and low and match.start() == high_ends_at
        if (pending or low) and not paired:
            raise _RefusedError(
                "22P02", "half of a surrogate pair (\\ud800 to \\udfff) stands alone"
            )
        if unit == 0:
            raise _RefusedError("22P05", "\\u0000 cannot be kept as text")
        high = unit is not None and 0xD800 <= unit <= 0xDBFF
        high_ends_at = match.end() if high else -1
    if high_ends_at >= 0:
        raise _RefusedError("22P02", "half of a surrogate pair (\\ud800 to \\udfff) stands alone")
