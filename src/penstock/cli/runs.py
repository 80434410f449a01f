"""`penstock runs`: what was loaded, when, and what came of it. Not for: reading the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.answer import plain
from penstock.cli.connected import AsJson, changes_text, connected, iso, local, rows_text
from penstock.cli.database import Dsn
from penstock.cli.help import Command

if TYPE_CHECKING:
    from rich.text import Text

    from penstock.ledger.history import PastLoad, PastRun

RUNS_EXAMPLES = """
[bold]Examples[/bold]
  penstock runs                    the last 20
  penstock runs --limit 5 --json
  penstock runs show 3f2a91        the beginning of an id is enough
"""

_STYLES = {
    "succeeded": "green",
    "failed": "bold red",
    "interrupted": "bold yellow",
    "warned": "yellow",
}

runs_app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode="rich",
    epilog=RUNS_EXAMPLES,
    help="List the last runs, or show one: what was read, loaded and refused, and how.",
)


@runs_app.callback()
def runs(
    context: typer.Context,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="How many, the newest first.")
    ] = 20,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """List the last runs."""
    if context.invoked_subcommand is not None:
        return
    from penstock.ledger import history

    with connected(dsn, "list the runs") as (where, connection):
        found = history.runs(connection, limit)
    for past in found:
        _print(_lines_of_run(past))
    if not found:
        answer.say("There are no runs yet.")
    if as_json:
        answer.answer({"target": where.label, "runs": [_run_object(past) for past in found]})


@runs_app.command(cls=Command, epilog=RUNS_EXAMPLES)
def show(
    context: typer.Context,
    run_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            show_default=False,
            help="The beginning of the run's id, or of the id of one of its loads.",
        ),
    ],
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Show one run: each load's books, how it was carried out, and why rows were refused."""
    from penstock.ledger import checks, history

    given = context.parent.params if context.parent is not None else {}
    with connected(dsn or given.get("dsn"), "show the run") as (where, connection):
        past = history.run(connection, run_id)
        loads = history.loads(connection, past)
        kept = checks.of_run(connection, past.run_id, [load.load_id for load in loads])
    _print(_lines_of_run(past, whole=True))
    for load in loads:
        _print(_lines_of_load(load))
    for table, one in kept:
        answer.say(f"{table}: {one}", _STYLES.get(one.outcome, ""))
    if as_json or given.get("as_json"):
        from dataclasses import asdict

        found = [{"table": str(table), **asdict(one)} for table, one in kept]
        shown = {"loads": [_load_object(load) for load in loads], "checks": found}
        answer.answer({"target": where.label, "run": {**_run_object(past), **shown}})


def _print(lines: Iterator[tuple[int, Text]]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    out = answer.console()
    for indent, line in lines:
        if out.is_terminal:
            out.print(Padding(line, (0, 0, 0, indent), expand=False))
        else:
            out.print(Text(" " * indent).append_text(line))


def _lines_of_run(past: PastRun, *, whole: bool = False) -> Iterator[tuple[int, Text]]:
    from rich.text import Text

    yield (
        0,
        Text.assemble(
            (past.run_id if whole else past.run_id[:8], "bold"),
            f"  {local(past.started_at)}  ",
            (f"{past.status:<11}", _STYLES.get(past.status, "")),
            f"  {_seconds(past.seconds):>9}",
            "" if whole else f"  {plain(_what(past))}",
        ),
    )
    if past.kind == "flow":
        yield from _lines_of_flow(past, whole=whole)
        return
    counts = [f"{past.read:,} read", f"{past.inserted:,} inserted"]
    sides = ("updated", "unchanged", "ignored", "filtered")
    counts += [f"{count:,} {side}" for side in sides if (count := getattr(past, side))]
    counts += [f"{past.quarantined:,} quarantined"] if past.quarantined else []
    counts += [f"{past.deleted:,} deleted"] if past.deleted else []
    yield (10, Text(", ".join(counts), "yellow" if past.quarantined else "dim"))
    if whole:
        yield (10, Text(f"{plain(_what(past))} into {plain(past.target)}"))
        yield (10, Text(f"from {plain(past.host)}, process {past.process}, {past.version}", "dim"))
        if past.command:
            yield (10, Text(plain(past.command), "dim"))
    yield from _lines_of_error(past, whole=whole)


def _lines_of_flow(past: PastRun, *, whole: bool) -> Iterator[tuple[int, Text]]:
    """Its jobs; in the list, their sums."""
    from rich.text import Text

    counts = {name: sum(one[name] for one in past.jobs) for name in _SIDES}
    yield (10, Text(_counted(counts), "yellow" if counts["refused"] else "dim"))
    if whole:
        yield (10, Text(f"{plain(_what(past))} on {plain(past.target)}"))
        yield (10, Text(f"from {plain(past.host)}, process {past.process}, {past.version}", "dim"))
        for one in past.jobs:
            status = (f" {one['status']}", _STYLES.get(one["status"], ""))
            again = f", {one['attempts']} attempts" if one["attempts"] > 1 else ""
            yield (0, Text.assemble((plain(one["job"]), "bold"), status, again))
            yield (2, Text(plain(one["error"]), "red") if one["error"] else Text(_counted(one)))
    yield from _lines_of_error(past, whole=whole)


#: What a job books of its rows.
_SIDES = ("read", "loaded", "refused", "dropped")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(
        f"{counts[name]:,} {name}" for name in _SIDES if counts[name] or name != "dropped"
    )


def _lines_of_error(past: PastRun, *, whole: bool) -> Iterator[tuple[int, Text]]:
    from rich.text import Text

    if past.error:
        first, *more = past.error.split("\n")
        short = first if whole or len(first) <= _ERROR else f"{first[:_ERROR]}..."
        yield (10, Text(plain(short), "red"))
        if whole:
            yield from ((10, Text(plain(line), "red")) for line in more)


#: Characters of an error in the list.
_ERROR = 140
#: Tables that are named in the list.
_TABLES = 3


def _what(past: PastRun) -> str:
    if past.kind == "flow":
        return f"flow {past.command}"
    tables = list(dict.fromkeys(past.tables))  # rows that are tried again are loads of their own
    named = ", ".join(tables[:_TABLES])
    more = len(tables) - _TABLES
    return f"{past.kind} {named}{f' and {more} more' if more > 0 else ''}"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{seconds * 1000:,.0f} ms"


def _lines_of_load(load: PastLoad) -> Iterator[tuple[int, Text]]:
    from rich.text import Text

    counts = load.counts
    sides = ("inserted", "updated", "unchanged", "ignored", "filtered", "quarantined")
    equation = " + ".join(f"{counts[n]:,} {n}" for n in sides if counts[n] or n == "inserted")
    yield (
        0,
        Text.assemble(
            (plain(str(load.table)), "bold"),
            f" {load.mode}, ",
            (load.status, _STYLES.get(load.status, "")),
            "" if load.seconds is None else f", {_seconds(load.seconds)}",
            (f"  (load {load.load_id[:8]})", "dim"),
        ),
    )
    yield (2, Text(f"{counts['read']:,} read = {equation}"))
    for name in ("deleted", "inferred"):
        if counts[name]:
            yield (2, Text(f"{counts[name]:,} {name}"))
    if load.strategy:
        yield (2, Text(plain(load.strategy), "dim"))
    if load.changes:
        yield (2, Text(f"changed because it was asked for: {plain(changes_text(load.changes))}"))
    for source in load.sources:
        yield (2, Text(f"from {plain(source)}"))
    for skipped in load.skipped:
        yield (2, Text.assemble(("skipped: ", "cyan"), plain(skipped)))
    if load.error:
        yield (2, Text(plain(load.error.split("\n")[0]), "red"))
    for one in load.reasons:
        reason = f" {one.code}, {rows_text(one.rows)}: {plain(one.reason)}"
        yield (2, Text.assemble((plain(one.column) or "whole row", "bold yellow"), reason))
        where = f"line {one.line:,}" if one.line else f"record {one.record:,}"
        yield (6, Text(f"{plain(one.source)} {where}", "dim"))
    if load.reasons:
        command = f"penstock rejects list {load.table}"
        if load.status == "failed":
            command = f"penstock rejects export rejects.csv --load {load.load_id[:8]}"
        yield (2, Text(command, "bold"))


def _run_object(past: PastRun) -> dict[str, Any]:
    return {
        "run_id": past.run_id,
        "kind": past.kind,
        "command": past.command,
        "status": past.status,
        "started_at": iso(past.started_at),
        "finished_at": iso(past.finished_at),
        "seconds": round(past.seconds, 3),
        "target": past.target,
        "host": past.host,
        "process": past.process,
        "version": past.version,
        "tables": past.tables,
        "read": past.read,
        "inserted": past.inserted,
        "updated": past.updated,
        "unchanged": past.unchanged,
        "ignored": past.ignored,
        "filtered": past.filtered,
        "deleted": past.deleted,
        "quarantined": past.quarantined,
        "jobs": past.jobs,
        "error": past.error,
    }


def _load_object(load: PastLoad) -> dict[str, Any]:
    return {
        "load_id": load.load_id,
        "table": str(load.table),
        "mode": load.mode,
        "status": load.status,
        "sources": list(load.sources),
        "seconds": load.seconds,
        **load.counts,
        "changes": load.changes,
        "skipped": list(load.skipped),
        "strategy": load.strategy,
        "error": load.error,
        "reasons": [
            {
                "column": one.column,
                "code": one.code,
                "rows": one.rows,
                "reason": one.reason,
                "source": one.source,
                "line": one.line,
                "record": one.record,
            }
            for one in load.reasons
        ],
    }
