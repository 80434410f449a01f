"""`penstock work`: workers of event pipelines. Not for: what they do (`events`)."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson
from penstock.cli.project import Env, Folder
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.events.worker import Worked

EXAMPLES = """
[bold]Examples[/bold]
  penstock work shop_events                    until it is told to stop (Ctrl-C)
  penstock work shop_events --processes 4 -e prod
  penstock work shop_events billing            both in turn: neither keeps the other waiting
  penstock work --all                          all that the project declares
  penstock work shop_events --once --json      until nothing waits; for schedules and tests

[bold]Exit status[/bold]
  0   done, or stopped when told     3   done, and events failed (penstock events list)
  1   it cannot work at all          75  batches were given back: they are tried again later
"""


def work(
    named: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PIPELINE...]", show_default=False, help="Declared in pipelines/."),
    ] = None,
    processes: Annotated[
        int, typer.Option("--processes", "-n", min=1, max=64, help="Workers side by side.")
    ] = 1,
    once: Annotated[
        bool, typer.Option("--once", help="End when nothing waits that is due.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="All pipelines of the project.")] = False,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Work on what waits in staging: transform it, and load it into the target.

    What a worker has begun when it is told to stop is finished; a second Ctrl-C
    ends it at once, and another worker does it again. Each process works on all
    pipelines that are named, in turn, a batch each.
    """
    from penstock.events.crew import Crew, Order
    from penstock.events.project import open_project, ready

    with open_project(folder, env) as opened:
        if every == bool(named):
            raise UsageError("Which pipelines? Name them, or say --all.")
        found = [opened.pipeline(one) for one in named or opened.pipelines]
        if not found:
            raise UsageError(f"{opened.env.folder}/pipelines declares no pipeline")
        pipelines = {one.name: opened.dsn(one) for one in found}
        for one in found:
            opened.check_key(one.sources)
        for dsn in dict.fromkeys(pipelines.values()):
            ready(dsn)
        order = Order(
            folder=opened.env.folder, env=env, pipelines=pipelines, processes=processes, once=once
        )
    names = ", ".join(pipelines)
    answer.say(f"{names}: {processes} {'worker' if processes == 1 else 'workers'}")
    crew = Crew(order, _tell)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: crew.stop())
    worked = crew.run()
    if crew.error is not None:
        code, said = crew.error
        raise typer.Exit(answer.fail(said, code, as_json=as_json))
    if not worked.batches:
        answer.say(_told(worked))  # else it was said when it was done
    if as_json:
        answer.answer(
            {
                "pipelines": [*pipelines],
                "events": worked.events,
                "loaded": worked.loaded,
                "unchanged": worked.unchanged,
                "dropped": worked.dropped,
                "older": worked.older,
                "failed": worked.failed,
                "batches": worked.batches,
                "restarts": crew.restarts,
                "troubles": worked.troubles,
            }
        )
    raise typer.Exit(3 if worked.failed else 75 if once and worked.troubles else 0)


def _tell(worked: Worked, what: str) -> None:
    if what:
        answer.say(what, "yellow")
    else:
        answer.say(_told(worked))
        for said in worked.troubles[-1:]:
            answer.say(said, "yellow")


def _told(worked: Worked) -> str:
    events = "1 event" if worked.events == 1 else f"{worked.events:,} events"
    rows = "1 row" if worked.loaded == 1 else f"{worked.loaded:,} rows"
    parts = [events, f"{rows} written"]
    for name in ("unchanged", "dropped", "older", "failed"):
        count = getattr(worked, name)
        if count:
            parts.append(f"{count:,} {name}")
    return ", ".join(parts)
