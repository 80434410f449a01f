"""`penstock new`: makes what a warehouse begins with. Not for: how (`penstock.loading`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.database import Dsn, database
from penstock.cli.help import Command, Group
from penstock.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

new_app = typer.Typer(cls=Group, no_args_is_help=True, help="Make what a warehouse begins with.")
dimension_app = typer.Typer(cls=Group, no_args_is_help=True, help="Make a dimension.")
new_app.add_typer(dimension_app, name="dimension")

_EXAMPLES = """
[bold]Examples[/bold]
  penstock new dimension date --from 2020-01-01 --to 2030-12-31
  penstock new dimension date shop.dim_day --from 2024-01-01 --to 2024-12-31 --unknown
"""


@dimension_app.command("date", cls=Command, epilog=_EXAMPLES)
def date_dimension(
    table: Annotated[
        str, typer.Argument(metavar="[TABLE]", help="Default: dim_date.", show_default=False)
    ] = "dim_date",
    *,
    first: Annotated[
        str, typer.Option("--from", metavar="DAY", help="The first day, such as 2020-01-01.")
    ],
    last: Annotated[str, typer.Option("--to", metavar="DAY", help="The last day, included.")],
    unknown: Annotated[
        bool,
        typer.Option("--unknown", help="Also a member with the key -1, for facts without a date."),
    ] = False,
    dsn: Dsn = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
) -> None:
    """Make a table of days, and fill in the days that it lacks.

    A day's key is readable: 20240131. Run again, with other bounds too, it adds
    what is missing and changes nothing.
    """
    from penstock.loading.dimensions import make_date_dimension

    days = _day(first, "--from"), _day(last, "--to")
    where = database(dsn)
    answer.say(str(where), "bold")
    result = make_date_dimension(where.dsn, table, first=days[0], last=days[1], unknown=unknown)
    answer.say(str(result))
    if as_json:
        answer.answer(_plain(result))


def _plain(result: Any) -> dict[str, Any]:
    names = ("run_id", "target", "table", "read", "inserted", "ignored")
    return {name: getattr(result, name) for name in names}


def _day(text: str, option: str) -> date:
    from datetime import date

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: write a day as 2024-01-31") from None
