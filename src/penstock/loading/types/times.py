"""time and timetz. Not for: points in time (`timestamps`, `zones`), or durations (`intervals`)."""

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
from penstock.loading.types.moments import MAX_OFFSET, no_time, offset_of
from penstock.model.options import Grammar
from penstock.model.table import Column

_SECONDS = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_PARTS = re.compile(
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"(?: ?(?P<offset>[Zz]|UTC|(?P<sign>[+-])(?P<oh>[0-9]{2})(?::?(?P<om>[0-9]{2}))?))?"
)


def time_check(column: Column, grammar: Grammar) -> Check:
    """`HH:MM[:SS[.ffffff]]`, for timetz with an offset. The value is its canonical text.

    `--round` does not hold here: a time that is rounded up may become 24:00.
    """
    digits = 6 if column.fraction is None else column.fraction
    zoned = column.base == "timetz"
    raw = pl.col(column.name)
    quick = f"^{_SECONDS}{'[+-](?:0[0-9]|1[0-5]):[0-5][0-9]' if zoned else ''}$"

    def judge(text: str) -> Verdict:
        return _judge(text, digits, zoned=zoned, type_name=column.type)

    careful = second_look(
        pl.String(),
        bare(judge, "a time", grammar),
        lambda canonical: canonical,
        lambda text: _regular(text, digits, zoned=zoned),
    )
    return Check(column, pl.String(), raw, raw.is_not_null() & ~raw.str.contains(quick), careful)


def _regular(text: pl.Expr, digits: int, *, zoned: bool) -> pl.Expr:
    """The canonical text of the spellings that whole files may have."""
    fraction = rf"(?:\.([0-9]{{1,{digits}}})0*)?" if digits else r"(?:\.()0+)?"
    form = rf"^([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]){fraction})?"
    form += r"(?:Z|([+-](?:0[0-9]|1[0-5]))(?::?([0-5][0-9]))?)$" if zoned else "$"
    part = [text.str.extract(form, number) for number in range(1, 7 if zoned else 5)]
    kept = part[3].fill_null("").str.strip_chars_end("0")
    whole = [
        part[0].str.zfill(2),
        pl.lit(":"),
        part[1],
        pl.lit(":"),
        part[2].fill_null("00"),
        pl.when(kept == "").then(pl.lit("")).otherwise("." + kept),
    ]
    if zoned:
        whole += [part[4].fill_null("+00"), pl.lit(":"), part[5].fill_null("00")]
    return pl.concat_str(whole)


def _judge(text: str, digits: int, *, zoned: bool, type_name: str) -> Verdict:
    match = _PARTS.fullmatch(text)
    if match is None:
        form = "HH:MM:SS and an offset" if zoned else "HH:MM:SS"
        return refuse("22007", f"{shown(text)} is not a time ({form}){null_hint(text)}")
    hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
    if hour > 23 or minute > 59 or second > 59:
        return refuse("22008", no_time(text, hour, minute, second))
    offset = offset_of(match)
    if offset is not None and not zoned:
        return refuse(
            "offset",
            f"{shown(text)} has an offset, which {type_name} would lose:"
            " make the column timetz, or take the offset away",
        )
    if offset is None and zoned:
        return refuse(
            "timezone",
            f"{shown(text)} has no offset, {type_name} needs one: write it"
            " (--timezone holds for timestamps only, for it needs a date)",
        )
    if offset is not None and abs(offset) > MAX_OFFSET:
        return refuse("22009", f"{shown(text)} has an offset beyond 15:59")
    fraction = (match["fraction"] or "").rstrip("0")
    if len(fraction) > digits:
        noun = "digit" if len(fraction) == 1 else "digits"
        return refuse(
            "scale",
            f"{shown(text)} has {len(fraction)} {noun} after the seconds, {type_name} keeps"
            f" {digits}: write fewer (--round does not hold for times of day)",
        )
    clock = f"{hour:02}:{minute:02}:{second:02}" + (f".{fraction}" if fraction else "")
    if offset is None:
        return Verdict(clock)
    hours, minutes = divmod(abs(offset), 60)
    return Verdict(f"{clock}{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}")
