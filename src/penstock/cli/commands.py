"""The commands of the program `penstock`. Not for: their work, nor how they end (`main`)."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli import check, forget, ingest, replays, work
from penstock.cli.archive import archive_app
from penstock.cli.clear import CLEAR_EXAMPLES, clear
from penstock.cli.console import console_app
from penstock.cli.events import events_app
from penstock.cli.help import BOOKS, DATABASE, EVENTS, LOADING, PROJECT, Command, Group
from penstock.cli.inspect import INSPECT_EXAMPLES, inspect
from penstock.cli.ledger import (
    DOCTOR_EXAMPLES,
    ROLES_EXAMPLES,
    doctor,
    roles,
)
from penstock.cli.load import LOAD_EXAMPLES, STAR_EXAMPLES, load, load_star
from penstock.cli.migrate import MIGRATE_EXAMPLES, migrate
from penstock.cli.new import new_app
from penstock.cli.pg import pg_app
from penstock.cli.project import (
    RUN_EXAMPLES,
    TEST_EXAMPLES,
    config_app,
    key_app,
    run,
    try_connections,
)
from penstock.cli.rejects import rejects_app
from penstock.cli.replay import REPLAY_EXAMPLES, replay
from penstock.cli.runs import runs_app
from penstock.cli.schedule import schedule_app
from penstock.cli.serve import SERVE_EXAMPLES, serve

app = typer.Typer(
    cls=Group,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
    help="Load files into PostgreSQL, with every row accounted for.",
    epilog="""
[bold]First steps[/bold]
  export PENSTOCK_DSN=postgresql://me@localhost/shop   which database
  penstock load products.csv --dry-run                 try it, change nothing
  penstock load products.csv                           do it

Which database: --dsn, else PENSTOCK_DSN, else POSTGRES_HOST, _PORT, _DB,
_USER and _PASSWORD (also from .env), else the embedded one of a folder that
has one. penstock COMMAND --help shows all of a command, with examples.
""",
)

app.command("load", cls=Command, epilog=LOAD_EXAMPLES, rich_help_panel=LOADING)(load)
app.command("load-star", cls=Command, epilog=STAR_EXAMPLES, rich_help_panel=LOADING)(load_star)
app.command("inspect", cls=Command, epilog=INSPECT_EXAMPLES, rich_help_panel=LOADING)(inspect)
app.command("clear", cls=Command, epilog=CLEAR_EXAMPLES, rich_help_panel=LOADING)(clear)
app.add_typer(new_app, name="new", rich_help_panel=PROJECT)
app.command("run", cls=Command, epilog=RUN_EXAMPLES, rich_help_panel=PROJECT)(run)
app.add_typer(schedule_app, name="schedule", rich_help_panel=PROJECT)
app.command("test-connections", cls=Command, epilog=TEST_EXAMPLES, rich_help_panel=PROJECT)(
    try_connections
)
app.add_typer(config_app, name="config", rich_help_panel=PROJECT)
app.add_typer(key_app, name="key", rich_help_panel=PROJECT)
app.command("ingest", cls=Command, epilog=ingest.EXAMPLES, rich_help_panel=EVENTS)(ingest.ingest)
app.command("serve", cls=Command, epilog=SERVE_EXAMPLES, rich_help_panel=EVENTS)(serve)
app.command("work", cls=Command, epilog=work.EXAMPLES, rich_help_panel=EVENTS)(work.work)
app.command("check", cls=Command, epilog=check.EXAMPLES, rich_help_panel=EVENTS)(check.check)
app.command("replay", cls=Command, epilog=replays.EXAMPLES, rich_help_panel=EVENTS)(replays.replay)
app.add_typer(events_app, name="events", rich_help_panel=EVENTS)
app.add_typer(archive_app, name="archive", rich_help_panel=EVENTS)
app.command("forget", cls=Command, epilog=forget.EXAMPLES, rich_help_panel=EVENTS)(forget.forget)
rejects_app.command("replay", cls=Command, epilog=REPLAY_EXAMPLES)(replay)
app.add_typer(console_app, name="console", rich_help_panel=BOOKS)
app.add_typer(rejects_app, name="rejects", rich_help_panel=BOOKS)
app.add_typer(runs_app, name="runs", rich_help_panel=BOOKS)
app.command("doctor", cls=Command, epilog=DOCTOR_EXAMPLES, rich_help_panel=DATABASE)(doctor)
app.command("migrate", cls=Command, epilog=MIGRATE_EXAMPLES, rich_help_panel=DATABASE)(migrate)
app.command("roles", cls=Command, epilog=ROLES_EXAMPLES, rich_help_panel=DATABASE)(roles)
app.add_typer(pg_app, name="pg", rich_help_panel=DATABASE)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"penstock {version('penstock')}")
        raise typer.Exit


@app.callback()
def _every_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Say the version, and end."
        ),
    ] = False,
) -> None:
    del version
