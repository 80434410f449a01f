"""`penstock pg`: the embedded PostgreSQL of a folder. Not for any other server."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from penstock.cli import answer
from penstock.cli.database import from_here
from penstock.errors import PenstockError, TargetError, UsageError

if TYPE_CHECKING:
    from penstock.postgres.embedded import Cluster, Status

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
  psql "$(penstock pg status --url --user etl)"
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
        done = "started" if started else "runs already"
        answer.say(f"PostgreSQL {found.server} {done}: 127.0.0.1, port {found.port}.")
        password = from_here(cluster.folder / "cluster.json")
        answer.say(f"Database penstock, user postgres, password in {password}.")
        answer.say("Look around: penstock pg psql")
        _answer(cluster, as_json, started=started)


@pg_app.command(epilog=_STOP_EXAMPLES)
def stop(folder: Folder = _HERE, as_json: Json = False) -> None:
    """Stop the server of this folder; open sessions are ended, the data stays."""
    with _answering(as_json):
        cluster = _cluster(folder)
        stopped = cluster.stop()
        answer.say("Stopped." if stopped else f"Nothing runs in {from_here(cluster.folder)}.")
        _answer(cluster, as_json, stopped=stopped)


@pg_app.command(epilog=_STATUS_EXAMPLES)
def status(
    folder: Folder = _HERE,
    url: Annotated[
        bool,
        typer.Option("--url", help="Print only its URL on standard output, without a password."),
    ] = False,
    user: Annotated[
        str | None,
        typer.Option(
            "--user", metavar="ROLE", show_default=False, help="With --url: as this role."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say whether the server of this folder runs, and where it listens."""
    with _answering(as_json):
        if user is not None and not url:
            raise UsageError("--user says whose URL is meant: it goes with --url.")
        cluster = _cluster(folder)
        found = cluster.status()
        if url:
            shown = _url(cluster, user or "postgres")
            if as_json:
                _answer(cluster, as_json, url=shown)
            else:
                typer.echo(shown)
            return
        if found.state == "absent":
            where = from_here(cluster.folder)
            answer.say(f"There is no embedded PostgreSQL in {where}: penstock pg start.")
        else:
            answer.say(f"PostgreSQL {found.server} is {found.state}: 127.0.0.1, port {found.port}.")
            if found.data is not None:
                answer.say(f"Data in {from_here(found.data)}.")
        _answer(cluster, as_json)


def _url(cluster: Cluster, user: str) -> str:
    """The running server's URL for a role; a password is not in it.

    Raises:
        TargetError: It does not run, so its port may yet change.
    """
    found = _running(cluster)
    return f"postgresql://{quote(user, safe='')}@127.0.0.1:{found.port}/penstock"


@pg_app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=_PSQL_EXAMPLES,
)
def psql(context: typer.Context, folder: Folder = _HERE) -> None:
    """Open psql on database penstock of this folder; further arguments are psql's."""
    with _answering(as_json=False):
        cluster = _cluster(folder)
        _running(cluster)
        program = str(cluster.binaries().tool("psql"))
        # The password goes by the environment: arguments can be read by every account.
        environment = {**os.environ, **cluster.psql_environment()}
        sys.stdout.flush()
        os.execve(program, [program, *context.args], environment)  # noqa: S606 - no shell


def _cluster(folder: Path) -> Cluster:
    from penstock.postgres.embedded import Cluster

    return Cluster.of_project(folder)


def _running(cluster: Cluster) -> Status:
    found = cluster.status()
    if found.state != "running":
        raise TargetError(
            f"The embedded PostgreSQL in {from_here(cluster.folder)} is {found.state}. "
            "Start it: penstock pg start."
        )
    return found


def _answer(cluster: Cluster, as_json: bool, **more: object) -> None:
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
