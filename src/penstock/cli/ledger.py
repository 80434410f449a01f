"""`penstock roles` and `doctor`: a database made ready for loads. Not for: loads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli import answer
from penstock.cli.answer import plain
from penstock.cli.connected import AsJson, connected
from penstock.cli.database import Dsn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.ledger.doctor import Finding

ROLES_EXAMPLES = """
[bold]Examples[/bold]
  penstock roles --loader etl
  penstock roles --owner penstock_owner --loader etl --reader analyst
  penstock roles --loader etl --print > roles.sql     look first, run later

The loader may read and write the ledger, and delete nothing of it. Rights on
the tables that it loads are yours to give: SELECT, INSERT, and TRUNCATE for
mode truncate. A superuser can run this, or the database's owner with
CREATEROLE.
"""

DOCTOR_EXAMPLES = """
[bold]Examples[/bold]
  penstock doctor
  penstock doctor fact_sales dim_products
  penstock doctor --json | jq '.findings[] | select(.level != "ok")'

[bold]Exit status[/bold]
  0  nothing fails (there may be warnings)  1  something fails
"""

_STYLES = {"ok": "green", "warn": "bold yellow", "fail": "bold red"}


def roles(
    loaders: Annotated[
        list[str] | None,
        typer.Option(
            "--loader",
            metavar="ROLE",
            show_default=False,
            help="A role that loads; may be given again.",
        ),
    ] = None,
    readers: Annotated[
        list[str] | None,
        typer.Option(
            "--reader",
            metavar="ROLE",
            show_default=False,
            help="A role that only reads the ledger; may be given again.",
        ),
    ] = None,
    workers: Annotated[
        list[str] | None,
        typer.Option(
            "--worker",
            metavar="ROLE",
            show_default=False,
            help="A role that works on events and loads; may be given again.",
        ),
    ] = None,
    ingesters: Annotated[
        list[str] | None,
        typer.Option(
            "--ingest",
            metavar="ROLE",
            show_default=False,
            help="A role that adds events to staging, and may do nothing else.",
        ),
    ] = None,
    owner: Annotated[
        str,
        typer.Option(
            "--owner",
            metavar="ROLE",
            help="Owns the ledger; made, without log-in, where it is missing.",
        ),
    ] = "penstock_owner",
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the SQL on standard output, run nothing.")
    ] = False,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Give the ledger an owner, so that loaders do not own their own audit trail.

    Moves the schema penstock to the owner, and gives loaders and readers what
    they need there and nothing else. Installs the ledger first where there is
    none. Running it again does no harm.
    """
    from penstock.ledger import install
    from penstock.ledger.roles import Roles, apply, statements

    wanted = Roles(
        owner=owner,
        loaders=tuple(loaders or ()),
        readers=tuple(readers or ()),
        workers=tuple(workers or ()),
        ingesters=tuple(ingesters or ()),
    )
    with connected(dsn, "set the roles", ledger=only_print) as (where, connection):
        if only_print:
            made = statements(connection, wanted)
        else:
            if not install.revision(connection)["there"]:
                install.ensure(connection, where.dsn)
                answer.say("The ledger was installed.")
            made = apply(connection, wanted)
        texts = [f"{statement.as_string(connection)};" for statement in made]
    if as_json:
        answer.answer({"target": where.label, "applied": not only_print, "statements": texts})
    elif only_print:
        typer.echo("\n".join(["begin;", *texts, "commit;"]))
    else:
        for text in texts:
            answer.say(text, "dim")
        answer.say(f"The ledger is owned by {owner}.")


def doctor(
    tables: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TABLE...]",
            show_default=False,
            help="Tables to look at as a load would.",
        ),
    ] = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Look at the server, the ledger and tables; say what is wrong, what to do.

    Run it as the role that loads: it looks with that role's eyes. It changes
    nothing.
    """
    from penstock.ledger.doctor import Level, examine

    with connected(dsn, "look at the database", ledger=False) as (where, connection):
        found = examine(connection, tables or ())
    failed = any(one.level is Level.FAIL for one in found)
    _print_findings(found)
    if as_json:
        findings = [
            {
                "level": one.level.value,
                "subject": one.subject,
                "text": one.text,
                "advice": one.advice,
            }
            for one in found
        ]
        answer.answer({"target": where.label, "healthy": not failed, "findings": findings})
    raise typer.Exit(1 if failed else 0)


def _print_findings(found: Sequence[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(max_width=24, overflow="fold")
    grid.add_column(overflow="fold")
    for one in found:
        text = Text(plain(one.text))
        if one.advice:
            text.append(f"\n{plain(one.advice)}", "dim")
        level = Text(one.level.value, _STYLES[one.level.value])
        grid.add_row(level, Text(plain(one.subject), "bold"), text)
    answer.show(grid)
