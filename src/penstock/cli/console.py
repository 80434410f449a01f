"""`penstock console`: the pages for people, and who may use them. Not for: what is on them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson, connected, iso
from penstock.cli.database import Dsn
from penstock.cli.help import Command
from penstock.errors import UsageError

EXAMPLES = """
[bold]Examples[/bold]
  penstock console user ann --role admin    the first user; asks for a password
  penstock console                          http://127.0.0.1:8090
  penstock console --https --name data.example.com   behind a proxy with TLS

[bold]Exit status[/bold]
  0  stopped     1  the port is taken, or there is no ledger     2  wrong use
  75  the database does not answer
"""

console_app = typer.Typer(
    invoke_without_command=True,
    rich_markup_mode="rich",
    epilog=EXAMPLES,
    help="Show runs, refused rows and events to people, as pages in a browser.",
)


@console_app.callback()
def console(
    context: typer.Context,
    *,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Of this machine. 0.0.0.0: all.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="0: any that is free.")
    ] = 8090,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", metavar="NAME", show_default=False, help="How browsers call it; repeatable."
        ),
    ] = None,
    https: Annotated[
        bool, typer.Option("--https", help="It is reached by HTTPS, through a proxy.")
    ] = False,
    dsn: Dsn = None,
) -> None:
    """Show runs, refused rows and events to people, as pages in a browser, until stopped."""
    if context.invoked_subcommand is not None:
        return
    _needed()
    from penstock.console import access, server
    from penstock.console.guarding import Console
    from penstock.events.webhooks.server import listen

    with connected(dsn, "look for users") as (where, connection):
        if not any(not one.disabled for one in access.users(connection)):
            raise UsageError("Nobody may sign in yet: penstock console user NAME --role admin")
    if host not in ("127.0.0.1", "::1", "localhost") and not https:
        raise UsageError(
            "Passwords would go over the network in clear: let a proxy with TLS ask for it, and "
            "say --https and --name NAME."
        )
    with server.engine_for(where.dsn) as engine:
        at = listen(host, port)
        names = ("localhost", "127.0.0.1", "[::1]", *(name or ()))
        shown = Console(engine=engine, label=where.label, names=names, secure=https)
        address = f"[{host}]" if ":" in host else host
        answer.say(f"http://{address}:{at.getsockname()[1]}")
        server.serve(shown, at)
    answer.say("Stopped.")


@console_app.command(cls=Command, epilog=EXAMPLES)
def user(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How they sign in.")],
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="viewer, operator or admin.")
    ] = "viewer",
    disable: Annotated[
        bool, typer.Option("--disable", help="Let them sign in no more; their sessions end.")
    ] = False,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Make a user, or give one another role and password; asks for it without echo.

    Where standard input is no terminal, its first line is the password.
    """
    _needed()
    from penstock.console import access

    with connected(dsn, "change a user") as (_, connection):
        if disable:
            if not access.disable_user(connection, name):
                raise UsageError(f"There is no user {name} who may sign in.")
            answer.say(f"{name} may not sign in any more.")
        else:
            if role not in access.ROLES:
                raise UsageError(f'"{role}" is no role. There are: {", ".join(access.ROLES)}.')
            access.put_user(connection, name, role, _password())
            answer.say(f"{name} may sign in as {role}.")
    if as_json:
        answer.answer({"user": name, "role": None if disable else role, "disabled": disable})


@console_app.command(cls=Command, epilog=EXAMPLES)
def users(dsn: Dsn = None, as_json: AsJson = False) -> None:
    """List who may use the console."""
    _needed()
    from penstock.console import access

    with connected(dsn, "list the users") as (where, connection):
        found = access.users(connection)
    for one in found:
        answer.say(f"{one.name}: {one.role}{', disabled' if one.disabled else ''}")
    if not found:
        answer.say("There are no users yet: penstock console user NAME --role admin")
    if as_json:
        listed = [
            {
                "user": one.name,
                "role": one.role,
                "disabled": one.disabled,
                "made_at": iso(one.made_at),
                "changed_at": iso(one.changed_at),
            }
            for one in found
        ]
        answer.answer({"target": where.label, "users": listed})


def _needed() -> None:
    from importlib.util import find_spec

    if any(find_spec(one) is None for one in ("argon2", "jinja2", "starlette", "uvicorn")):
        raise UsageError("For the console: pip install 'penstock[console]'")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    from getpass import getpass

    first = getpass("Password (12 characters or more): ")
    if getpass("Once more: ") != first:
        raise UsageError("The two are not the same. Nothing was changed.")
    return first
