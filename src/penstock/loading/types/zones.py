"""timestamptz: offsets, and local time in a declared zone. Not for: plain timestamps."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from penstock.errors import UsageError
from penstock.loading.types.check import Check, Verdict, bare, refuse, second_look, shown
from penstock.loading.types.moments import CLOCK, out_of_range, read_moment, to_local
from penstock.loading.types.timestamps import (
    CANONICAL,
    MICROSECONDS,
    local_form,
    local_time,
    quick,
    quick_form,
)
from penstock.model.options import Grammar
from penstock.model.patterns import DatePattern, pattern_of
from penstock.model.table import Column

UTC_MICROSECONDS = pl.Datetime("us", "UTC")
#: Polars' table of zones ends with the year 2099: after it, summer time would be forgotten.
_TABLE_END = datetime(2100, 1, 1)  # noqa: DTZ001 - compared with local times
_FIRST = datetime(1, 1, 1)  # noqa: DTZ001 - compared with UTC times that carry no zone
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001 - as _FIRST
_OFFSET = r"(:[0-9]{2}(?:\.[0-9]+)?) ?(Z|UTC|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)$"
_ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]*(?:/[A-Za-z0-9_+\-]+)*")


def check_zone(name: str) -> str:
    """The name itself.

    Raises:
        UsageError: It is no IANA name.
    """
    try:
        if not _ZONE_NAME.fullmatch(name):
            raise pl.exceptions.ComputeError(name)
        pl.Series([_FIRST]).dt.replace_time_zone(name, ambiguous="null", non_existent="null")
    except pl.exceptions.ComputeError:
        raise UsageError(
            f"--timezone {name!r} is no zone: give an IANA name, such as Europe/Berlin or UTC",
            code="timezone",
        ) from None
    return name


def timestamptz_check(column: Column, grammar: Grammar) -> Check:
    """A timestamp with an offset, or without one in `grammar.timezone`. The value is in UTC.

    Raises:
        UsageError: `grammar.dates` is no pattern, or `grammar.timezone` no zone.
    """
    pattern = pattern_of(grammar.dates)
    zone = None if grammar.timezone is None else check_zone(grammar.timezone)
    digits = 6 if column.fraction is None else column.fraction
    form = f"^{local_form(pattern, digits)}$"

    def regular(text: pl.Expr) -> pl.Expr:
        written = text.str.replace(_OFFSET, "$1")
        local = pl.when(written.str.contains(form)).then(local_time(written, pattern))
        offset = _minutes(text.str.extract(_OFFSET, 2))
        naive = pl.lit(None, MICROSECONDS) if zone is None else _zoned(local, zone)
        shifted = local - pl.duration(minutes=offset)
        return _utc(pl.when(offset.is_null()).then(naive).otherwise(shifted))

    def judge(text: str) -> Verdict:
        moment = read_moment(text, pattern)
        if isinstance(moment, Verdict):
            return moment
        local = to_local(text, moment, digits, type_name=column.type, rounding=grammar.round)
        if isinstance(local, Verdict):
            return local
        utc = _to_utc(text, local[0], moment.offset, zone, column.type)
        if isinstance(utc, Verdict):
            return utc
        return Verdict(utc.isoformat(" "), change="rounded" if local[1] else None)

    raw = pl.col(column.name)
    if zone is None:
        typed = _utc(_quick_z(raw, pattern))
    else:
        common = pl.when(raw.str.contains(quick_form(pattern))).then(quick(raw, pattern))
        typed = _utc(_zoned(common, zone))
    careful = second_look(
        UTC_MICROSECONDS,
        bare(judge, "a timestamp", grammar),
        lambda canonical: canonical.str.to_datetime(
            CANONICAL, strict=False, time_unit="us"
        ).dt.replace_time_zone("UTC"),
        regular,
    )
    suspect = raw.is_not_null() & typed.is_null()
    return Check(column, UTC_MICROSECONDS, typed, suspect, careful)


def _quick_z(text: pl.Expr, pattern: DatePattern) -> pl.Expr:
    """The commonest form with an offset, `DATETHH:MM:SSZ`; NULL for every other one."""
    formed = text.str.contains(f"^{pattern.regex}T{CLOCK}:[0-5][0-9]Z$")
    form = f"{pattern.format}T%H:%M:%SZ"
    return pl.when(formed).then(text.str.to_datetime(form, strict=False, time_unit="us"))


def _minutes(offset: pl.Expr) -> pl.Expr:
    """Minutes east of UTC that `Z`, `UTC`, `+01`, `+0100` or `+01:00` says; NULL for NULL."""
    digits = offset.str.replace(":", "", literal=True)
    hours = digits.str.slice(1, 2).cast(pl.Int32, strict=False)
    minutes = digits.str.slice(3, 2).cast(pl.Int32, strict=False).fill_null(0)
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    named = offset.is_in(["Z", "UTC"])
    return pl.when(named).then(0).otherwise(sign * (hours * 60 + minutes))


def _zoned(local: pl.Expr, zone: str) -> pl.Expr:
    """Local times as UTC; NULL where there are two of them, none, or the table has ended."""
    known = pl.when(local < _TABLE_END).then(local)
    zoned = known.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def _utc(naive: pl.Expr) -> pl.Expr:
    """The same as a moment; NULL outside of the years 1 to 9999."""
    return pl.when(naive.is_between(_FIRST, _LAST)).then(naive).dt.replace_time_zone("UTC")


def _to_utc(
    text: str, local: datetime, offset: int | None, zone: str | None, type_name: str
) -> datetime | Verdict:
    """The moment in UTC, without a zone, or the refusal."""
    if offset is not None:
        try:
            return local - timedelta(minutes=offset)
        except OverflowError:
            return out_of_range(text)
    if zone is None:
        return refuse(
            "timezone",
            f"{shown(text)} has no offset, {type_name} needs one: --timezone Europe/Berlin"
            " (the zone of the times)",
        )
    if local >= _TABLE_END:
        return _beyond_the_table(text, local, zone)
    times = pl.DataFrame({"t": [local]}, schema={"t": MICROSECONDS})
    found = _zoned(pl.col("t"), zone)
    earliest = pl.col("t").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    utc, missing, beyond = times.select(
        pl.when(found.is_between(_FIRST, _LAST)).then(found),
        earliest.is_null().alias("missing"),
        found.is_not_null().alias("beyond"),
    ).row(0)
    if isinstance(utc, datetime):
        return utc
    if missing:
        return _gap(text, zone)
    return out_of_range(text) if beyond else _overlap(text, zone)


def _beyond_the_table(text: str, local: datetime, zone: str) -> datetime | Verdict:
    try:
        rules = ZoneInfo(zone)
    except ZoneInfoNotFoundError:
        return refuse(
            "timezone",
            f"{shown(text)} is after 2099, and this machine has no tables of time zones that go"
            " further (package tzdata): write the offset",
        )
    offsets = [local.replace(tzinfo=rules, fold=fold).utcoffset() for fold in (0, 1)]
    before, after = offsets[0] or timedelta(), offsets[1] or timedelta()
    if before < after:
        return _gap(text, zone)
    if before > after:
        return _overlap(text, zone)
    try:
        return local - before
    except OverflowError:
        return out_of_range(text)


def _gap(text: str, zone: str) -> Verdict:
    return refuse(
        "dst_gap",
        f"{shown(text)} does not exist in {zone}, where the clock was put forward:"
        " write the offset",
    )


def _overlap(text: str, zone: str) -> Verdict:
    return refuse(
        "dst_overlap",
        f"{shown(text)} happened twice in {zone}, where the clock was put back: write the offset",
    )
