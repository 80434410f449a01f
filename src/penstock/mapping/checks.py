"""Checks of a field's value, each with its reason in plain words. Not for: types or NULL.

A check sees values that are not NULL; `Field(required=True)` refuses NULL. Others are made the
same way: `Check(lambda value: value.str.starts_with("A"), "does not begin with A")`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial

import polars as pl

Bound = int | float | Decimal | date | datetime | str
_EMAIL = r"^[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+$"


@dataclass(frozen=True, slots=True)
class Check:
    """A test of one value.

    Attributes:
        test: Makes a per-row Boolean expression of the value's; NULL means that it holds.
        reason: What a refused value does wrong, to be read behind the value: `is blank`.
        read_as: Where the value is text: what it is read as before; what cannot be read is
            refused. None: tested as it is.
    """

    test: Callable[[pl.Expr], pl.Expr]
    reason: str
    read_as: pl.DataType | None = None


#: Something, an @, and a domain with a dot in it. Whether the address exists is not looked at.
email = Check(lambda value: value.str.contains(_EMAIL), "is not an e-mail address")
#: More than blanks.
not_blank = Check(lambda value: value.str.strip_chars() != "", "is blank")


def one_of(*allowed: object) -> Check:
    """The value is one of those given, compared as text: `one_of("A", "M")`, `one_of(1, 2)`."""
    texts = [str(one) for one in allowed]
    return Check(
        lambda value: value.cast(pl.String).is_in(texts), f"is not one of {', '.join(texts)}"
    )


def matches(pattern: str, reason: str | None = None) -> Check:
    """The whole text matches a regular expression (of Rust: without look-around).

    Args:
        pattern: Need not begin with `^` or end with `$`.
        reason: What to say instead of showing the pattern: `is no postcode`.
    """
    return Check(
        lambda value: value.str.contains(f"^(?:{pattern})$"), reason or f"does not match {pattern}"
    )


def between(low: Bound, high: Bound) -> Check:
    """The value is not below `low` and not above `high`.

    Text is read as the bounds are: as a number (floating point, exact to 15 digits), as an ISO
    date or time; between texts it is compared as text.
    """
    read_as: pl.DataType | None = pl.Float64()
    if isinstance(low, str):
        read_as = None
    elif isinstance(low, datetime):
        read_as = pl.Datetime("us")
    elif isinstance(low, date):
        read_as = pl.Date()
    test = partial(pl.Expr.is_between, lower_bound=pl.lit(low), upper_bound=pl.lit(high))
    return Check(test, f"is not between {low} and {high}", read_as)


def length(least: int, most: int) -> Check:
    """The text has at least `least` and at most `most` characters."""
    return Check(
        lambda value: value.str.len_chars().is_between(least, most),
        f"does not have {least} to {most} characters",
    )
