"""Whether a text is a day, and why not. Not for: how patterns are declared, or the time of day."""

from __future__ import annotations

import re
from datetime import date

from penstock.loading.types.check import Verdict, null_hint, refuse, shown
from penstock.model.patterns import USUAL_DATES, DatePattern, pattern_of

_ZERO = re.compile(r"0000([-/.]?)00\1(?:00)|00([-/.]?)00\2(?:0000)")
_WORDS = frozenset(
    {"infinity", "-infinity", "+infinity", "epoch", "now", "today", "tomorrow", "yesterday"}
)


def read_date(text: str, pattern: DatePattern) -> date | Verdict:
    """The date that a text without blanks around it says, or why it says none."""
    if _ZERO.fullmatch(text):
        return refuse("22008", f"{text} is no day: --null {text}")
    try:
        found = pattern.read(text)
    except ValueError:
        return refuse("22008", f"there is no day {shown(text)} ({pattern.text})")
    if found is not None:
        return found
    if text.lower() in _WORDS:
        return refuse("22007", f"{text} is not a date of the calendar: --null {text}")
    reason = f"{shown(text)} is not written as {pattern.text}"
    return refuse("22007", reason + (null_hint(text) or dates_hint(text, pattern)))


def dates_hint(text: str, pattern: DatePattern) -> str:
    """`: --dates PATTERN` for the usual patterns under which a text is a date, else empty."""
    fitting = []
    for usual in USUAL_DATES:
        try:
            if usual != pattern.text and pattern_of(usual).read(text) is not None:
                fitting.append(usual)
        except ValueError:
            continue
    # 01/02/2024 fits DD/MM/YYYY and D/M/YYYY: the first two differ in what they mean.
    return ": --dates " + " or ".join(fitting[:2]) if fitting else ""
