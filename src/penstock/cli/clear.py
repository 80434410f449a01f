"""`penstock clear`: empties tables. Not for: how (`penstock.loading.clear`)."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli import answer
from penstock.cli.arguments import seconds_of
from penstock.cli.database import Dsn, database

CLEAR_EXAMPLES = """
[bold]Examples[/bold]
  penstock clear fact_sales
  penstock clear fact_sales dim_products dim_customers
  penstock clear dim_products --cascade
"""


def clear(
    tables: Annotated[
        list[str],
        typer.Argument(metavar="TABLE...", show_default=False, help="The tables to empty."),
    ],
    *,
    cascade: Annotated[
        bool,
        typer.Option("--cascade", help="Empty the tables that refer to these too, and name them."),
    ] = False,
    lock_timeout: Annotated[
        float,
        typer.Option(
            "--lock-timeout",
            metavar="SECONDS",
            show_default=False,
            help="How long to wait for locks before exit 75. Default: 30.",
        ),
    ] = 30.0,
    dsn: Dsn = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """Empty tables: all of them at once, in one transaction, or none.

    Where other tables refer to them, this is an error that lists those, unless
    they are named too or --cascade is given. Their files may be loaded again.
    """
    from penstock.loading.clear import clear_tables

    seconds = seconds_of(lock_timeout, "lock-timeout")
    where = database(dsn)
    answer.say(str(where), "bold")
    cleared = clear_tables(where.dsn, tables, cascade=cascade, lock_timeout=seconds)
    for one in cleared:
        answer.say(f"{one}{'' if one.named else ' (refers to a table that was named)'}")
    if as_json:
        answer.answer(
            {
                "target": where.label,
                "cleared": [
                    {
                        "table": one.table,
                        "rows": one.rows,
                        "named": one.named,
                        "superseded": one.superseded,
                    }
                    for one in cleared
                ],
            }
        )
