"""`penstock replay`: events once more through today's transform. Not for: rejects of loads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson, rows_text
from penstock.cli.project import Env, Folder
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.events.replay import Change, Difference
    from penstock.events.restoring import Restored

EXAMPLES = """
[bold]Examples[/bold]
  penstock replay shop_events --dry-run                  what it would change
  penstock replay shop_events --since 2026-11-01 --source partner
  penstock replay shop_events --from archive --until 2026-03-01    what left staging too
  penstock replay shop_events && penstock work shop_events --processes 4 --once

[bold]Exit status[/bold]
  0  done  3  --dry-run: events would fail
"""


def replay(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="Declared in pipelines/.")],
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", show_default=False, help="Received then or later."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", show_default=False, help="Received before."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="NAME", show_default=False, help="Of this source only."),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            "--from", metavar="staging|archive", help="archive: bring back what left staging."
        ),
    ] = "staging",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it would change; change nothing.")
    ] = False,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Put what was received through today's transform once more.

    The events are queued for the workers (penstock work). Rows that come out as
    the target has them are not touched; newer versions stay. What comes back from
    the archive leaves staging again by the next penstock events purge.
    """
    from penstock.events import replay as replays
    from penstock.events.project import open_project, ready
    from penstock.events.replay import Span
    from penstock.events.restoring import Restored, restore
    from penstock.events.worker import loading_engine
    from penstock.postgres.connection import connect

    if start not in ("staging", "archive"):
        raise UsageError(f'--from: "{start}" is neither staging nor archive')
    if dry_run and start == "archive":
        raise UsageError("--dry-run looks at what is in staging: leave out --from archive")
    with open_project(folder, env) as opened:
        found = opened.pipeline(pipeline)
        if source is not None:
            found.source(source)
        span = Span(source=source, since=_moment(since), until=_moment(until))
        dsn = opened.dsn(found)
        ready(dsn)
        with connect(dsn) as control:
            if not dry_run:
                batches = replays.enqueue(control, found, span)
                restored = Restored()
                if start == "archive":
                    restored = restore(dsn, found, opened.connectors, opened.env.folder, span)
                left = replays.not_staged(control, found, span)
                _show_queued(found.name, batches, restored, left, start)
                if as_json:
                    answer.answer(
                        {
                            "pipeline": found.name,
                            "batches": batches + restored.batches,
                            "restored": restored.events,
                            "not_staged": left,
                        }
                    )
                return
            with loading_engine(dsn) as engine:
                would = replays.difference(control, engine, found, span, key=opened.key)
    _show(would)
    if as_json:
        from dataclasses import asdict

        answer.answer({"pipeline": found.name, "dry_run": True, **asdict(would)})
    raise typer.Exit(3 if would.failed else 0)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f'"{text}" is no time: write 2026-11-01 or 2026-11-01T06:00:00+01:00 (UTC where no '
            "offset is given)"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _show_queued(name: str, batches: int, restored: Restored, left: int, start: str) -> None:
    if restored.events:
        files = "1 file" if restored.files == 1 else f"{restored.files:,} files"
        answer.say(f"{restored.events:,} events came back from {files} of the archive.")
    batches += restored.batches
    wait = "1 batch waits" if batches == 1 else f"{batches:,} batches wait"
    answer.say(f"{name}: {wait} for workers (penstock work).")
    if left:
        advice = "--from archive brings them back" if start == "staging" else "nor in the archive"
        answer.say(f"{left:,} events are not in staging any more: {advice}.", "yellow")


def _show(would: Difference) -> None:
    events = "1 event" if would.events == 1 else f"{would.events:,} events"
    answer.say(
        f"{events}: {rows_text(would.added)} would be added, {would.changed:,} changed, "
        f"{would.removed:,} removed; {would.unchanged:,} stay as they are."
    )
    if would.dropped:
        answer.say(f"{would.dropped:,} events make no row.")
    for reason, count in sorted(would.reasons.items(), key=lambda one: -one[1])[:8]:
        answer.say(f"{count:,} would fail: {reason}", "yellow")
    for one in would.samples:
        answer.say(_sample(one), "dim")


def _sample(one: Change) -> str:
    key = ", ".join(f"{name} {value}" for name, value in one.key.items())
    if one.before is None:
        return f"  + {key}"
    if one.after is None:
        return f"  - {key}"
    changes = (f"{name}: {old!r} -> {one.after[name]!r}" for name, old in one.before.items())
    return f"  ~ {key}: {', '.join(changes)}"
