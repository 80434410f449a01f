"""`penstock archive`: raw events for ever, outside the database. Not for: how (`events`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson
from penstock.cli.help import Command, Group
from penstock.cli.project import Env, Folder

archive_app = typer.Typer(
    cls=Group, no_args_is_help=True, help="The archive of raw events: write it, verify it."
)
WRITE_EXAMPLES = """
[bold]Examples[/bold]
  penstock archive write shop_events           hours that are over; call it once an hour
  penstock archive write shop_events --now -e prod

[bold]Exit status[/bold]
  0  done, or nothing is new     75  the database or another process is in the way;
  1  the archive cannot be           try again
     written                      2  no such project or pipeline, or no archive
"""
VERIFY_EXAMPLES = """
[bold]Examples[/bold]
  penstock archive verify shop_events --json

[bold]Exit status[/bold]
  0  every file is as it was written  1  something is wrong, and is told
"""
Named = Annotated[str, typer.Argument(metavar="PIPELINE", help="Declared in pipelines/.")]


@archive_app.command("write", cls=Command, epilog=WRITE_EXAMPLES)
def write(
    pipeline: Named,
    now: Annotated[
        bool, typer.Option("--now", help="Everything so far, not only hours that are over.")
    ] = False,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Write what was received into the pipeline's archive, and read it back.

    A file for each source and hour, with a manifest beside it. What is interrupted
    goes on when it is called again; nothing is in the archive twice.
    """
    from dataclasses import asdict

    from penstock.events.archive import place_of, write_archive
    from penstock.events.project import open_project, ready

    with open_project(folder, env) as opened:
        found = opened.pipeline(pipeline)
        place = place_of(found, opened.connectors, opened.env.folder)
        answer.say(f"{found.name}: {opened.postgres(found).where()} -> {place.where()}", "bold")
        dsn = opened.dsn(found)
        ready(dsn)
        done = write_archive(dsn, found, opened.connectors, opened.env.folder, now=now)
    files = "1 file" if done.files == 1 else f"{done.files:,} files"
    answer.say(f"{done.events:,} events archived in {files}; {done.waiting:,} in staging only")
    if as_json:
        answer.answer({"pipeline": found.name, **asdict(done)})


@archive_app.command("verify", cls=Command, epilog=VERIFY_EXAMPLES)
def verify(
    pipeline: Named, env: Env = None, folder: Folder = Path(), as_json: AsJson = False
) -> None:
    """Read every file of the archive back, and compare it with its manifest and the ledger."""
    from dataclasses import asdict

    from penstock.events.archive import place_of
    from penstock.events.project import open_project, ready
    from penstock.events.verifying import verify_archive

    with open_project(folder, env) as opened:
        found = opened.pipeline(pipeline)
        place = place_of(found, opened.connectors, opened.env.folder)
        answer.say(f"{found.name}: {opened.postgres(found).where()}, {place.where()}", "bold")
        dsn = opened.dsn(found)
        ready(dsn)
        done = verify_archive(dsn, found, opened.connectors, opened.env.folder)
    files = "1 file" if done.files == 1 else f"{done.files:,} files"
    answer.say(f"{done.events:,} events in {files}; {done.waiting:,} in staging only")
    for said in done.problems:
        answer.say(said, "red")
    if as_json:
        answer.answer({"pipeline": found.name, **asdict(done)})
    raise typer.Exit(1 if done.problems else 0)
