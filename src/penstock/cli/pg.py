"""`penstock pg`: the embedded PostgreSQL of a folder. Not for any other server."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import answer
from penstock.errors import PenstockError, TargetError

if TYPE_CHECKING:
    from penstock.postgres.embedded import Cluster

pg_app = typer.Typer(
    no_args_is_help=True,
    help="The embedded PostgreSQL of a folder: for demos, notebooks and tests, "
    "not for production data.",
)

_START_EXAMPLES = """
[bold]Examples[/bold]
  penstock pg start
  penstock pg start --folder shop --json
"""

_STOP_EXAMPLES = """
[bold]Examples[/bold]
  penstock pg stop
  penstock pg stop --folder shop
"""

_STATUS_EXAMPLES = """
[bold]Examples[/bold]
  penstock pg status
  penstock pg status --json
"""

_PSQL_EXAMPLES = """
[bold]Examples[/bold]
  penstock pg psql
  penstock pg psql -c "select * from penstock.runs"
  penstock pg psql --folder shop -- --csv -f report.sql
"""

Folder = Annotated[
    Path, typer.Option("--folder", metavar="DIR", help="The project folder; default this one.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
_HERE = Path()


@pg_app.command(epilog=_START_EXAMPLES)
def start(folder: Folder = _HERE, as_json: Json = False) -> None:
    """Start the server of this folder; make it first if there is none.

    It goes on running after the command has ended, until `penstock pg stop`.
    """
    with _answering(as_json):
        cluster = _cluster(folder)
        started = cluster.start()
        found = cluster.status()
        _say(
            f"PostgreSQL {found.server} {'started' if started else 'runs already'}: "
            f"port {found.port} of 127.0.0.1, database penstock, user postgres. "
            f"The password is in {cluster.folder / 'cluster.json'}. "
            "Look around: penstock pg psql"
        )
        _answer(cluster, as_json, started=started)


@pg_app.command(epilog=_STOP_EXAMPLES)
def stop(folder: Folder = _HERE, as_json: Json = False) -> None:
    """Stop the server of this folder; open sessions are ended, the data stays."""
    with _answering(as_json):
        cluster = _cluster(folder)
        stopped = cluster.stop()
        _say("Stopped." if stopped else f"Nothing runs in {cluster.folder}.")
        _answer(cluster, as_json, stopped=stopped)


@pg_app.command(epilog=_STATUS_EXAMPLES)
def status(folder: Folder = _HERE, as_json: Json = False) -> None:
    """Say whether the server of this folder runs, and where it listens."""
    with _answering(as_json):
        cluster = _cluster(folder)
        found = cluster.status()
        if found.state == "absent":
            _say(f"There is no embedded PostgreSQL in {cluster.folder}: penstock pg start")
        else:
            _say(
                f"PostgreSQL {found.server} is {found.state}: port {found.port} of 127.0.0.1, "
                f"data in {found.data}."
            )
        _answer(cluster, as_json)


@pg_app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=_PSQL_EXAMPLES,
)
def psql(context: typer.Context, folder: Folder = _HERE) -> None:
    """Open psql on database penstock of this folder; further arguments are psql's."""
    with _answering(as_json=False):
        cluster = _cluster(folder)
        found = cluster.status()
        if found.state != "running":
            raise TargetError(
                f"The embedded PostgreSQL in {cluster.folder} is {found.state}. "
                "Start it: penstock pg start"
            )
        program = str(cluster.binaries().tool("psql"))
        # The password goes by the environment: arguments can be read by every account.
        environment = {**os.environ, **cluster.psql_environment()}
        sys.stdout.flush()
        os.execve(program, [program, *context.args], environment)  # noqa: S606 - no shell


def _cluster(folder: Path) -> Cluster:
    from penstock.postgres.embedded import Cluster

    return Cluster.of_project(folder)


def _answer(cluster: Cluster, as_json: bool, **more: bool) -> None:
    if not as_json:
        return
    found = cluster.status()
    known: dict[str, object] = {
        "state": found.state,
        "pid": found.pid,
        "host": "127.0.0.1" if found.port else None,
        "port": found.port,
        "database": "penstock" if found.port else None,
        "user": "postgres" if found.port else None,
        "socket_dir": str(found.sockets) if found.sockets else None,
        "data": str(found.data) if found.data else None,
        "server": found.server or None,
    }
    typer.echo(json.dumps({**more, **known}))


def _say(text: str) -> None:
    typer.echo(text, err=True)


@contextlib.contextmanager
def _answering(as_json: bool) -> Iterator[None]:
    """Tell an error that a person can mend, and end with its exit code."""
    try:
        yield
    except PenstockError as problem:
        exit_code = answer.fail(
            problem.message, problem.exit_code, code=problem.code, as_json=as_json
        )
        raise typer.Exit(exit_code) from None
