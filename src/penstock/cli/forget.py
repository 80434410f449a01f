"""`penstock forget`: removes a person's events, and proves it. Not for: how (`events`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson
from penstock.cli.project import Env, Folder

if TYPE_CHECKING:
    from penstock.events.personal import Counts

EXAMPLES = """
[bold]Examples[/bold]
  penstock forget shop_events --where user.id 4711 -e prod

[bold]Exit status[/bold]
  0   nothing is left of them            2   no such project or pipeline
  1   something is left, or must be      75  the database or another process is in the way;
      looked at by somebody                  try again
"""
#: Events that are named.
_NAMED = 5


def forget(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="Declared in pipelines/.")],
    where: Annotated[
        tuple[str, str],
        typer.Option("--where", metavar="PATH VALUE", help="What their events hold: user.id 4711."),
    ],
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Remove a person's events from staging, rejects, archive and target, for good.

    Rows of the target are those whose keys the transform makes of the events. Ids and
    counts stay. It looks for them once more, and says what it finds. Only the ledger's
    owner may.
    """
    from dataclasses import asdict

    from penstock.errors import UsageError
    from penstock.events.forgetting import forget as remove
    from penstock.events.personal import Person
    from penstock.events.project import open_project, ready

    path, value = where
    if not all(path.split(".")) or not value:
        raise UsageError(f'--where: "{path}" is no path of keys such as user.id, or has no value')
    with open_project(folder, env) as opened:
        found = opened.pipeline(pipeline)
        answer.say(f"{found.name}: {opened.postgres(found).where()}", "bold")
        dsn = opened.dsn(found)
        ready(dsn)
        where_it_is = (opened.connectors, opened.env.folder)
        person = Person(path, value)
        done = remove(dsn, found, *where_it_is, person, key=opened.key)
    answer.say(f"removed: {_told(done.removed)}")
    answer.say(f"left: {_told(done.left)}", "red" if done.left.any else "")
    if done.unclear:
        answer.say(
            f"{len(done.unclear):,} events are no JSON and hold the value; look at them: "
            f"penstock events show {' | '.join(done.unclear[:_NAMED])}",
            "red",
        )
    if as_json:
        answer.answer({"pipeline": found.name, **asdict(done)})
    raise typer.Exit(1 if done.left.any or done.unclear else 0)


def _told(counts: Counts) -> str:
    return (
        f"{counts.staged:,} events in staging, {counts.archived:,} in the archive, "
        f"{counts.rejects:,} rejects, {counts.rows:,} rows"
    )
