"""What Excel's numbers mean: decimal numbers, days, times. Not for: where they stand.

Excel keeps numbers as binary floating point and shows 15 digits; days are numbers, and only their
style says so. Sources: ECMA-376 part 1, 18.8.30 (formats) and 18.17.4 (serial dates).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Context, Decimal
from enum import Enum, auto
from functools import lru_cache

#: Digits that Excel keeps for certain.
_DIGITS = Context(prec=15)
#: Moments kept: a sheet has the same days again and again.
_CACHED = 1 << 14
_MOST_WHOLE = Decimal(10) ** 15
_DAY_MS = 86_400_000
#: Excel counts a 29 February 1900 that there was not; before it all days are off by one.
_NO_SUCH_DAY = 60
_BEFORE, _AFTER, _SINCE_1904 = date(1899, 12, 31), date(1899, 12, 30), date(1904, 1, 1)
#: Numbers that are as they would be written here; most are.
_SHORT = re.compile(r"0|-?(?:[1-9][0-9]*(?:\.[0-9]*[1-9])?|0\.[0-9]*[1-9])")
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.')
_BRACKETS = re.compile(r"\[(?!h+\]|m+\]|s+\])[^\]]*\]")
_MINUTES = re.compile(r"h[^a-z]*m+|m+[^a-z]*s")


class Look(Enum):
    """What a style shows of a number."""

    NUMBER = auto()
    DAY = auto()
    #: A time of day.
    TIME = auto()
    #: Hours that may be more than a day's.
    ELAPSED = auto()


@dataclass(frozen=True, slots=True)
class Writing:
    """How numbers and days are made text: as the user says that text cells write them.

    Attributes:
        dates: A pattern such as `DD/MM/YYYY` (`penstock.model.options.Grammar`).
        decimal: The decimal mark.
    """

    dates: str = "YYYY-MM-DD"
    decimal: str = "."


class NoValue(ValueError):
    """A cell that has no exact value; the text says why."""


_BUILT_IN = {
    **dict.fromkeys([*range(14, 18), 22, *range(27, 32), 36, *range(50, 59)], Look.DAY),
    **dict.fromkeys([*range(18, 22), *range(32, 36), 45, 47], Look.TIME),
    46: Look.ELAPSED,
}


_PARTS = re.compile("YYYY|MM|DD|M|D")
_WRITERS: Mapping[str, Callable[[date], str]] = {
    "YYYY": lambda day: f"{day.year:04}",
    "MM": lambda day: f"{day.month:02}",
    "DD": lambda day: f"{day.day:02}",
    "M": lambda day: str(day.month),
    "D": lambda day: str(day.day),
}


def look_of(number: int, code: str | None) -> Look:
    r"""What a number format shows.

    Args:
        number: Its id; those below 164 are built in where `code` is None.
        code: Such as `yyyy\-mm\-dd` or `[h]:mm`.
    """
    if code is None:
        return _BUILT_IN.get(number, Look.NUMBER)
    plain = _LITERAL.sub("", code.partition(";")[0]).lower()
    plain = _BRACKETS.sub("", plain)
    if "general" in plain:
        return Look.NUMBER
    if "[" in plain:
        return Look.ELAPSED
    without_minutes = _MINUTES.sub("h", plain.replace("am/pm", "h").replace("a/p", "h"))
    if re.search("[dym]", without_minutes):
        return Look.DAY
    return Look.TIME if re.search("[hs]", without_minutes) else Look.NUMBER


def number_text(stored: str) -> str:
    """A number with the digits that Excel shows, without an exponent or needless zeros.

    Raises:
        NoValue: It is no number, or a whole one of more digits than Excel keeps.
    """
    if _SHORT.fullmatch(stored) and len(stored) <= _DIGITS.prec:
        return stored
    value = _decimal(stored)
    if abs(value) >= _MOST_WHOLE and len(value.normalize().as_tuple().digits) > _DIGITS.prec:
        raise NoValue(
            f"{stored} has more than the {_DIGITS.prec} digits that Excel keeps: store it as text"
        )
    shown = _DIGITS.plus(value)
    text = format(shown, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


@lru_cache(_CACHED)
def time_text(stored: str, look: Look, *, since_1904: bool, dates: str = Writing().dates) -> str:
    """A number of days as a date, a time (`HH:MM:SS.sss`) or both.

    Raises:
        NoValue: Excel has no such day.
    """
    value = _decimal(stored)
    total = int((value * _DAY_MS).to_integral_value())
    if look is Look.ELAPSED:
        sign = "-" if total < 0 else ""
        return sign + _clock(abs(total))
    days, rest = divmod(total, _DAY_MS)
    if look is Look.TIME and days == 0:
        return _clock(rest)
    if since_1904:
        day = _day(_SINCE_1904, days, stored)
    elif days in (0, _NO_SUCH_DAY):
        raise NoValue(f"{stored} is shown as a day that there was not")
    else:
        day = _day(_BEFORE if days < _NO_SUCH_DAY else _AFTER, days, stored)
    written = _PARTS.sub(lambda part: _WRITERS[part.group()](day), dates)
    return written if not rest else f"{written} {_clock(rest)}"


def _day(base: date, days: int, stored: str) -> date:
    try:
        if days >= 0:
            return base + timedelta(days=days)
    except OverflowError:
        pass
    raise NoValue(f"{stored} is no day of Excel, which knows the years 1900 to 9999")


def _clock(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    fraction = f".{ms:03}" if ms else ""
    return f"{hour:02}:{minute:02}:{second:02}{fraction}"


def _decimal(stored: str) -> Decimal:
    try:
        value = Decimal(stored.strip())
    except ArithmeticError:
        raise NoValue(f"{stored!r} is no number") from None
    if not value.is_finite() or abs(value.adjusted()) > 310:
        raise NoValue(f"{stored!r} is no number of Excel")
    return value
