"""What came of a load, for people. Not for: errors (`answer`)."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from rich.padding import Padding
from rich.text import Text

from penstock.cli.answer import console, plain
from penstock.cli.connected import changes_text
from penstock.model.result import LoadResult, ReasonCount, Sample

#: The counts of the equation in its order, and how they look.
_COUNTS = {
    "inserted": "green",
    "updated": "green",
    "unchanged": "",
    "ignored": "",
    "filtered": "",
    "quarantined": "bold yellow",
}
_BESIDE = ("deleted", "inferred")
#: The numbers of `--json`, in its order.
_NUMBERS = (
    "read",
    "inserted",
    "updated",
    "unchanged",
    "deleted",
    "inferred",
    "ignored",
    "filtered",
    "quarantined",
)
#: Characters of a run's id that are shown; `penstock runs show` takes them.
_RUN = 8
#: Reasons of one table that are told one by one.
_REASONS = 12
#: Rows below which a pace would only tell what the start of a load takes.
_PACE = 10_000
#: Characters of a refused value that are shown.
_VALUE = 40


def as_object(result: LoadResult) -> dict[str, Any]:
    """The result as `--json` gives it."""
    return {
        "run_id": result.run_id,
        "load_id": result.load_id,
        "target": result.target,
        "table": result.table,
        "mode": result.mode,
        **{name: getattr(result, name) for name in _NUMBERS},
        "seconds": result.seconds,
        "strategy": result.strategy,
        "changes": dict(result.changes),
        "reasons": [_reason_object(reason) for reason in result.reasons],
        "skipped": list(result.skipped),
        "warnings": list(result.warnings),
        "dry_run": result.dry_run,
        "ddl": result.ddl,
        "waited": {one.name: getattr(result.waited, one.name) for one in fields(result.waited)},
    }


def _reason_object(reason: ReasonCount) -> dict[str, Any]:
    return {
        "column": reason.column,
        "code": reason.code,
        "rows": reason.rows,
        "samples": [sample._asdict() for sample in reason.samples],
    }


def report(results: Sequence[LoadResult], seconds: float, *, kept: bool) -> None:
    """Print what came of a load on stderr.

    Args:
        results: Of each table, in the order of loading.
        seconds: Of the whole load, for several tables.
        kept: True where refused rows are in the ledger.
    """
    out = console()
    for result in results:
        for indent, line in _lines(result, several=len(results) > 1):
            if out.is_terminal:
                out.print(Padding(line, (0, 0, 0, indent), expand=False))
            else:
                out.print(Text(" " * indent).append_text(line))
    for line in _ending(results, seconds, kept=kept):
        out.print(line)


#: A value in a reason.
_QUOTED = re.compile(r'"[^"]*"')


def _lines(result: LoadResult, *, several: bool) -> Iterator[tuple[int, Text]]:
    """The lines of one table, each with its indentation; its time where it is one of several."""
    for line in result.ddl.splitlines():
        yield 0, Text(plain(line), "dim" if line.lstrip().startswith("--") else "")
    yield 0, _balance(result)
    if result.waited:
        style = "yellow" if result.waited.waiting or result.waited.refused else "green"
        yield 2, Text(str(result.waited), style)
    if result.strategy:
        own = f"{_pace(result.read, result.seconds)}; " if several else ""
        yield 2, Text(own + plain(result.strategy), "dim")
    if result.changes:
        yield 2, Text(f"changed because you said so: {plain(changes_text(result.changes))}")
    for warning in result.warnings:
        yield 2, Text.assemble(("note: ", "cyan"), plain(warning))
    for skipped in result.skipped:
        yield 2, Text.assemble(("skipped: ", "cyan"), f"{plain(skipped)}; --again loads it")
    for reason in result.reasons[:_REASONS]:
        yield from reason_lines(reason)
    more = result.reasons[_REASONS:]
    if more:
        yield 2, Text(f"and {len(more)} more reasons, each in fewer rows: penstock rejects list")


def _balance(result: LoadResult) -> Text:
    line = Text.assemble((plain(result.table), "bold"), f": {result.read:,} read")
    for name, style in _COUNTS.items():
        count = getattr(result, name)
        if count or name == "inserted":
            line.append(", ").append(f"{count:,} {name}", style if count else "")
    beside = [f"{getattr(result, n):,} {n}" for n in _BESIDE if getattr(result, n)]
    if beside:
        line.append(f" ({', '.join(beside)})")
    return line


def reason_lines(reason: ReasonCount) -> Iterator[tuple[int, Text]]:
    """One reason why rows are refused, with its samples: lines with their indentation."""
    where = plain(reason.column) or "whole row"
    text = plain(reason.samples[0].reason) if reason.samples else ""
    rows = "1 row" if reason.rows == 1 else f"{reason.rows:,} rows"
    yield 2, Text.assemble((where, "bold yellow"), f" {reason.code}, {rows}: ", text)
    for sample in reason.samples:
        place = plain(sample.place)
        told = place if sample.value is None else f"{place}: {_short(sample.value)}"
        same = _shape(sample) == _shape(reason.samples[0])
        yield 6, Text(told if same else f"{told}: {plain(sample.reason)}", "dim")
    if reason.rows > len(reason.samples) > 0:
        yield 6, Text(f"and {reason.rows - len(reason.samples):,} more", "dim")


def _shape(sample: Sample) -> str:
    """A reason without the value that it is about."""
    reason, value = sample.reason, sample.value
    return _QUOTED.sub("", reason.replace(value, "") if value else reason)


def _short(value: str) -> str:
    shown = plain(value[: _VALUE + 1])
    return f'"{shown}"' if len(shown) <= _VALUE else f'"{shown[:_VALUE]}..."'


def _pace(rows: int, seconds: float) -> str:
    took = f"{seconds:,.1f} s" if seconds >= 1 else f"{seconds * 1000:,.0f} ms"
    return f"{took}, {rows / seconds:,.0f} rows/s" if rows >= _PACE and seconds else took


def _ending(results: Sequence[LoadResult], seconds: float, *, kept: bool) -> Iterator[Text]:
    read = sum(result.read for result in results)
    took = results[0].seconds if len(results) == 1 else seconds
    line = Text(_pace(read, took))
    if len(results) > 1:
        tables = len({result.table for result in results})
        what = f"{tables} tables" if tables > 1 else f"{len(results)} loads"
        line = Text(f"{what}, {read:,} rows, ").append(line)
    if results[0].run_id:
        line.append(f", run {results[0].run_id[:_RUN]}")
    line.stylize("dim")
    yield line
    if any(result.dry_run for result in results):
        if all(result.skipped and not result.read for result in results):
            yield Text("Dry run: there was nothing to load.", "bold")
            return
        yield Text("Dry run: it was rolled back, nothing was changed.", "bold")
        return
    waiting = sum(result.quarantined + result.waited.refused for result in results)
    if not waiting:
        return
    rows = "1 row" if waiting == 1 else f"{waiting:,} rows"
    if not kept:
        yield Text(f"{rows} refused, and kept nowhere: without --no-ledger they would wait.")
        return
    yield Text(f"{rows} {'waits' if waiting == 1 else 'wait'} in quarantine. Next:")
    refusing = [one.table for one in results if one.quarantined or one.waited.refused]
    table = f" {shlex.quote(plain(refusing[0]))}" if len(refusing) == 1 else ""
    yield Text(f"  penstock rejects list{table}", "bold")
    yield Text(f"  penstock rejects export rejects.csv{table}", "bold")
