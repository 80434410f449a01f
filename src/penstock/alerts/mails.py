"""What a mail on a run says, as plain text and as HTML. Not for: when it is sent, nor to whom."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from html import escape
from pathlib import Path

#: Bytes of an attachment at the most; a larger one is named instead.
MOST = 5_000_000
#: Reasons of a table that a mail tells; of the others it says how many they are.
_REASONS = 5
_XLSX = ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet")
#: Columns of numbers.
_COUNTS = ("Rows", "Read", "Loaded", "Refused")
#: Characters of a line of the plain form.
_LINE = 78
_STYLE = "font:14px/1.45 Arial,Helvetica,sans-serif;color:#1f2933"
_TITLE = "font-size:19px;font-weight:bold;border-left:4px solid #b45309;padding:2px 0 2px 12px"
_TABLE = "border-collapse:collapse;width:100%;margin-top:14px;font-size:14px"
_WRAP = "vertical-align:top;text-align:left;word-break:break-word;overflow-wrap:anywhere"
_NAME = f"{_WRAP};padding:4px 14px 4px 0;color:#616e7c;white-space:nowrap;overflow-wrap:normal"
_FACT = f"{_WRAP};padding:4px 0;width:100%"
_HEAD = (
    "text-align:left;vertical-align:bottom;padding:6px 8px;background:#f1f3f5;color:#3e4c59;"
    "font-size:12px;white-space:nowrap"
)
_PART = f"{_WRAP};padding:12px 8px 4px;font-weight:bold"
_CELL = f"{_WRAP};padding:6px 8px;border-bottom:1px solid #dfe3e8"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One job of a run, for a table.

    Attributes:
        job: Its name.
        status: What became of it.
        extracted: Rows read.
        loaded: Rows that its loads took.
        rejected: Rows that they refused.
        error: Why it failed or was skipped.
    """

    job: str
    status: str
    extracted: int
    loaded: int
    rejected: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that failed.

    Attributes:
        flow: Project and main.
        environment: `dev`, `test` or `prod`.
        run_id: The run.
        cause: In one line.
        since: When this problem came first.
        times: How often it came.
        last_success: When the flow succeeded last; None: never.
        jobs: All of the run.
        rerun: The command that runs it again.
    """

    flow: str
    environment: str
    run_id: str
    cause: str
    since: datetime
    times: int
    last_success: datetime | None
    jobs: Sequence[JobLine]
    rerun: str


def write_failure(message: EmailMessage, failure: Failure) -> None:
    """Give a message the body that tells a failure."""
    skipped = [one.job for one in failure.jobs if one.status == "skipped"]
    last = "never" if failure.last_success is None else f"{failure.last_success:%Y-%m-%d %H:%M}"
    facts = [
        ("What", failure.cause),
        ("Since", f"{failure.since:%Y-%m-%d %H:%M}, {_times(failure.times)}"),
        ("Effect", f"not done: {', '.join(skipped)}" if skipped else "no other job was skipped"),
        ("Last success", last),
        ("Run again", failure.rerun),
        ("Run", failure.run_id),
    ]
    rows = [
        (one.job, one.status, f"{one.extracted:,}", f"{one.loaded:,}", f"{one.rejected:,}")
        for one in failure.jobs
    ]
    header = ("Job", "Outcome", "Read", "Loaded", "Refused")
    _write(message, f"{failure.flow} failed in {failure.environment}", facts, header, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Rows that were refused, of one job and table.

    Attributes:
        job: Which job.
        table: Which table refused them.
        rows: How many.
        reasons: The reasons, commonest first, each with how often; all of them.
        path: The file that holds them.
        unlinked: References of these rows that a link left out with them.
    """

    job: str
    table: str
    rows: int
    reasons: Sequence[tuple[str, int]]
    path: Path
    unlinked: int = 0


#: Of rows that were refused before a link could set what they refer to.
_UNLINKED = (
    "references of these rows are not in the file: they are set when the rows come again in the "
    "source"
)


def write_refused(
    message: EmailMessage, flow: str, environment: str, refused: Sequence[Refused], folder: str
) -> None:
    """Give a message the body that tells refused rows, with their files.

    Args:
        message: To fill.
        flow: Project and main.
        environment: Its name.
        refused: What was refused.
        folder: Where a corrected file is to be put.
    """
    total = sum(one.rows for one in refused)
    noun = "row was" if total == 1 else "rows were"
    large = [one.path for one in refused if one.path.stat().st_size > MOST]
    facts = [
        ("What", f"{total:,} {noun} refused, the others were loaded"),
        (
            "What to do",
            "correct what is attached (columns that begin with _ stay as they are) and put it "
            f"into {folder}: the next run loads it",
        ),
    ]
    if attached := [one.path.name for one in refused if one.path not in large]:
        facts.append(("Attached", ", ".join(attached)))
    facts += [("Too large to attach", str(path)) for path in large]
    rows: list[tuple[str, ...]] = []
    for one in refused:
        rows.append((_place(one),))
        rows += [(f"{times:,}", reason) for reason, times in one.reasons[:_REASONS]]
        rows += [("", _others(one))] if len(one.reasons) > _REASONS else []
        rows += [(f"{one.unlinked:,}", _UNLINKED)] if one.unlinked else []
    _write(message, f"{flow} ({environment})", facts, ("Rows", "Reason"), rows)
    for one in refused:
        if one.path not in large:
            kind, sub = _XLSX if one.path.suffix == ".xlsx" else ("text", "csv")
            message.add_attachment(
                one.path.read_bytes(), maintype=kind, subtype=sub, filename=one.path.name
            )


def _others(one: Refused) -> str:
    """What a mail does not tell of the reasons; a row with several is counted for each."""
    rest = one.reasons[_REASONS:]
    reasons = "1 other reason" if len(rest) == 1 else f"{len(rest):,} other reasons"
    if sum(times for _, times in one.reasons) != one.rows:
        return f"and {reasons}"
    rows = sum(times for _, times in rest)
    return f"and {rows:,} more {'row' if rows == 1 else 'rows'}, for {reasons}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _place(one: Refused) -> str:
    if one.table in (one.job, ""):
        return one.job
    return f"{one.job}, {one.table}"


def _write(
    message: EmailMessage,
    title: str,
    facts: Sequence[tuple[str, str]],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> None:
    """Both forms of the body: a title, facts, and a table; a row of one cell heads the next."""
    width = max(len(name) for name, _ in facts)
    lines = [title, "=" * len(title), ""]
    for name, text in facts:
        lines += _beside(f"{name:<{width}}  ", text)
    lines += ["", *_table_as_text(header, rows)]
    message.set_content("\n".join(line.rstrip() for line in lines) + "\n")
    told = "".join(
        f'<tr><td style="{_NAME}">{escape(name)}</td><td style="{_FACT}">{escape(text)}</td></tr>'
        for name, text in facts
    )
    message.add_alternative(
        f'<html><body style="margin:0;padding:16px;{_STYLE}"><div style="max-width:600px">'
        f'<div style="{_TITLE}">{escape(title)}</div>'
        f'<table style="{_TABLE}">{told}</table>'
        f'<table style="{_TABLE};margin-top:20px">{_table_as_html(header, rows)}</table>'
        "</div></body></html>",
        subtype="html",
    )


def _table_as_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    whole = [header, *(row for row in rows if len(row) > 1)]
    widths = [max(len(row[n]) for row in whole) for n in range(len(header))]
    rule = [*("-" * wide for wide in widths[:-1]), "-" * len(header[-1])]
    lines: list[str] = []
    for row in (header, rule, *rows):
        if len(row) == 1:
            lines += ["", row[0]]
            continue
        cells = [
            f"{cell:>{wide}}" if name in _COUNTS else f"{cell:<{wide}}"
            for name, cell, wide in zip(header, row, widths, strict=True)
        ]
        lines += _beside("".join(f"{cell}  " for cell in cells[:-1]), cells[-1].rstrip())
    return lines


def _table_as_html(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    said = "".join(f'<th style="{_HEAD}{_side(name)}">{escape(name)}</th>' for name in header)
    lines = [said]
    for row in rows:
        if len(row) == 1:
            lines.append(f'<td colspan="{len(header)}" style="{_PART}">{escape(row[0])}</td>')
            continue
        lines.append(
            "".join(
                f'<td style="{_CELL}{_side(name)}">{escape(cell)}</td>'
                for name, cell in zip(header, row, strict=True)
            )
        )
    return "".join(f"<tr>{line}</tr>" for line in lines)


def _beside(begin: str, text: str) -> list[str]:
    """A text behind its beginning, broken into lines that fit where the beginning leaves room."""
    room = max(_LINE - len(begin), _LINE // 2)
    parts = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    return [begin + parts[0], *(" " * len(begin) + part for part in parts[1:])]


def _side(name: str) -> str:
    return ";text-align:right;white-space:nowrap" if name in _COUNTS else ""
