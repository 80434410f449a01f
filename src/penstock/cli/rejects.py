"""`penstock rejects`: what was refused, why, and what becomes of it. Not for: loading it again."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson, connected, rows_text, table_named, who
from penstock.cli.database import Dsn
from penstock.cli.help import Command
from penstock.errors import UsageError

if TYPE_CHECKING:
    import psycopg

    from penstock.ledger.quarantine import Layout, Selection

rejects_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Rows that were refused: list, show, export, replay, discard, purge.",
)

LIST_EXAMPLES = """
[bold]Examples[/bold]
  penstock rejects list
  penstock rejects list fact_sales --status all
  penstock rejects list --run 3f2a91
  penstock rejects list --json
"""
SHOW_EXAMPLES = """
[bold]Examples[/bold]
  penstock rejects show 17
  penstock rejects show 17 18 --json
"""
EXPORT_EXAMPLES = """
[bold]Examples[/bold]
  penstock rejects export rejects.csv
  penstock rejects export sales.xlsx fact_sales --code 23503
  penstock rejects export failed.csv --load 3f2a91

The first columns say which row and why, the others are the row as it came.
A field that a spreadsheet would run as a formula begins with an apostrophe.
"""
DISCARD_EXAMPLES = """
[bold]Examples[/bold]
  penstock rejects discard --id 17 --id 18 --note "test orders"
  penstock rejects discard fact_sales --code 23503 --note "closed shops" --yes
"""
PURGE_EXAMPLES = """
[bold]Examples[/bold]
  penstock rejects purge
  penstock rejects purge --days 365 --json
"""

Ids = Annotated[
    list[str] | None,
    typer.Option(
        "--id", metavar="N", show_default=False, help="These rows: --id 17 --id 18, or --id 17,18."
    ),
]
Code = Annotated[
    str | None,
    typer.Option("--code", metavar="CODE", show_default=False, help="Refused with this code."),
]
Column = Annotated[
    str | None,
    typer.Option(
        "--column", metavar="COLUMN", show_default=False, help="Refused because of this column."
    ),
]
Load = Annotated[
    str | None,
    typer.Option(
        "--load",
        metavar="ID",
        show_default=False,
        help="Met by this load, or by this run (the beginning of the id is enough).",
    ),
]
TableName = Annotated[
    str | None, typer.Argument(metavar="[TABLE]", show_default=False, help="Only of this table.")
]
_STATUS_HELP = "waiting, replayed, resolved, discarded, void (of failed loads), or all."


@rejects_app.command("list", cls=Command, epilog=LIST_EXAMPLES)
def list_rejects(
    table: TableName = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="ID",
            show_default=False,
            help="Met by this run, or by this load (the beginning of the id is enough).",
        ),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            show_default=False,
            help=f"{_STATUS_HELP} Default: waiting; with --run, all.",
        ),
    ] = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """List what was refused and why: by table, column and code, with a sample."""
    from penstock.cli.refused import group_object, print_groups
    from penstock.ledger.quarantine import groups, loads_of

    named = status or ("all" if run else "waiting")
    statuses = _statuses(named)
    with connected(dsn, "list the rejects") as (where, connection):
        loads = loads_of(connection, run) if run else None
        found = groups(connection, table_named(connection, table), statuses, loads)
    print_groups(found)
    if not found:
        what = "is refused" if named == "all" else f"is {named}"
        answer.say(f"No row {'waits' if named == 'waiting' else what}.")
    elif run or named == "waiting":
        chosen = (f" {shlex.quote(table)}" if table else "") + (f" --load {run}" if run else "")
        answer.say(f"Next: penstock rejects export rejects.csv{chosen}")
    if as_json:
        answer.answer({"target": where.label, "groups": [group_object(one) for one in found]})


@rejects_app.command(cls=Command, epilog=SHOW_EXAMPLES)
def show(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", show_default=False, help="Numbers of rejects.")
    ],
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Show refused rows whole: where they came from, every reason, every value."""
    from penstock.cli.refused import print_reject, reject_object
    from penstock.ledger.quarantine import Selection, find

    wanted = _ids(ids) or ()
    with connected(dsn, "show the rejects") as (where, connection):
        found = find(connection, Selection(ids=wanted, statuses=None))
    missing = sorted(set(wanted) - {one.reject_id for one in found})
    if missing:
        raise UsageError(
            f"There is no reject {', '.join(map(str, missing))}: penstock rejects list."
        )
    for one in found:
        print_reject(one)
    if as_json:
        answer.answer({"target": where.label, "rejects": [reject_object(one) for one in found]})


@rejects_app.command(cls=Command, epilog=EXPORT_EXAMPLES)
def export(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", show_default=False, help="A .csv or .xlsx to write.")
    ],
    table: TableName = None,
    ids: Ids = None,
    load: Load = None,
    code: Code = None,
    column: Column = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            show_default=False,
            help=f"{_STATUS_HELP} Default: waiting; with --id or --load, all.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file where it is there already.")
    ] = False,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Export refused rows, one line each, to be corrected and loaded again."""
    from penstock.ledger.quarantine import layouts, number_waiting
    from penstock.loading.export import check_path, export_rejects

    check_path(file)
    if file.exists() and not overwrite:
        raise UsageError(f"{file} is there already: choose another name, or pass --overwrite.")
    with connected(dsn, "export the rejects") as (where, connection):
        what = selection(connection, table, ids, load, code=code, column=column, status=status)
        rows = export_rejects(connection, file, what)
        kinds = layouts(connection, what)
        waits = number_waiting(connection, what)
    answer.say(f"{rows_text(rows)} written to {file}.")
    if waits:
        words = shlex.join(("penstock", "rejects", "replay", str(file)))
        answer.say(f"Correct it, then load it again: {words}")
    elif kinds:
        answer.say(_way_back(file, kinds))
    if as_json:
        answer.answer({"target": where.label, "file": str(file), "rows": rows})


@rejects_app.command(cls=Command, epilog=DISCARD_EXAMPLES)
def discard(
    table: TableName = None,
    ids: Ids = None,
    load: Load = None,
    code: Code = None,
    column: Column = None,
    note: Annotated[
        str, typer.Option("--note", metavar="TEXT", show_default=False, help="Why; it is kept.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Discard waiting rows: they stay in the ledger, closed, with your name and note."""
    from penstock.ledger import quarantine

    if not (table or ids or load):
        raise UsageError("Say which rows: --id N, a TABLE (with --code or --column), or --load ID.")
    with connected(dsn, "discard the rejects") as (where, connection):
        what = selection(connection, table, ids, load, code=code, column=column, status="waiting")
        waiting = quarantine.number(connection, what)
        if waiting and not yes:
            _confirm(waiting)
        rows = quarantine.discard(connection, what, note=note, who=who())
    answer.say(f"{rows_text(rows)} discarded." if rows else "No such row waits.")
    if as_json:
        answer.answer({"target": where.label, "discarded": rows})


@rejects_app.command(cls=Command, epilog=PURGE_EXAMPLES)
def purge(
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=0, help="Keep what was closed since.")
    ] = 90,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Delete rejects that were closed long ago; what waits is never deleted.

    Rows of loads that failed count from the day of the load. Results of quality
    checks that are as old go with them. Only the ledger's owner may delete.
    """
    from penstock.ledger import checks, quarantine

    with connected(dsn, "purge the rejects") as (where, connection):
        rows = quarantine.purge(connection, days)
        results = checks.purge(connection, days)
    answer.say(f"{rows_text(rows)} purged.")
    if results:
        answer.say(f"{results:,} results of quality checks purged.")
    if as_json:
        found = {"purged": rows, "checks": results, "days": days}
        answer.answer({"target": where.label, **found})


def _way_back(file: Path, kinds: Sequence[Layout]) -> str:
    """How an export becomes a load."""
    tables = sorted({str(one.table) for one in kinds})
    if len(tables) > 1:
        return "A file for each table can be loaded again: penstock rejects export FILE TABLE"
    if any(one.names is None for one in kinds):
        return "What could not be split stands in _raw: correct that in the input."
    save = "" if file.suffix.lower() == ".csv" else ", save it as .csv"
    words = ("penstock", "load", str(file.with_suffix(".csv")), tables[0])
    return f"Correct it{save}, then load it again: {shlex.join(words)}"


def selection(
    connection: psycopg.Connection[Any],
    table: str | None,
    ids: Sequence[str] | None,
    load: str | None,
    *,
    code: str | None,
    column: str | None,
    status: str | None,
) -> Selection:
    """Which rejects the options mean."""
    from penstock.ledger.quarantine import Selection, loads_of

    named = status or ("all" if ids or load else "waiting")
    return Selection(
        ids=_ids(ids),
        table=table_named(connection, table),
        loads=loads_of(connection, load) if load else None,
        column=column,
        code=code,
        statuses=_statuses(named),
    )


def _ids(words: Sequence[str] | None) -> tuple[int, ...] | None:
    if not words:
        return None
    numbers = [part.strip().removeprefix("#") for word in words for part in word.split(",")]
    wrong = [number for number in numbers if not (number.isascii() and number.isdigit())]
    if wrong:
        raise UsageError(f'"{wrong[0]}" is not the number of a reject: see penstock rejects list.')
    return tuple(int(number) for number in numbers)


def _statuses(text: str) -> tuple[str, ...] | None:
    from penstock.ledger.quarantine import STATUSES

    if text == "all":
        return None
    names = tuple(name.strip() for name in text.split(","))
    wrong = [name for name in names if name not in STATUSES]
    if wrong:
        known = ", ".join((*STATUSES, "all"))
        raise UsageError(f'--status: "{wrong[0]}" is not one of {known}.')
    return names


def _confirm(rows: int) -> None:
    """Ask on a terminal; a script must say --yes.

    Raises:
        UsageError: Nobody is there to be asked.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"{rows_text(rows)} would be discarded: pass --yes to do it unasked.")
    try:
        yes = typer.confirm(f"Discard {rows_text(rows)}?", err=True)
    except typer.Abort:  # Ctrl-C or Ctrl-D at the question
        raise KeyboardInterrupt from None
    if not yes:
        answer.say("Nothing was changed.")
        raise typer.Exit(1)
