"""interval: `1 year 2 days 03:04:05.678` and ISO 8601. Not for: times of day (`times`).

PostgreSQL keeps months, days and microseconds apart, and rounds what falls below: decimals of a
year to whole months, decimals of a second to microseconds. What it would round is refused.
"""

from __future__ import annotations

import re

import polars as pl

from penstock.loading.types.check import (
    Check,
    Verdict,
    bare,
    null_hint,
    refuse,
    second_look,
    shown,
)
from penstock.model.options import Grammar
from penstock.model.table import Column

#: Beginnings of the units (PostgreSQL source, datetime.c) -> decimals that are kept.
_KEPT = (
    (re.compile("ms|milli"), 3),
    (re.compile("us|micro"), 0),
)
#: As above -> months.
_MONTHS = (
    (re.compile("y"), 12),
    (re.compile("dec"), 120),
    (re.compile("c"), 1_200),
    (re.compile("mil"), 12_000),
)
_MOST = 6
#: Digits that survive a double, by which ISO forms (`P1DT2.5S`) are read.
_DOUBLE = 15
_DECIMAL = re.compile(
    r"(?P<whole>[0-9]*)\.(?P<decimals>[0-9]+)(?:[^a-z0-9.+-]*(?P<unit>[a-z]+)|(?P<year>-))?"
)
_ISO_DATE, _ISO_TIME = ("year", "month", "week", "day"), ("hour", "minute", "second")


#: Unit -> names (PostgreSQL source, datetime.c), and how much it is of months, days or seconds.
_UNITS = {
    "millennium": ("mil mils millennia millennium", "months", 12_000),
    "century": ("c cent centuries century", "months", 1_200),
    "decade": ("dec decs decade decades", "months", 120),
    "year": ("y yr yrs year years", "months", 12),
    "month": ("mon mons month months", "months", 1),
    "week": ("w week weeks", "days", 7),
    "day": ("d day days", "days", 1),
    "hour": ("h hr hrs hour hours", "seconds", 3_600),
    "minute": ("m min mins minute minutes", "seconds", 60),
    "second": ("s sec secs second seconds", "seconds", 1),
    "millisecond": ("ms msec msecs mseconds millisecond milliseconds", "seconds", 0.001),
    "microsecond": ("us usec usecs useconds microsecond microseconds", "seconds", 0.000001),
}
_UNIT_OF = {name: unit for unit, (names, _, _) in _UNITS.items() for name in names.split()}
#: Seconds with decimals, and clocks, say these already.
_NO_PARTS = [("millisecond", 0.0), ("microsecond", 0.0)]
#: What an interval has room for, a little less than PostgreSQL's 4, 4 and 8 bytes.
_ROOM = {"months": 2**31 - 10, "days": 2**31 - 10_000, "seconds": 9_223_372_036_854 - 100_000}
_COUNT = r"[0-9]{1,18}(?:\.[0-9]+)?"
_PART = re.compile(
    rf"(?P<sign>[+-]?)(?:(?P<hours>[0-9]{{1,10}}):(?P<minutes>[0-5][0-9])"
    rf"(?::(?P<seconds>[0-5][0-9])(?:\.[0-9]+)?)?"
    rf"|(?P<years>[0-9]{{1,9}})-(?P<months>0?[0-9]|1[01])"
    rf"|(?P<count>{_COUNT})[ ]*(?P<unit>[a-z]+))(?:[ ]+|$)"
)
_ISO_COUNT = r"-?[0-9]{1,15}(?:\.[0-9]+)?"
_ISO = re.compile(
    r"P(?=[0-9T-])"
    + "".join(rf"(?:(?P<{unit}>{_ISO_COUNT}){unit[0].upper()})?" for unit in _ISO_DATE)
    + r"(?:T(?=[0-9-])"
    + "".join(rf"(?:(?P<{unit}>{_ISO_COUNT}){unit[0].upper()})?" for unit in _ISO_TIME)
    + ")?"
)


def interval_check(column: Column, grammar: Grammar) -> Check:
    """Counts with units, `HH:MM[:SS]`, `years-months`; or ISO 8601 (`P1Y2M3DT4H5M6.7S`).

    The value is the text; what `ago`, signs and units mean is as in PostgreSQL.
    """

    def judge(text: str) -> Verdict:
        # Of `interval day` and its like the server judges the form: a bare number has that unit.
        sizes = dict.fromkeys(_ROOM, 0.0) if column.modified else _sizes(text)
        if isinstance(sizes, Verdict):
            return sizes
        why = _rounded(text.lower())
        if why is not None:
            return refuse("scale", f"{shown(text)} has {why}, which {column.type} would round")
        if any(sizes[kind] > _ROOM[kind] for kind in _ROOM):
            return refuse("22015", f"{shown(text)} is out of range of interval")
        return Verdict(text)

    raw = pl.col(column.name)
    careful = second_look(
        pl.String(), bare(judge, "an interval", grammar), lambda canonical: canonical
    )
    return Check(column, pl.String(), raw, raw.is_not_null(), careful)


def _sizes(text: str) -> dict[str, float] | Verdict:
    """Months, days and seconds without their signs; or why the text is no interval."""
    counts = _iso_counts(text) if text.startswith("P") else _counts(text.lower())
    if not counts:
        reason = f"{shown(text)} is not an interval such as 1 day 02:03:04 or P1DT2H3M4S"
        return refuse("22007", reason + null_hint(text))
    sizes = dict.fromkeys(_ROOM, 0.0)
    seen: set[str] = set()
    for unit, count in counts:
        if unit in seen:
            return refuse("22007", f"{shown(text)} says its {unit}s twice")
        seen.add(unit)
        _, kind, size = _UNITS[unit]
        sizes[kind] += abs(count) * size
    return sizes


def _iso_counts(text: str) -> list[tuple[str, float]]:
    match = _ISO.fullmatch(text)
    if match is None:
        return []
    return [(unit, float(count)) for unit, count in match.groupdict().items() if count is not None]


def _counts(text: str) -> list[tuple[str, float]]:
    """Each unit and its count; empty where the text has another form."""
    text = text.removeprefix("@").strip(" ").removesuffix(" ago")
    found: list[tuple[str, float]] = []
    place = 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None:
            return []
        place = match.end()
        if match["hours"]:
            names = ("hour", "minute", "second")
            found += zip(names, (float(match[f"{n}s"] or 0) for n in names), strict=True)
            found += _NO_PARTS
        elif match["years"]:
            found += [("year", float(match["years"])), ("month", float(match["months"]))]
        elif match["unit"] in _UNIT_OF:
            unit, count = _UNIT_OF[match["unit"]], float(match["count"])
            found.append((unit, count))
            if unit == "second" and not count.is_integer():
                found += _NO_PARTS
        else:
            return []
    return found


def _rounded(text: str) -> str | None:
    """What of the text PostgreSQL does not keep, or None."""
    iso = text.lstrip().startswith("p")
    for match in _DECIMAL.finditer(text):
        decimals, unit = match["decimals"].rstrip("0"), match["unit"] or ""
        if match["year"]:
            unit = "years"  # the ISO form P0001.5-01-01
        months = next((size for start, size in _MONTHS if start.match(unit)), None)
        kept = next((count for start, count in _KEPT if start.match(unit)), _MOST)
        if kept != _MOST:
            months = None  # milliseconds begin as millennia do
        if months is None:
            lost = len(decimals) > kept
        else:
            lost = len(decimals) > _MOST or int(decimals or 0) * months % 10 ** len(decimals) != 0
        if lost or (iso and decimals and len(match["whole"] + decimals) > _DOUBLE):
            return f"the decimals .{decimals} {unit}".rstrip()
    return None
