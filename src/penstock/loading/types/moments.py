"""Reads one point in time exactly, with its reasons. Not for: whole columns, or zones' rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from penstock.loading.types.check import Verdict, refuse, shown
from penstock.loading.types.patterns import read_date
from penstock.model.patterns import DatePattern

#: Hours may have one digit (`8:26`); it is the same time.
CLOCK = "(?:[01]?[0-9]|2[0-3]):[0-5][0-9]"
#: PostgreSQL's own limit of an offset: 15:59.
MAX_OFFSET = 15 * 60 + 59
_PARTS = re.compile(
    r"(?P<day>.+?)[ Tt](?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"(?: ?(?P<offset>[Zz]|UTC|(?P<sign>[+-])(?P<oh>[0-9]{2})(?::?(?P<om>[0-9]{2}))?))?"
)
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 - PostgreSQL's own, without a zone
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """What a text says, before a column's precision and zone are asked.

    Attributes:
        day: The date.
        clock: Hour, minute and second.
        fraction: Digits after the seconds' mark, without the zeros at the end.
        offset: Minutes east of UTC; None where the text has none.
    """

    day: date
    clock: time
    fraction: str = ""
    offset: int | None = None

    @property
    def has_time(self) -> bool:
        """True where the time of day is not midnight."""
        return self.clock != time() or self.fraction != ""


def read_moment(text: str, pattern: DatePattern) -> Moment | Verdict:
    """A date in the pattern, alone or with a time of day and an offset; or why not.

    Refusals: 22007 (form), 22008 (no such day, hour, minute or second), 22009 (offset).
    """
    match = _PARTS.fullmatch(text)
    if match is None:
        found = read_date(text, pattern)
        return Moment(found, time()) if isinstance(found, date) else found
    day = read_date(match["day"], pattern)
    if isinstance(day, Verdict):
        return day
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    if hour > 23 or minute > 59 or second > 59:
        return refuse("22008", no_time(text, hour, minute, second))
    offset = offset_of(match)
    if offset is not None and abs(offset) > MAX_OFFSET:
        return refuse("22009", f"{shown(text)} has an offset beyond 15:59")
    fraction = (match["fraction"] or "").rstrip("0")
    return Moment(day, time(hour, minute, second), fraction, offset)


def offset_of(match: re.Match[str]) -> int | None:
    """Minutes east of UTC in the groups `offset`, `sign`, `oh` and `om`; None without an offset."""
    if match["offset"] is None:
        return None
    if match["sign"] is None:
        return 0
    hours, minutes = int(match["oh"]), int(match["om"] or 0)
    # An offset of 75 minutes past the hour is no offset at all: push it over the limit.
    size = hours * 60 + minutes if minutes < 60 else MAX_OFFSET + 1
    return -size if match["sign"] == "-" else size


def no_time(text: str, hour: int, minute: int, second: int) -> str:
    """Why no clock shows this."""
    if hour == 24 and minute == second == 0:
        return f"{shown(text)} has the time 24:00, which is 00:00 of the next day"
    if second == 60:
        return f"{shown(text)} is a leap second, which PostgreSQL would move into the next minute"
    return f"{shown(text)} has no time of day"


def to_local(
    text: str, moment: Moment, digits: int, *, type_name: str, rounding: bool
) -> tuple[datetime, bool] | Verdict:
    """The moment without its offset, at the column's precision.

    With `rounding` as PostgreSQL does: to microseconds half to even in binary arithmetic, then
    to fewer digits half away from 2000-01-01.

    Args:
        text: As written, for the message.
        moment: What it says.
        digits: Fractional digits of seconds that the column keeps, 0 to 6.
        type_name: The column's type, for the message.
        rounding: `Grammar.round`.

    Returns:
        The local time and whether it was rounded; or the refusal `scale` or 22008.
    """
    local = datetime.combine(moment.day, moment.clock)
    count = len(moment.fraction)
    if count <= digits:
        return local + int(moment.fraction.ljust(6, "0")) * _MICROSECOND, False
    if not rounding:
        noun = "digit" if count == 1 else "digits"
        return refuse(
            "scale",
            f"{shown(text)} has {count} {noun} after the seconds, {type_name} keeps {digits}"
            ": --round",
        )
    micros = round(float("0." + moment.fraction) * 1_000_000)
    since = (local - _EPOCH) // _MICROSECOND + micros
    unit = 10 ** (6 - digits)
    size = (abs(since) + unit // 2) // unit * unit
    try:
        return _EPOCH + (size if since >= 0 else -size) * _MICROSECOND, True
    except OverflowError:
        return out_of_range(text)


def out_of_range(text: str) -> Verdict:
    """The refusal of a moment that is not within the years 1 to 9999."""
    return refuse("22008", f"{shown(text)} is not within the years 1 to 9999")
