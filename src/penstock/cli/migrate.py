"""`penstock migrate`: the ledger and a project's tables. Not for: how (`install`, `revisions`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.connected import AsJson, rows_text
from penstock.cli.database import Dsn, database, label_of
from penstock.cli.project import Env
from penstock.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.postgres.revisions.check import Size, Warned
    from penstock.postgres.revisions.folder import Folder, Revision
    from penstock.postgres.revisions.offline import Written
    from penstock.postgres.revisions.running import Place

MIGRATE_EXAMPLES = """
[bold]Examples[/bold]
  penstock migrate                     the ledger, and in a project migrations/
  penstock migrate --check -e prod     look first: what would run, what would lock
  penstock migrate --sql > change.sql  the SQL of the project's revisions
  penstock migrate --dsn postgresql://admin@db/shop --json

In a project the database is its warehouse, that of the ledger; another one is
named by env["migrations"] = {"connector": "warehouse", "schema": "shop"}.

[bold]Exit status[/bold]
  0   up to date; --check: nothing to be said     3   --check: there are warnings
  1   a revision failed and was rolled back       75  a lock could not be had
"""
#: A mebibyte, for people.
_MIB = 1024 * 1024
_PROJECT = "config.py"


@dataclass(frozen=True, slots=True)
class _Meant:
    """What is to be brought up to date.

    Attributes:
        ledger: Connection string of its database.
        label: Of the database of the tables, without a password.
        told: The same with where it is said.
        place: Of the tables; None where there is no project.
        folder: Its revisions.
    """

    ledger: str
    label: str
    told: str
    place: Place | None = None
    folder: Folder | None = None


def migrate(
    *,
    env: Env = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", show_default=False, help="The project. Default: ."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Change nothing; say what would run, and what it would lock."),
    ] = False,
    only_sql: Annotated[
        bool,
        typer.Option("--sql", help="Change nothing; print the SQL of the project's revisions."),
    ] = False,
    max_lock: Annotated[
        float,
        typer.Option(
            "--max-lock",
            metavar="SECONDS",
            min=1,
            help="How long each revision tries to get its locks, a second at a time.",
        ),
    ] = 60.0,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Bring the ledger (the schema penstock) to its newest revision; in a project its tables too.

    The project's revisions are Alembic's files in migrations/ (penstock new
    migration). Each runs in a transaction of its own; one that fails is rolled
    back, and the earlier ones stay.
    """
    meant = _meant(folder, env, dsn, max_lock)
    answer.say(meant.told, "bold")
    if check or only_sql:
        if meant.place is None or meant.folder is None:
            raise UsageError("--check and --sql are about a project's migrations/: name --folder")
        _look(meant, meant.place, meant.folder, (only_sql, as_json))
        return
    found: dict[str, Any] = {"target": meant.label, **_ledger(meant.ledger)}
    if meant.place is not None and meant.folder is not None:
        found |= _tables(meant.place, meant.folder, changed=found["changed"])
    if as_json:
        answer.answer(found)


def _meant(folder: Path | None, env: str | None, dsn: str | None, max_lock: float) -> _Meant:
    root = (folder or Path()).resolve()
    project = folder is not None or env is not None or (root / _PROJECT).is_file()
    if not project:
        where = database(dsn)
        return _Meant(where.dsn, where.label, str(where))
    from penstock.connectors.ledgers import ledger_of
    from penstock.connectors.registry import connectors
    from penstock.connectors.tables import schema_of, tables_of
    from penstock.postgres.revisions.folder import folder_of, read_folder
    from penstock.postgres.revisions.running import Place
    from penstock.project.environment import choose, load_config

    revisions = read_folder(folder_of(root))
    config = load_config(root)
    if dsn is not None:  # no password of the project is needed, nor which connector is meant
        where = database(dsn)
        schema = schema_of(choose(config, env, root, fetch=False))
        place = Place(conninfo=where.dsn, schema=schema, patience=max_lock)
        return _Meant(where.dsn, where.label, str(where), place, revisions)
    settings = choose(config, env, root)
    made = connectors(settings, root)
    tables, schema = tables_of(settings, made)
    books = ledger_of(settings, made)
    place = Place(conninfo=tables.conninfo(), schema=schema, patience=max_lock)
    label = label_of(place.conninfo)
    told = f"{label} ({settings.name}, {tables.name})"
    return _Meant(books.conninfo(), label, told, place, revisions)


def _ledger(dsn: str) -> dict[str, Any]:
    """Bring the ledger up to date, and say so."""
    import psycopg

    from penstock.ledger import install
    from penstock.postgres.connection import connect, translated

    with connect(dsn) as connection:
        try:
            before = install.revision(connection)
            install.ensure(connection, dsn)
            after = install.revision(connection)
        except psycopg.Error as error:
            raise translated(error, "install the ledger") from None
    done = before["revision"] != after["revision"]
    if not done:
        answer.say(f"The ledger is at revision {after['revision']} already.")
    elif before["there"]:
        answer.say(f"The ledger went from {before['revision']} to {after['revision']}.")
    else:
        answer.say(f"The ledger was installed at revision {after['revision']}.")
    return {"changed": done, "before": before["revision"], "revision": after["revision"]}


def _tables(place: Place, folder: Folder, *, changed: bool) -> dict[str, Any]:
    """Run the project's revisions, and say which."""
    from penstock.postgres.revisions.running import upgrade

    if not folder.revisions:
        return {}
    ran = upgrade(place, folder, lambda one: answer.say(f"Done: {one}"))
    if not ran:
        answer.say("The project's tables are up to date already.")
    return {"changed": changed or bool(ran), "ran": [_named(one) for one in ran]}


def _look(meant: _Meant, place: Place, folder: Folder, how: tuple[bool, bool]) -> None:
    """Say what would run, and what the checker says of it; nothing is changed."""
    import psycopg

    from penstock.ledger import install
    from penstock.postgres.connection import connect, translated
    from penstock.postgres.revisions.check import check
    from penstock.postgres.revisions.offline import written
    from penstock.postgres.revisions.running import current

    only_sql, as_json = how
    scripts = folder.scripts()
    try:
        with connect(meant.ledger) as connection:
            ledger = install.revision(connection)
        with connect(place.conninfo) as connection:
            pending = folder.pending(current(connection, place.schema))
            sql = [written(folder, scripts, one, place.schema) for one in pending]
            warned = [] if only_sql else check(connection, sql)
    except psycopg.Error as error:
        raise translated(error, "look at the tables") from None
    found: dict[str, Any] = {
        "target": meant.label,
        "ledger": {"before": ledger["revision"], "revision": ledger["head"]},
        "pending": [_named(one) for one in pending],
    }
    if only_sql:
        _show_sql(sql, found, as_json)
        return
    if ledger["revision"] != ledger["head"]:
        if ledger["revision"] is None:
            answer.say(f"The ledger would be installed at revision {ledger['head']}.")
        else:
            answer.say(f"The ledger would go from {ledger['revision']} to {ledger['head']}.")
    _show_pending(pending, warned)
    if as_json:
        answer.answer({**found, "warnings": [_plain(one) for one in warned]})
    raise typer.Exit(3 if any(not one.accepted for one in warned) else 0)


def _show_sql(sql: Sequence[Written], found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        texts = [{"revision": one.revision.name, "sql": one.sql} for one in sql]
        answer.answer({**found, "sql": texts})
    else:
        typer.echo("\n\n".join(one.sql for one in sql))
    for one in sql:
        if one.unseen:
            raise UsageError(f"The SQL is not complete, it asks the database: {one.unseen}")


def _show_pending(pending: Sequence[Revision], warned: Sequence[Warned]) -> None:
    if not pending:
        answer.say("The project's tables are up to date: nothing would run.")
        return
    for one in pending:
        answer.say(f"Would run: {one}")
        for about in warned:
            if about.revision == one:
                _show_warning(about)
    waiting = sum(not one.accepted for one in warned)
    if waiting:
        answer.say(f"{waiting} {'warning' if waiting == 1 else 'warnings'}.", "bold yellow")
    else:
        answer.say("Nothing to be said against it.", "green")


def _show_warning(one: Warned) -> None:
    about = f"{one.table} ({_size_text(one.size)}) " if one.size and one.table else one.table
    said = f"  {one.rule}: {about.strip()} {one.what}".replace(":  ", ": ")
    if one.accepted:
        answer.say(f"  {one.rule}: {one.table}, accepted: {one.accepted}", "dim")
        return
    answer.say(said + (f" (lock: {one.lock})" if one.lock else ""), "yellow")
    if one.statement:
        answer.say(f"    {one.statement}", "dim")
    answer.say(f"    {one.instead}")


def _size_text(size: Size) -> str:
    return f"{rows_text(size.rows)}, {size.size / _MIB:,.0f} MB"


def _named(one: Revision) -> dict[str, str]:
    return {"revision": one.name, "file": one.path.name, "title": one.title}


def _plain(one: Warned) -> dict[str, Any]:
    return {
        "revision": one.revision.name,
        "file": one.revision.path.name,
        "rule": one.rule,
        "table": one.table or None,
        "rows": None if one.size is None else one.size.rows,
        "bytes": None if one.size is None else one.size.size,
        "lock": one.lock or None,
        "what": one.what,
        "instead": one.instead,
        "statement": one.statement or None,
        "accepted": one.accepted or None,
    }
