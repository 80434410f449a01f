"""Field: how one target field is made of the source. Not for: making it (`making`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, Literal

import polars as pl

from penstock.errors import UsageError
from penstock.mapping import checks, values
from penstock.mapping.perrow import unsuited
from penstock.model.marks import marks_of
from penstock.model.patterns import pattern_of

OnError = Literal["reject", "null", "default"]
_ON_ERROR = ("reject", "null", "default")
_TYPES = (
    "Int8 to Int64, UInt8 to UInt64, Decimal(precision, scale), Float64, Boolean, Date,"
    ' Datetime("us"), String'
)
_MOST_DECIMALS = 30


@dataclass(frozen=True, eq=False)
class Field:
    """How one target field is made, in this order.

    Without a `type`, text stays text, and the target column's own grammar judges it.

    Attributes:
        source: The name of a source column, or a per-row expression.
        each: A Python function, called with every value that is not NULL; what it returns is
            taken as text, None as NULL; an exception refuses the row. Slow: one call a row.
        clean: `trim`, `squeeze` (blanks within to one), `lower`, `upper`, `empty_to_null`, one or
            several in order. Text only.
        dates: How dates are written, such as `DD/MM/YYYY`; they become `YYYY-MM-DD`.
        numbers: How numbers are written, by example: `1.234,56`; they become `1234.56`.
        round: Decimals to round to, half away from zero; counted in `Mapped.changes`.
        type: A Polars type that text is read as, exactly: an integer type, `pl.Decimal(p, s)`,
            `pl.Float64`, `pl.Boolean`, `pl.Date`, `pl.Datetime("us")`, `pl.String`.
        check: Of `checks`, one or several.
        on_error: What becomes of a value that cannot be read, or that a check refuses: its row is
            rejected, or the value becomes NULL, or `default`; the latter two are counted.
        default: Takes the place of NULL; counted.
        required: NULL is refused.
    """

    source: str | pl.Expr
    _: KW_ONLY
    clean: str | tuple[str, ...] = ()
    type: pl.DataType | type[pl.DataType] | None = None
    required: bool = False
    default: Any = None
    check: checks.Check | tuple[checks.Check, ...] = ()
    round: int | None = None
    dates: str | None = None
    numbers: str | None = None
    on_error: OnError = "reject"
    each: Callable[[Any], Any] | None = None

    @property
    def cleaning(self) -> tuple[str, ...]:
        """The names in `clean`."""
        return (self.clean,) if isinstance(self.clean, str) else tuple(self.clean)

    @property
    def all_checks(self) -> tuple[checks.Check, ...]:
        """The checks in `check`."""
        return (self.check,) if isinstance(self.check, checks.Check) else tuple(self.check)

    @property
    def dtype(self) -> pl.DataType | None:
        """The declared type as an instance."""
        return self.type() if isinstance(self.type, type) else self.type

    @cached_property
    def expression(self) -> pl.Expr:
        """The source as an expression."""
        return source_of(self.source)

    def mistakes(self) -> list[str]:
        """What is wrong with the declaration, a sentence each; empty where nothing is."""
        found = source_mistakes(self.source)
        for name in self.cleaning:
            if name not in values.CLEAN:
                found.append(f"clean={name!r} is none of {', '.join(values.CLEAN)}")
        if self.on_error not in _ON_ERROR:
            found.append(f"on_error={self.on_error!r} is none of {', '.join(_ON_ERROR)}")
        if self.on_error == "null" and self.required:
            found.append(
                'on_error="null" makes NULL, which required=True refuses: drop one of them'
            )
        if self.on_error == "default" and self.default is None:
            found.append('on_error="default" needs default=')
        if self.round is not None and not 0 <= self.round <= _MOST_DECIMALS:
            found.append(f"round={self.round} is none of 0 to {_MOST_DECIMALS} decimals")
        for one in self.all_checks:
            if not isinstance(one, checks.Check):
                found.append(f"check={one!r} is none of penstock.checks")
            else:
                found += [f"check: {why}" for why in unsuited(one.test(pl.col(values.VALUE)))]
        return found + self._formats() + self._typing()

    def _formats(self) -> list[str]:
        found = []
        for declared, read in ((self.dates, pattern_of), (self.numbers, marks_of)):
            try:
                if declared is not None:
                    read(declared)
            except UsageError as error:
                found.append(error.message.removeprefix("--").replace(" ", "=", 1))
        if self.dates is not None and self.numbers is not None:
            found.append("dates and numbers are two ways to read one value: drop one of them")
        return found

    def _typing(self) -> list[str]:
        if self.type is pl.Decimal:  # it would be one without decimals
            return ["type=pl.Decimal needs its digits and decimals, as in pl.Decimal(10, 2)"]
        dtype = self.dtype
        if dtype is None:
            return []
        if not isinstance(dtype, pl.DataType) or values.read_type(dtype) is None:
            return [f"type={dtype!r} is none of {_TYPES}"]
        if self.default is not None and not values.fits(self.default, dtype):
            return [f"default={self.default!r} is no {dtype}"]
        return []

    def readings(self) -> list[values.Reading]:
        """The steps that read text, in order: format, rounding, type."""
        steps = []
        if self.dates is not None:
            steps.append(values.read_dates(pattern_of(self.dates)))
        if self.numbers is not None:
            steps.append(values.read_numbers(marks_of(self.numbers), self.numbers))
        if self.round is not None:
            steps.append(values.round_text(self.round))
        if self.dtype is not None:
            steps.append(values.typed(self.dtype))
        return steps


def source_of(source: str | pl.Expr) -> pl.Expr:
    """A column's name or an expression, as an expression."""
    return pl.col(source) if isinstance(source, str) else source


def source_mistakes(source: object) -> list[str]:
    """Why something is neither a column's name nor a per-row expression."""
    if isinstance(source, pl.Expr):
        return unsuited(source)
    if not isinstance(source, str):
        return [
            f"{source!r} is neither the name of a source column nor an expression: a constant is"
            " written as pl.lit(...)"
        ]
    if source == "*" or re.fullmatch(r"\^.*\$", source):
        return [f'a column called "{source}" would be read as a pattern: rename it in TRANSFORM']
    return []
