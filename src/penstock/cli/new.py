"""`penstock new`: makes projects, their parts, dimensions. Not for: how (`scaffold`)."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson
from penstock.cli.database import Dsn, database
from penstock.cli.help import Command, Group
from penstock.cli.project import Env
from penstock.errors import UsageError

if TYPE_CHECKING:
    from datetime import date

    from penstock.scaffold.migrations import Drafted


class _New(Group):
    """`penstock new DIR` besides its commands: what is none of them is the folder of a project."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command; `project` where the first word is none."""
        if args and args[0] not in self.commands:
            args = ["project", *args]
        return super().resolve_command(ctx, args)


new_app = typer.Typer(
    cls=_New,
    no_args_is_help=True,
    subcommand_metavar="DIR | COMMAND [ARGS]...",
    help="Make a project that runs at once (penstock new DIR), or a part of one.",
)
dimension_app = typer.Typer(cls=Group, no_args_is_help=True, help="Make a dimension.")
new_app.add_typer(dimension_app, name="dimension")

PROJECT_EXAMPLES = """
[bold]Examples[/bold]
  penstock new shop
  penstock new shop --ci github
"""
JOB_EXAMPLES = """
[bold]Examples[/bold]
  penstock new job offers
"""
MAP_EXAMPLES = """
[bold]Examples[/bold]
  penstock new map offers --from data/import/offers.csv --to offers
  penstock new map contacts --from staging.contacts --to contacts
"""
MIGRATION_EXAMPLES = """
[bold]Examples[/bold]
  penstock new migration add_country
  penstock new migration add_country --from-models models.py
"""
_EXAMPLES = """
[bold]Examples[/bold]
  penstock new dimension date --from 2020-01-01 --to 2030-12-31
  penstock new dimension date shop.dim_day --from 2024-01-01 --to 2024-12-31 --unknown
"""


@new_app.command("project", cls=Command, epilog=PROJECT_EXAMPLES)
def project(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", show_default=False, help="It must be new or empty.")
    ],
    *,
    ci: Annotated[
        str | None,
        typer.Option("--ci", metavar="WHERE", show_default=False, help="github or gitlab."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a project: configuration, a sample job with its map, their tests.

    It runs at once, on its own PostgreSQL: cd DIR, then python main.py.
    """
    from penstock.scaffold.project import make_project

    files = make_project(folder, ci=ci)
    answer.say(f"Made {folder}: {len(files)} files. Next:", "bold")
    answer.say(f"  cd {shlex.quote(str(folder))}")
    answer.say("  python main.py")
    if as_json:
        answer.answer({"folder": str(folder), "files": [str(path) for path in files]})


@new_app.command("job", cls=Command, epilog=JOB_EXAMPLES)
def job(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="Of the job.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Make a job in this project, from the template."""
    from penstock.scaffold.project import make_job

    path = make_job(Path.cwd(), name)
    answer.say(f"Made {path.relative_to(Path.cwd())}. Name it in main.py: etl.run({name})")
    if as_json:
        answer.answer({"file": str(path)})


@new_app.command("map", cls=Command, epilog=MAP_EXAMPLES)
def map_(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="Of the map.")],
    *,
    source: Annotated[
        str, typer.Option("--from", metavar="FILE|TABLE", help="What it reads: a file or a table.")
    ],
    table: Annotated[str, typer.Option("--to", metavar="TABLE", help="What it fills.")],
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Draft a map in this project, from a source's columns and a table's.

    Columns of the same name are taken, near ones marked, what needs a value and
    has no source is said: read each line.
    """
    from penstock.scaffold.project import map_path

    path = map_path(Path.cwd(), name)
    path.write_text(_drafted(source, table, database(dsn).dsn), encoding="utf-8")
    answer.say(f"Made {path.relative_to(Path.cwd())}: a draft, read each line.")
    if as_json:
        answer.answer({"file": str(path)})


def _drafted(source: str, table: str, where: str) -> str:
    from penstock.loading.inspect import inspect
    from penstock.postgres.catalog import read_spec, read_table
    from penstock.postgres.connection import target_of
    from penstock.scaffold.drafting import Source, draft

    with target_of(where) as target:
        spec = read_table(target.connection, table)
        parents = {key.name: read_spec(target.connection, key.parent) for key in spec.foreign_keys}
        if not Path(source).exists():
            columns = tuple(column.name for column in read_table(target.connection, source).columns)
            return draft(Source(name=source, columns=columns), spec, parents)
    found = inspect(source)
    said = dict(zip(found.command, found.command[1:], strict=False))
    read = Source(
        name=Path(source).name,
        columns=tuple(column.name for column in found.columns),
        dates=said.get("--dates", ""),
        numbers=said.get("--numbers", ""),
    )
    return draft(read, spec, parents)


@new_app.command("migration", cls=Command, epilog=MIGRATION_EXAMPLES)
def migration(
    name: Annotated[
        str, typer.Argument(metavar="NAME", show_default=False, help="What it does, in words_so.")
    ],
    *,
    models: Annotated[
        Path | None,
        typer.Option(
            "--from-models",
            metavar="FILE",
            show_default=False,
            help="Draft it: what the database lacks of these SQLAlchemy models.",
        ),
    ] = None,
    env: Env = None,
    as_json: AsJson = False,
) -> None:
    """Make a revision of this project's tables, after the newest one.

    penstock migrate runs it; penstock migrate --check says first what it would
    lock.
    """
    from penstock.scaffold.migrations import make_migration

    drafted = None
    if models is not None:
        drafted = _drafted_revision(models, env)
        if drafted is None:
            answer.say(f"The database has all that {models} names: there is nothing to write.")
            if as_json:
                answer.answer({"file": None})
            return
    path = make_migration(Path.cwd(), name, drafted)
    what = "what it does stands in upgrade()" if drafted is None else "a draft, read each line"
    answer.say(f"Made {path.relative_to(Path.cwd())}: {what}.")
    if as_json:
        answer.answer({"file": str(path)})


def _drafted_revision(models: Path, env: str | None) -> Drafted | None:
    from penstock.connectors.registry import connectors
    from penstock.connectors.tables import tables_of
    from penstock.project.environment import choose, load_config
    from penstock.scaffold.migrations import draft_from_models

    settings = choose(load_config(Path.cwd()), env, Path.cwd())
    tables, schema = tables_of(settings, connectors(settings, Path.cwd()))
    return draft_from_models(tables.conninfo(), models, schema)


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
