"""How numbers are written: decimal mark and grouping, by example. Not for: the types of numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from penstock.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

_EXAMPLE = re.compile(
    r"(?P<head>[0-9]{1,3}(?:(?P<group>[^0-9])[0-9]{3}(?:(?P=group)[0-9]{3})*)|[0-9]+)"
    r"(?P<decimal>[.,])(?P<tail>[0-9]+)"
)
_GROUPS = "., '_\u2019\u00a0\u202f"
#: Examples that a refused number is tried with, to propose the one under which it reads.
USUAL_NUMBERS = ("1.234,56", "1,234.56", "1 234,56", "1'234.56", "1\u00a0234,56", "1\u202f234,56")


@dataclass(frozen=True)
class Marks:
    """The decimal mark and the mark between groups of three digits (empty: no grouping)."""

    decimal: str = "."
    group: str = ""

    @property
    def plain_already(self) -> bool:
        """True where texts need no rewriting: `1234.56`."""
        return self.decimal == "." and not self.group

    @cached_property
    def whole(self) -> str:
        """Regular expression (Rust and Python) of the digits before the decimal mark."""
        if not self.group:
            return "[0-9]+"
        return f"(?:[0-9]+|[0-9]{{1,3}}(?:{re.escape(self.group)}[0-9]{{3}})+)"

    @cached_property
    def canonical_whole(self) -> str:
        """The same without zeros in front, and a minus sign only before another digit than 0."""
        if not self.group:
            return "(?:0|-?[1-9][0-9]*)"
        grouped = f"[1-9][0-9]{{0,2}}(?:{re.escape(self.group)}[0-9]{{3}})+"
        return f"(?:0|-?[1-9][0-9]*|-?{grouped})"

    @cached_property
    def point(self) -> str:
        """Regular expression of the decimal mark."""
        return re.escape(self.decimal)

    @cached_property
    def _number(self) -> re.Pattern[str]:
        return re.compile(f"[+-]?(?:{self.whole}(?:{self.point}[0-9]*)?|{self.point}[0-9]+)")

    def plain(self, text: pl.Expr) -> pl.Expr:
        """The text with a point and without groups. Right only for texts that are well formed."""
        if self.group:
            text = text.str.replace_all(self.group, "", literal=True)
        if self.decimal != ".":
            text = text.str.replace(self.decimal, ".", literal=True)
        return text

    def read(self, text: str) -> str | None:
        """A number without exponent as `[+-]digits[.digits]`; None where it is not well formed."""
        if not self._number.fullmatch(text):
            return None
        if self.group:
            text = text.replace(self.group, "")
        return text.replace(self.decimal, ".")


def marks_of(example: str) -> Marks:
    """Read the declaration of `Grammar.numbers`, such as `1234.56`, `1.234,56` or `1 234,56`.

    Raises:
        UsageError: The example does not show its marks.
    """
    match = _EXAMPLE.fullmatch(example)
    group = (match["group"] or "") if match else ""
    # 1.234,567 is as good as 1.234,56; 1,234 alone may be 1234 or 1.234.
    vague = match is not None and not group and len(match["tail"]) == 3 and len(match["head"]) < 4
    if match is None or vague or group == match["decimal"] or group not in ("", *_GROUPS):
        raise UsageError(
            f"--numbers {example!r} does not show how numbers are written: give an example with"
            " decimals, such as 1234.56, 1234,56, 1.234,56, 1,234.56 or 1 234,56",
            code="numbers",
        )
    return Marks(match["decimal"], group)
