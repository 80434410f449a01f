"""What the figures of a check mean. Not for: finding them (`rows`, `tables`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from math import floor

from penstock.model.checked import FAILED, SKIPPED, WARNED, CheckResult
from penstock.quality.declared import Check

#: What is wrong with rows, behind their number.
_WRONG = {
    "unique": ("shares its values with another", "share their values with others"),
    "not_null": ("has no value", "have no value"),
    "accepted": ("has another value", "have other values"),
    "between": ("is outside", "are outside"),
    "refers": ("refers to nothing", "refer to nothing"),
    "expression": ("is not as declared", "are not as declared"),
}


def skipped(check: Check, why: str) -> CheckResult:
    """There is nothing that the check could judge."""
    return replace(plain(check), outcome=SKIPPED, reason=why)


def share_result(check: Check, rows: int, wrong: int, examples: Sequence[str]) -> CheckResult:
    """The result of a check of a share of rows.

    Args:
        check: Its declaration.
        rows: Rows looked at.
        wrong: Of these, such as are wrong.
        examples: Where some of them are.
    """
    if rows < max(check.min_rows, 1):
        said = f"{rows:,} rows to look at, fewer than {check.min_rows:,}" if rows else "no rows"
        return replace(skipped(check, said), rows=rows, wrong=wrong)
    # Divided whole: both are rounded alike, so that 9 of 10 is at least 0.9.
    figure = (rows - wrong) / rows
    found = replace(plain(check), figure=figure, rows=rows, wrong=wrong)
    if figure >= check.at_least:
        return found
    noun = "1 row" if rows == 1 else f"{rows:,} rows"
    said = f"{wrong:,} of {noun} {_WRONG[check.kind][wrong != 1]}"
    return replace(judged(check, found), examples=tuple(examples), reason=said)


def judged(check: Check, found: CheckResult) -> CheckResult:
    """A result that is not as declared."""
    return replace(found, outcome=FAILED if check.severity == "fail" else WARNED)


def advice(check: Check, found: CheckResult) -> str:
    """What to do about a result that is not as declared; empty where there is nothing to do."""
    if not found.bad:
        return ""
    if check.kind == "fresh":
        return "look whether the source delivers, and whether what loads it runs"
    if check.kind == "row_count":
        return "look whether files or events of that day are missing, or were loaded twice"
    if check.kind in ("sql", "unique"):
        return "mend them at the source and load them again"
    mend = "load what they refer to" if check.kind == "refers" else "mend them at the source"
    share = floor((found.figure or 0) * 10_000) / 10_000
    return f"{mend}, or allow them: at_least={share:g}"


def figure_of(check: Check, found: CheckResult) -> str:
    """A result's figure as people read it; `-` where there is none."""
    if found.figure is None:
        return "-"
    if check.kind == "fresh":
        return age(timedelta(seconds=found.figure))
    if check.kind == "sql":
        return f"{found.figure:,.0f}"
    # Cut and not rounded: what is less than 1 must not look like it.
    return f"{floor(found.figure * 10_000) / 10_000:g}"


def bound_of(check: Check) -> str:
    """What a check is held against, in words."""
    if check.kind == "fresh":
        return f"at most {age(check.within)}"
    if check.kind == "row_count":
        return f"{check.least:g} to {check.most:g}"
    return "no row" if check.kind == "sql" else f"at least {check.at_least:g}"


def age(span: timedelta) -> str:
    """`2 d 3 h`, `45 min`, `12 s`: its two largest parts."""
    seconds = int(span.total_seconds())
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        parts += [f"{count:,} {unit}"] if count else []
    return " ".join(parts[:2]) or "0 s"


def plain(check: Check) -> CheckResult:
    """A result that is as declared, without figures."""
    return CheckResult(
        name=check.name,
        columns=check.columns,
        severity=check.severity,
        bound=bound_of(check),
        stops=check.stops,
    )
