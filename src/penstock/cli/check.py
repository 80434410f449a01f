"""`penstock check`: tries declared checks on tables. Not for: what they are (`quality`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson
from penstock.cli.project import Env, Folder

if TYPE_CHECKING:
    from penstock.events.checking import Tried
    from penstock.events.pipeline import Pipeline

EXAMPLES = """
[bold]Examples[/bold]
  penstock check                          all pipelines that declare checks
  penstock check shop_events -e prod --json
  penstock check --table events           those whose target it is

[bold]Exit status[/bold]
  0   all is well, or there are warnings    3   a check failed
  1   a target cannot be read               75  try again later
"""
_STYLES = {"passed": "green", "skipped": "dim", "warned": "yellow", "failed": "bold red"}
#: Columns of a line; the name of the check has what is left of 80.
_RESULT, _FIGURE, _BOUND, _WIDTH = 7, 9, 18, 80
_LONGEST = _WIDTH - _RESULT - _FIGURE - _BOUND - 6


def check(
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PIPELINE...]", show_default=False, help="Default: all that declare checks."
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            "--table", metavar="TABLE", show_default=False, help="Those with this target only."
        ),
    ] = None,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Try the checks that pipelines declare on their target tables.

    Each pipeline's checks see the table as it is at one moment. What they find is
    kept in the ledger, in penstock.checks.
    """
    from penstock.events.checking import check as tried
    from penstock.events.checking import declared
    from penstock.events.project import open_project, ready

    objects: list[dict[str, Any]] = []
    with open_project(folder, env) as opened:
        for one in declared(opened.pipelines, pipelines or (), table):
            dsn = opened.dsn(one)
            ready(dsn)
            answer.say(f"{one.name}: {one.target} in {opened.postgres(one).where()}", "bold")
            longest = _head(one)
            for found in tried(dsn, one):
                _tell(found, longest)
                objects.append(_object(one, found))
    counts = {name: sum(one["outcome"] == name for one in objects) for name in _STYLES}
    answer.say(", ".join(f"{count:,} {name}" for name, count in counts.items() if count))
    if as_json:
        answer.answer({**counts, "checks": objects})
    raise typer.Exit(answer.QUARANTINED if counts["failed"] else 0)


def _head(pipeline: Pipeline) -> int:
    """The heading of a pipeline's results; gives the width of their first column."""
    longest = max(5, min(_LONGEST, max(len(one.name) for one in pipeline.checks)))
    names = f"{'check':<{longest}}  {'result':<{_RESULT}}  {'figure':>{_FIGURE}}  bound"
    answer.say(names, "bold")
    return longest


def _tell(found: Tried, longest: int) -> None:
    """One result, as soon as it is known."""
    from rich.text import Text

    result = found.result

    name = answer.plain(result.name)
    if len(name) > longest:
        name = f"{name[: longest - 1]}…"
    line = Text(f"{name:<{longest}}  ")
    line.append(f"{result.outcome:<{_RESULT}}", _STYLES[result.outcome])
    line.append(f"  {found.figure:>{_FIGURE}}  {result.bound}")
    answer.show(line)
    if result.reason:
        _below(result.reason, "" if result.bad else "dim")
    if result.examples:
        _below(f"such as {'; '.join(result.examples)}")
    if found.advice:
        _below(found.advice, "cyan")


def _below(text: str, style: str = "") -> None:
    from rich.padding import Padding
    from rich.text import Text

    answer.show(Padding(Text(answer.plain(text), style), (0, 0, 0, 2), expand=False))


def _object(pipeline: Pipeline, found: Tried) -> dict[str, Any]:
    from dataclasses import asdict

    result = {name: value for name, value in asdict(found.result).items() if name != "stops"}
    about = {"pipeline": pipeline.name, "table": pipeline.target}
    return {**about, **result, "advice": found.advice}
