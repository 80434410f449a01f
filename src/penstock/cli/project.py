"""`penstock run`, `test-connections`, `config` and `key`: a project from the command line.

Not for: what they do (`flow`, `connectors`, `project`).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson
from penstock.cli.help import Command, Group
from penstock.errors import UsageError

if TYPE_CHECKING:
    from penstock.connectors.testing import Tried
    from penstock.project.environment import Environment
    from penstock.project.keys import ProjectKey

Env = Annotated[
    str | None,
    typer.Option(
        "--env", "-e", metavar="NAME", show_default=False, help="dev, test or prod. Default: dev."
    ),
]
Folder = Annotated[
    Path,
    typer.Option("--folder", metavar="DIR", show_default=False, help="The project. Default: ."),
]
config_app = typer.Typer(cls=Group, no_args_is_help=True, help="The settings of a project.")
key_app = typer.Typer(cls=Group, no_args_is_help=True, help="The key that encrypts passwords.")

RUN_EXAMPLES = """
[bold]Examples[/bold]
  penstock run -e test
  penstock run nightly.py -e prod --only customers
  penstock run --plan --json       the steps and their jobs, for other programs
"""
TEST_EXAMPLES = """
[bold]Examples[/bold]
  penstock test-connections -e prod

[bold]Exit status[/bold]
  0  all connections work  1  one does not; the others were tried  2  no such environment
"""
SHOW_EXAMPLES = """
[bold]Examples[/bold]
  penstock config show -e prod
"""
NEW_EXAMPLES = """
[bold]Examples[/bold]
  penstock key new
"""
ROTATE_EXAMPLES = """
[bold]Examples[/bold]
  penstock key rotate          encrypts what config.py holds anew
"""


def run(
    main: Annotated[
        Path, typer.Argument(metavar="[MAIN]", show_default=False, help="Default: main.py.")
    ] = Path("main.py"),
    *,
    env: Env = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="JOB", show_default=False, help="Run this job alone."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="JOB", show_default=False, help="Leave out the jobs before this one."
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume", metavar="RUN", show_default=False, help="Leave out what this run has done."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything, then roll it back.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the steps; connect to nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --plan: as one JSON object.")
    ] = False,
) -> None:
    """Run a flow, as python main.py does."""
    if not main.is_file():
        raise UsageError(f"There is no {main}: is this a project? penstock new DIR makes one.")
    words = ["--env", env] if env else []
    words += [word for name in only or () for word in ("--only", name)]
    words += ["--from", start] if start else []
    words += ["--resume", resume] if resume else []
    words += ["--dry-run"] if dry_run else []
    words += ["--plan"] if plan else []
    words += ["--json"] if as_json else []
    done = subprocess.run([sys.executable, main.name, *words], cwd=main.parent, check=False)
    raise typer.Exit(done.returncode)


def try_connections(*, env: Env = None, folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Try every connection of an environment with what it will really need.

    Folders are listed and written to, databases asked for the role's rights, and a
    mail is really sent. One that fails does not keep the others from being tried.
    """
    from penstock.connectors.registry import is_connector
    from penstock.connectors.testing import try_environment
    from penstock.project.environment import load_config, survey

    root = folder.resolve()
    environment, problems = survey(load_config(root), env, root)
    answer.say(f"{environment.project}, {environment.name}", "bold")
    width = max((len(name) for name in environment if is_connector(environment[name])), default=0)
    found = []
    for one in try_environment(environment, environment.folder, problems):
        found.append(one)
        _show(one, width)
    failed = sorted({one.connector for one in found if not one.check.ok})
    if not found:
        answer.say("No connector is set.")
    elif failed:
        answer.say(f"Not working: {', '.join(failed)}.", "red")
    else:
        answer.say("All connections work.", "green")
    if as_json:
        answer.answer(
            {
                "environment": environment.name,
                "checks": [
                    {
                        "connector": one.connector,
                        "where": one.where,
                        "what": one.check.what,
                        "ok": one.check.ok,
                        "says": one.check.says,
                        "advice": one.check.advice,
                        "seconds": round(one.seconds, 3),
                    }
                    for one in found
                ],
            }
        )
    raise typer.Exit(1 if failed else 0)


@config_app.command("show", cls=Command, epilog=SHOW_EXAMPLES)
def show(*, env: Env = None, folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Show the settings that hold, and where each came from; secrets are masked."""
    environment = _environment(env, folder)
    settings = [(path, _shown(environment, path, value)) for path, value in _flat(environment)]
    answer.say(f"{environment.project}, {environment.name}", "bold")
    width = max((len(path) for path, _ in settings), default=0)
    for path, value in settings:
        answer.say(f"{path:<{width}}  {value}  ({environment.origins.get(path, 'static')})")
    for warning in environment.warnings:
        answer.say(f"warning: {warning}", "yellow")
    if as_json:
        answer.answer(
            {
                "environment": environment.name,
                "settings": [
                    {"name": path, "value": value, "from": environment.origins.get(path, "")}
                    for path, value in settings
                ],
            }
        )


@key_app.command("new", cls=Command, epilog=NEW_EXAMPLES)
def new_key(*, folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Make the project's key. Only you can read it, and it lies outside of the project."""
    key = project_key(folder)
    key.make()
    answer.say(f"Made {key.path}. Copy it to the server that runs the project, and keep it safe:")
    answer.say("without it nothing that it encrypts can be read again.")
    if as_json:
        answer.answer({"key": str(key.path)})


@key_app.command("rotate", cls=Command, epilog=ROTATE_EXAMPLES)
def rotate(*, folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Make a new key, and encrypt what config.py holds with it.

    The old key still reads what it wrote elsewhere; take its line out of the key's
    file when nothing is left.
    """
    import re

    path = folder / "config.py"
    if not path.is_file():
        raise UsageError(f"There is no config.py in {folder}: is this a project?")
    key = project_key(folder)
    text = path.read_text(encoding="utf-8")
    found = sorted(set(re.findall(r"enc:[A-Za-z0-9_-]+=*", text)))
    secrets = [key.decrypt(one) for one in found]
    key.renew()
    for old, secret in zip(found, secrets, strict=True):
        text = text.replace(old, key.encrypt(secret))
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
    count = "1 value" if len(found) == 1 else f"{len(found)} values"
    answer.say(f"{count} of config.py encrypted with the new key in {key.path}. Copy that file to")
    answer.say("the server together with config.py.")
    if as_json:
        answer.answer({"key": str(key.path), "values": len(found)})


def _environment(env: str | None, folder: Path) -> Environment:
    from penstock.project.environment import choose, load_config

    root = folder.resolve()
    return choose(load_config(root), env, root)


def project_key(folder: Path) -> ProjectKey:
    """The key of the project in a folder, which may not be there."""
    from penstock.project.environment import load_config
    from penstock.project.keys import ProjectKey

    root = folder.resolve()
    return ProjectKey(str(load_config(root).get("project", root.name)))


def _flat(value: Any, path: str = "") -> Any:
    for key, one in value.items():
        here = f"{path}.{key}" if path else key
        if isinstance(one, Mapping):
            yield from _flat(one, here)
        else:
            yield here, one


def _shown(environment: Environment, path: str, value: Any) -> str:
    """A setting for people: what came from a place of secrets is one, whatever its name."""
    origin = environment.origins.get(path, "")
    return "***" if origin.startswith(("file:", "keyring:", "vault:")) else str(value)


def _show(one: Tried, width: int) -> None:
    """A line of the table, as soon as it is known; names of connectors have this width."""
    from rich.table import Table
    from rich.text import Text

    mark, style = ("ok", "green") if one.check.ok else ("FAIL", "red")
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_column(width=4, style=style)
    line.add_column(width=width, overflow="fold")
    line.add_column(width=18)
    line.add_column(width=6, justify="right", style="dim")
    line.add_column(overflow="fold")
    says = Text(answer.plain(one.check.says.removeprefix(f"{one.connector}: ")))
    if one.check.advice:
        says.append(f"\n{answer.plain(one.check.advice)}", style="yellow")
    line.add_row(mark, one.connector, one.check.what, f"{one.seconds:.1f} s", says)
    answer.show(line)
