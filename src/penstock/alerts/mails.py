"""What a mail on a run says, as plain text and as HTML. Not for: when it is sent, nor to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from html import escape
from pathlib import Path

#: Bytes of an attachment at the most; a larger one is named instead.
MOST = 5_000_000
_XLSX = ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet")
_STYLE = "font-family:sans-serif;font-size:14px;color:#1b1b1b"
_CELL = "padding:4px 12px 4px 0;text-align:left;vertical-align:top;border-bottom:1px solid #ddd"


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
        ("Since", f"{failure.since:%Y-%m-%d %H:%M}, {failure.times} times"),
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
        reasons: The commonest reasons, each with how often.
        path: The file that holds them.
    """

    job: str
    table: str
    rows: int
    reasons: Sequence[tuple[str, int]]
    path: Path


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
            "correct the attached file (the columns that begin with _ stay as they are) "
            f"and put it into {folder}: the next run loads it",
        ),
    ]
    facts += [("Too large to attach", str(path)) for path in large]
    rows = [
        (one.job, one.table, f"{times:,}", reason)
        for one in refused
        for reason, times in one.reasons
    ]
    _write(message, f"{flow} ({environment})", facts, ("Job", "Table", "Rows", "Reason"), rows)
    for one in refused:
        if one.path not in large:
            kind, sub = _XLSX if one.path.suffix == ".xlsx" else ("text", "csv")
            message.add_attachment(
                one.path.read_bytes(), maintype=kind, subtype=sub, filename=one.path.name
            )


def _write(
    message: EmailMessage,
    title: str,
    facts: Sequence[tuple[str, str]],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> None:
    """Both forms of the body: a title, facts, and a table."""
    width = max(len(name) for name, _ in facts)
    widths = [max(len(row[n]) for row in (header, *rows)) for n in range(len(header))]
    lines = [title, "", *(f"{name:<{width}}  {text}" for name, text in facts), ""]
    lines += [
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    message.set_content("\n".join(lines) + "\n")
    told = "".join(
        f'<tr><th style="{_CELL};white-space:nowrap">{escape(name)}</th>'
        f'<td style="{_CELL}">{escape(text)}</td></tr>'
        for name, text in facts
    )
    head = "".join(f'<th style="{_CELL}">{escape(cell)}</th>' for cell in header)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    message.add_alternative(
        f'<html><body style="{_STYLE}"><h2>{escape(title)}</h2>'
        f'<table style="border-collapse:collapse">{told}</table><br>'
        f'<table style="border-collapse:collapse"><tr>{head}</tr>{body}</table></body></html>',
        subtype="html",
    )
