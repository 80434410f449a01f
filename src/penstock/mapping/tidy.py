"""Ready pieces of a transform: instants, identifiers and tags of quality, of one value or one row.

All are pure. What they cannot take is a ValueError that says what is wrong: in a pipeline that
event fails with it, and no other. Not for: frames, where Polars has its own words for it; nor for
users that are looked up in a table (the option `lookups` of a load).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Unit = Literal["s", "ms", "us"]
Ambiguous = Literal["refuse", "earlier", "later"]

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: ISO 8601 with a time of day, in its extended form; a zone may follow.
_WRITTEN = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,](?P<fraction>\d+))?)?(Z|[+-]\d{2}(:?\d{2})?)?",
    re.I,
)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
#: Digits after the second that PostgreSQL keeps.
_DIGITS = 6
#: Above it a float no longer holds every whole number (IEEE 754, binary64).
_WHOLE = 2**53


def instant(
    value: Any,
    *,
    zone: str | None = None,
    unit: Unit | None = None,
    ambiguous: Ambiguous = "refuse",
) -> datetime | None:
    """A moment as a datetime in UTC.

    Args:
        value: ISO 8601 with a time of day, a datetime, or a number since 1970; None and "" are
            None.
        zone: Of times that name none, such as `Europe/Paris`; None: they are refused.
        unit: Of numbers; None: they are refused.
        ambiguous: The hour that is there twice when clocks go back: `refuse`, or which of both.

    Raises:
        ValueError: It is no such time; it does not exist, as clocks go forward; it has more digits
            than microseconds; or it needs a zone or a unit.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return _in_utc(value, value.isoformat(), zone, ambiguous)
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise ValueError(f"a {type(value).__name__} is no time")
    text = str(value).strip()
    if not isinstance(value, str) or _NUMBER.fullmatch(text):
        return _since_1970(value, text, unit)
    if not (found := _WRITTEN.fullmatch(text)):
        raise ValueError(f'"{text}" is no time (ISO 8601, such as 2026-01-31T12:00:00Z)')
    if len((found["fraction"] or "").rstrip("0")) > _DIGITS:
        raise ValueError(f'"{text}" has more digits than microseconds; round it in the transform')
    try:
        read = datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise ValueError(f'"{text}" is no time: {error}') from None
    return _in_utc(read, text, zone, ambiguous)


def _since_1970(value: Any, text: str, unit: Unit | None) -> datetime:
    if unit is None:
        raise ValueError(f"{text} is a number: say its unit: s, ms or us")
    if not Decimal(text).is_finite():
        raise ValueError(f"{text} is no time")
    try:
        micros = Decimal(text) * (1_000_000 // _PER_SECOND[unit])
        if isinstance(value, float):  # it has no more digits than it means
            micros = micros.to_integral_value()
        if micros != micros.to_integral_value():
            raise ValueError(f"{text} has more digits than microseconds")
        return _EPOCH + timedelta(microseconds=int(micros))
    except (ArithmeticError, OverflowError):
        raise ValueError(f"{text} {unit} since 1970 is no time of the years 1 to 9999") from None


def _in_utc(read: datetime, text: str, zone: str | None, ambiguous: Ambiguous) -> datetime:
    if read.tzinfo is None:
        if zone is None:
            raise ValueError(f'"{text}" names no zone: say zone="Europe/Paris" or what it is')
        read = _local(read, text, zone, ambiguous)
    try:
        return read.astimezone(UTC)
    except OverflowError:
        raise ValueError(f'"{text}" is no time of the years 1 to 9999 in UTC') from None


def _local(read: datetime, text: str, zone: str, ambiguous: Ambiguous) -> datetime:
    """A local time with its zone (PEP 495: `fold` says which of two)."""
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f'"{zone}" is no zone of the time zone database') from None
    earlier, later = (read.replace(tzinfo=place, fold=fold) for fold in (0, 1))
    if earlier.utcoffset() == later.utcoffset():
        return earlier
    if earlier.astimezone(UTC).astimezone(place).replace(tzinfo=None) != read:
        raise ValueError(f'"{text}" does not exist in {zone}: clocks went forward')
    if ambiguous == "refuse":
        raise ValueError(f'"{text}" is there twice in {zone}: clocks went back')
    return earlier if ambiguous == "earlier" else later


def identifier(value: Any, *, lower: bool = False) -> str | None:
    """An id in one form, whoever wrote it: `" U-17"`, `"U-17"`; `17`, `17.0`, `"17"`.

    Args:
        value: A text or a whole number; None and blanks are None. Text is kept but for blanks at
            its ends and Unicode's composition (NFC): `"17.0"` and `"007"` stay what they are.
        lower: In small letters: only where the sender's ids do not differ by them.

    Raises:
        ValueError: It is neither, is a float that may stand for several whole numbers, or holds
            a control character.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise ValueError(f"a {type(value).__name__} is no id")
    if isinstance(value, str):
        text = unicodedata.normalize("NFC", value).strip()
        if any(unicodedata.category(sign) == "Cc" for sign in text):
            raise ValueError(f"{value!r} is no id: it holds a control character")
        return (text.lower() if lower else text) or None
    if isinstance(value, int):
        return str(value)
    whole = int(value) if Decimal(value).is_finite() and value == int(value) else None
    if whole is None or (isinstance(value, float) and abs(whole) >= _WHOLE):
        raise ValueError(f"{value} is no id: give it as a text or as a whole number")
    return str(whole)


Rule = Callable[[Any], bool]


def tags(
    row: Mapping[str, Any],
    *,
    needs: Sequence[str] = (),
    valid: Mapping[str, Rule] | None = None,
    review: Mapping[str, Rule] | None = None,
) -> list[str]:
    """What is to be known of a row's quality, for a column `text[]`; an empty list is well.

    Args:
        row: As the transform gives it.
        needs: Columns without which it is `incomplete`; None, "" and what is not there lack.
        valid: Column -> what holds for its value, else the row is `invalid`. What lacks is not
            asked. Where a rule cannot compare a text (TypeError) that is written as a number, as in
            rows of CSV files, it is asked again with the Decimal that the text says; one that
            cannot compare the value then (TypeError, ValueError) does not hold.
        review: Column -> what makes a row `needs_review`, asked in the same way.

    Returns:
        Some of `invalid`, `incomplete`, `needs_review`, in this order.
    """
    lacking = any(_lacks(row, name) for name in needs)
    wrong = any(not _holds(row, name, rule) for name, rule in _there(row, valid))
    doubtful = any(_holds(row, name, rule) for name, rule in _there(row, review))
    told = {"invalid": wrong, "incomplete": lacking, "needs_review": doubtful}
    return [name for name, so in told.items() if so]


def _lacks(row: Mapping[str, Any], name: str) -> bool:
    return row.get(name) is None or row[name] == ""


def _there(row: Mapping[str, Any], rules: Mapping[str, Rule] | None) -> list[tuple[str, Rule]]:
    return [(name, rule) for name, rule in (rules or {}).items() if not _lacks(row, name)]


def _holds(row: Mapping[str, Any], name: str, rule: Rule) -> bool:
    value = row[name]
    try:
        return bool(rule(value))
    except TypeError:
        if not isinstance(value, str) or _NUMBER.fullmatch(value.strip()) is None:
            return False
    except ValueError:
        return False
    return _holds({name: Decimal(value.strip())}, name, rule)
