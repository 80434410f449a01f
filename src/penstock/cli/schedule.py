"""`penstock schedule`: starts flows when they are due, and says when that is.

Not for: how (`schedule`).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson, iso
from penstock.cli.help import Command, Group
from penstock.cli.project import Env, Folder
from penstock.errors import UsageError

if TYPE_CHECKING:
    import psycopg

    from penstock.project.environment import Environment
    from penstock.schedule.mains import Main
    from penstock.schedule.scheduler import Begun, Scheduler

#: How many starts of each main are shown.
_SHOWN = 10
#: What a flow may end with that is no failure.
_REFUSED, _TRY_AGAIN = 3, 75

schedule_app = typer.Typer(
    cls=Group,
    invoke_without_command=True,
    help="Start the flows of a project when they are due. Without a command: do so until stopped.",
)
LIST_EXAMPLES = """
[bold]Examples[/bold]
  penstock schedule list
  penstock schedule list --json
"""
STARTS_EXAMPLES = """
[bold]Examples[/bold]
  penstock schedule starts -e prod
"""
EXPORT_EXAMPLES = """
[bold]Examples[/bold]
  penstock schedule export --cron -e prod | crontab -
  penstock schedule export --systemd -e prod
  penstock schedule export --k8s --image registry.example.com/shop:7 -e prod
"""


@schedule_app.callback(
    epilog="""
[bold]Examples[/bold]
  penstock schedule -e prod            until it is stopped
  penstock schedule -e prod --once     what is due now

[bold]Exit status[/bold]
  0  stopped, or all went well  1  a flow failed (--once)  2  wrong use
  3  rows were refused (--once)  75  a flow could not run now (--once)
"""
)
def schedule(
    context: typer.Context,
    *,
    env: Env = None,
    folder: Folder = Path(),
    once: Annotated[
        bool, typer.Option("--once", help="Start what is due now, wait for it, and leave.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start flows when they are due."""
    if context.invoked_subcommand is not None:
        if env or once or as_json or folder != Path():
            raise UsageError(
                f"Put options behind the command: penstock schedule {context.invoked_subcommand} -e"
            )
        return
    environment, mains = _mains(env, folder)
    if not mains:
        raise UsageError(
            f"No main in {environment.folder} has a schedule. Write into one: "
            'schedule = ["0 6 * * *"]'
        )
    with _scheduler(environment, mains) as scheduler:
        scheduler.watch()
        answer.say(f"{environment.project}, {environment.name}", "bold")
        for main in mains:
            first = next(main.after(scheduler.clock()), None)
            answer.say(f"{main.name}: next {_local(first, main)}, missed: {main.missed}")
        scheduler.run(once=once)
    if as_json:
        answer.answer({"starts": [_ended(one) for one in scheduler.done]})
    if once:
        raise typer.Exit(_worst(scheduler.done))


@schedule_app.command("list", cls=Command, epilog=LIST_EXAMPLES)
def show(*, env: Env = None, folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Say each schedule in words, and the next ten starts."""
    from datetime import UTC, datetime
    from itertools import islice

    from penstock.schedule.words import in_words

    environment, mains = _mains(env, folder)
    now = datetime.now(UTC)
    answer.say(f"{environment.project}, {environment.name}", "bold")
    found = []
    for main in mains:
        words = [in_words(cron) for cron in main.crons]
        starts = list(islice(main.after(now), _SHOWN))
        answer.say(f"{main.path.name} ({main.timezone}; missed: {main.missed})", "bold")
        for one in words:
            answer.say(f"  {one}")
        for start in starts:
            answer.say(f"    {_local(start, main)}")
        found.append(
            {
                "flow": f"{environment.project}/{main.name}",
                "main": main.path.name,
                "schedule": [cron.text for cron in main.crons],
                "words": words,
                "timezone": main.timezone,
                "missed": main.missed,
                "next": [one.astimezone(main.zone).isoformat() for one in starts],
            }
        )
    if not mains:
        answer.say("No main has a schedule.")
    if as_json:
        answer.answer({"mains": found})


@schedule_app.command("starts", cls=Command, epilog=STARTS_EXAMPLES)
def starts(*, env: Env = None, folder: Folder = Path(), as_json: AsJson = False) -> None:
    """Show what became of the last starts, the newest first."""
    from penstock.ledger import schedules

    environment, mains = _mains(env, folder)
    by_flow = {f"{environment.project}/{main.name}": main for main in mains}
    with _ledger(environment)() as connection:
        found = schedules.starts(connection, list(by_flow))
    answer.say(f"{environment.project}, {environment.name}", "bold")
    for one in found:
        main = by_flow[one.due.flow]
        said = one.status if one.exit_code is None else f"{one.status}, exit code {one.exit_code}"
        missed = f", {one.missed} missed before" if one.missed else ""
        note = f": {one.note}" if one.note else ""
        answer.say(f"{_local(one.due.at, main)}  {main.name}  {said}{missed}{note}")
    if not found:
        answer.say("No start yet.")
    if as_json:
        answer.answer(
            {
                "starts": [
                    {
                        "flow": one.due.flow,
                        "due_at": iso(one.due.at),
                        "status": one.status,
                        "missed": one.missed,
                        "started_at": iso(one.started_at),
                        "finished_at": iso(one.finished_at),
                        "exit_code": one.exit_code,
                        "run_id": one.run_id,
                        "note": one.note,
                    }
                    for one in found
                ]
            }
        )


@schedule_app.command("export", cls=Command, epilog=EXPORT_EXAMPLES)
def export(
    *,
    cron: Annotated[bool, typer.Option("--cron", help="Lines for a crontab.")] = False,
    systemd: Annotated[
        bool, typer.Option("--systemd", help="A service and a timer for each main.")
    ] = False,
    k8s: Annotated[bool, typer.Option("--k8s", help="CronJobs of Kubernetes.")] = False,
    image: Annotated[
        str | None,
        typer.Option(
            "--image",
            metavar="NAME",
            show_default=False,
            help="With --k8s: the image that runs the flows. Default: the project's name.",
        ),
    ] = None,
    env: Env = None,
    folder: Folder = Path(),
    as_json: AsJson = False,
) -> None:
    """Print the schedules for cron, systemd or Kubernetes, on standard output."""
    import sys

    from penstock.schedule import export as made

    if [cron, systemd, k8s].count(True) != 1:
        raise UsageError("Say one of --cron, --systemd and --k8s")
    if image is not None and not k8s:
        raise UsageError("--image belongs to --k8s")
    environment, mains = _mains(env, folder)
    where = made.Installed(
        project=environment.project,
        folder=environment.folder,
        environment=environment.name,
        python=sys.executable,
    )
    if cron:
        files = {"crontab": made.crontab(mains, where)}
    elif systemd:
        files = dict(made.systemd(mains, where))
    else:
        image = image or environment.project
        files = {"cronjobs.yaml": made.kubernetes(mains, where, image)}
    if as_json:
        answer.answer({"files": files})
        return
    for name, text in files.items():
        typer.echo(f"# {name}\n{text}" if systemd else text, nl=False)


def _mains(env: str | None, folder: Path) -> tuple[Environment, list[Main]]:
    from penstock.project.environment import choose, load_config
    from penstock.schedule.mains import scheduled

    root = folder.resolve()
    environment = choose(load_config(root), env, root)
    zone = environment.get("timezone")
    return environment, scheduled(root, None if zone is None else str(zone))


@contextmanager
def _scheduler(environment: Environment, mains: list[Main]) -> Iterator[Scheduler]:
    """A scheduler that a service manager's stop and Ctrl-C reach."""
    import psycopg

    from penstock.postgres.connection import translated
    from penstock.schedule.scheduler import Scheduler

    made = Scheduler(
        mains=mains,
        project=environment.project,
        environment=environment.name,
        folder=environment.folder,
        connect=_ledger(environment),
        say=_say,
    )
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, lambda *_: made.stop()) for one in signals]
    try:
        yield made
    except psycopg.Error as error:
        raise translated(error, "start flows") from None
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)


def _ledger(environment: Environment) -> Any:
    """Opens connections to the project's ledger, which is made where there is none."""
    from penstock.connectors.ledgers import ledger_of
    from penstock.connectors.registry import connectors
    from penstock.ledger import install

    where = ledger_of(environment, connectors(environment, environment.folder))

    def connect() -> psycopg.Connection[Any]:
        return where.connect(autocommit=True)

    with connect() as connection:
        install.ensure(connection, where.conninfo())
    return connect


def _say(text: str) -> None:
    from datetime import datetime

    answer.say(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}  {text}")


def _local(moment: Any, main: Main) -> str:
    return "never" if moment is None else f"{moment.astimezone(main.zone):%a %Y-%m-%d %H:%M %Z}"


def _ended(one: Begun) -> dict[str, Any]:
    return {
        "flow": one.due.flow,
        "due_at": iso(one.due.at),
        "started_at": iso(one.at),
        "finished_at": iso(one.ended),
        "exit_code": one.exit_code,
    }


def _worst(done: list[Begun]) -> int:
    codes = {one.exit_code for one in done}
    if codes - {0, _REFUSED, _TRY_AGAIN}:
        return 1
    return _TRY_AGAIN if _TRY_AGAIN in codes else _REFUSED if _REFUSED in codes else 0
