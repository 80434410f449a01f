"""`penstock ingest`: takes the events of files and APIs. Not for: how (`events`)."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson
from penstock.cli.project import Env, Folder

if TYPE_CHECKING:
    from penstock.events.taken import Taken

EXAMPLES = """
[bold]Examples[/bold]
  penstock ingest shop_events                   what is new in all of its sources
  penstock ingest shop_events --source drops -e prod
  penstock ingest shop_events --json

[bold]Exit status[/bold]
  0  all was taken, or nothing is new     2   no such project, pipeline or source
  1  something could not be taken; the    75  the database does not answer, or another
     rest was                                 process takes the same; try again
"""


def ingest(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="Declared in pipelines/.")],
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="NAME", show_default=False, help="This source only."),
    ] = None,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Take what is new of a pipeline's files and APIs into staging, once.

    Each content of a file and each delivery of an event counts once, however often
    it comes. What is interrupted goes on where it stopped when it is called again.
    """
    from penstock.events.intake import take
    from penstock.events.project import open_project

    found: dict[str, Taken] = {}
    with open_project(folder, env) as opened:
        named = opened.pipeline(pipeline)
        answer.say(f"{named.name}: {opened.postgres(named).where()}", "bold")
        for name, taken in take(opened, named, source):
            found[name] = taken
            answer.say(f"{name}: {_told(taken)}")
            for note in taken.notes:
                answer.say(f"  {note}", "yellow")
            for problem in taken.problems:
                answer.say(f"  {problem}", "red")
    if as_json:
        sources = {name: asdict(taken) for name, taken in found.items()}
        answer.answer({"pipeline": named.name, "sources": sources})
    failed = any(taken.problems for taken in found.values())
    busy = any(taken.busy for taken in found.values())
    raise typer.Exit(1 if failed else 75 if busy else 0)


def _told(taken: Taken) -> str:
    """`12 received, 10 new, 2 repeated; 1 file, 3 known already`."""
    said = f"{taken.received:,} received, {taken.staged:,} new, {taken.repeated:,} repeated"
    parts = []
    if taken.files:
        parts.append("1 file" if taken.files == 1 else f"{taken.files:,} files")
    if taken.pages:
        parts.append("1 page" if taken.pages == 1 else f"{taken.pages:,} pages")
    if taken.known:
        parts.append(f"{taken.known:,} known already")
    if taken.waiting:
        parts.append(f"{taken.waiting:,} not complete yet")
    return f"{said}; {', '.join(parts)}" if parts else said
