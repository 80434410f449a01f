"""Cron expressions in words: the usual forms, never a wrong word. Not for: when they are due.

What is no usual form is shown as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from penstock.schedule.times import Cron

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_NUMBERS = re.compile(r"\d+(,\d+)*")
_RANGE = re.compile(r"(\d+)-(\d+)")
_STEP = re.compile(r"\*/(\d+)")
_MINUTES, _HOURS, _WEEK = 60, 24, 7
#: More than so many times of a day are no longer read as words.
_TIMES = 6


def in_words(cron: Cron) -> str:
    """`at 06:00 from Monday to Friday`; the expression itself where it is no usual form."""
    minute, hour, day, month, weekday = cron.text.upper().split()
    at, rhythm = _at(minute, hour), _rhythm(minute, hour)
    when = _days(day, month, weekday, cron)
    if when is None or (at is None and rhythm is None):
        return cron.text
    if at is not None:
        return f"at {at} {when or 'every day'}"
    return f"{rhythm}, {when}" if when else str(rhythm)


def _at(minute: str, hour: str) -> str | None:
    """Times of a day: one minute of some hours."""
    if not minute.isdigit() or not _NUMBERS.fullmatch(hour):
        return None
    hours = sorted({int(one) for one in hour.split(",")})
    return _listed([_time(one, int(minute)) for one in hours]) if len(hours) <= _TIMES else None


def _rhythm(minute: str, hour: str) -> str | None:
    """Every so many minutes or hours."""
    every = _every(minute, _MINUTES)
    span = _RANGE.fullmatch(hour)
    if every is not None:
        said = "every minute" if every == 1 else f"every {every} minutes"
        if hour == "*":
            return said
        first, last = (span[1], span[2]) if span else (hour, hour)
        if first.isdigit() and last.isdigit():
            return f"{said} from {_time(int(first), 0)} to {_time(int(last), _MINUTES - 1)}"
        return None
    if not minute.isdigit():
        return None
    at = int(minute)
    if hour == "*":
        return "every hour" if at == 0 else f"at minute {at} of every hour"
    if span:
        return f"every hour from {_time(int(span[1]), at)} to {_time(int(span[2]), at)}"
    step = _every(hour, _HOURS)
    if step is not None and step > 1:
        return f"every {step} hours from {_time(0, at)} to {_time(_HOURS - step, at)}"
    return None


def _days(day: str, month: str, weekday: str, cron: Cron) -> str | None:
    """On which days; empty: on all; None: no usual form."""
    months = _months(month, cron)
    if months is None or (day != "*" and weekday != "*"):
        return None
    if weekday != "*":
        on = _weekdays(weekday, cron)
        return on if on is None or not months else f"{on} in {months}"
    if day == "*":
        return f"every day in {months}" if months else ""
    if day == "L":
        return f"on the last day of {months or 'each month'}"
    if not _NUMBERS.fullmatch(day):
        return None
    days = sorted({int(one) for one in day.split(",")})
    noun = "day" if len(days) == 1 else "days"
    return f"on {noun} {_listed([str(one) for one in days])} of {months or 'each month'}"


def _months(month: str, cron: Cron) -> str | None:
    """Names of months; empty: all; None: no usual form."""
    if month == "*":
        return ""
    if "/" in month:
        return None
    return _listed([_MONTHS[one - 1] for one in sorted(cron.parsed.months)])


def _weekdays(weekday: str, cron: Cron) -> str | None:
    numbers = cron.parsed.weekdays
    if re.search(r"[/#L]", weekday) or not all(isinstance(one, int) for one in numbers):
        return None
    days = sorted({int(str(one)) % _WEEK for one in numbers}, key=lambda one: (one - 1) % _WEEK)
    if days == [1, 2, 3, 4, 5]:
        return "from Monday to Friday"
    if len(days) == _WEEK:
        return None
    return f"on {_listed([_DAYS[one] for one in days])}"


def _every(text: str, whole: int) -> int | None:
    """The step of `*` (1) or `*/n`, where it divides the whole: else the last one is shorter."""
    if text == "*":
        return 1
    found = _STEP.fullmatch(text)
    step = int(found[1]) if found else 0
    return step if step and step < whole and whole % step == 0 else None


def _time(hour: int, minute: int) -> str:
    return f"{hour:02d}:{minute:02d}"


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
