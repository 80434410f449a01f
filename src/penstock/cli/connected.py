"""Opens the database for the commands that look into the ledger. Not for: loads, which open it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.database import Database, database

if TYPE_CHECKING:
    import psycopg

    from penstock.model.table import TableName

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@contextmanager
def connected(
    dsn: str | None, doing: str, *, ledger: bool = True, source: str = ""
) -> Iterator[tuple[Database, psycopg.Connection[Any]]]:
    """The database that is meant, said on stderr, and a connection to it in autocommit.

    Args:
        dsn: What `--dsn` said, or None.
        doing: What is done, for messages: "list the rejects".
        ledger: True: it must have a ledger.
        source: What named the database, where it was not `--dsn`.

    Raises:
        TargetError: There is no ledger, or the server refuses what is done.
        TryAgain: The server does not answer.
    """
    import psycopg

    from penstock.ledger.history import require_ledger
    from penstock.postgres.connection import connect, translated

    where = database(dsn)
    if source:
        where = replace(where, source=source)
    answer.say(str(where), "bold")
    connection = connect(where.dsn)
    try:
        if ledger:
            require_ledger(connection)
        yield where, connection
    except psycopg.Error as error:
        raise translated(error, doing) from None
    finally:
        connection.close()


def who() -> str:
    """The account and machine of the person at the keyboard, as far as the system says."""
    import getpass
    import platform

    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        name = f"uid {os.getuid()}"
    return f"{name}@{platform.node()}"


def local(moment: datetime) -> str:
    """A moment on the clock of the person who reads it."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def iso(moment: datetime | None) -> str | None:
    """A moment in JSON: ISO 8601 in UTC."""
    return None if moment is None else moment.astimezone(UTC).isoformat()


def rows_text(number: int) -> str:
    """`1 row`, `2,000 rows`."""
    return "1 row" if number == 1 else f"{number:,} rows"


#: Tables that a message lists.
_TABLES = 8
#: What was changed because the user said so, of one value and of several.
_CHANGES = {
    "rounded": ("value rounded", "values rounded"),
    "trimmed": ("value trimmed", "values trimmed"),
    "unknown_member": ("natural key not found, now -1", "natural keys not found, now -1"),
    "orphans_nulled": ("orphan set to NULL", "orphans set to NULL"),
}


def changes_text(changes: Mapping[str, int]) -> str:
    """`2 orphans set to NULL, 1 value rounded`."""
    told = []
    for what, number in changes.items():
        one, several = _CHANGES.get(what, (what, what))
        told.append(f"{number:,} {one if number == 1 else several}")
    return ", ".join(told)


def table_named(connection: psycopg.Connection[Any], name: str | None) -> TableName | None:
    """The table that a person means, also one that has rejects and is gone.

    Raises:
        UsageError: There is no such table, and the ledger knows none.
    """
    if name is None:
        return None
    from penstock.errors import UsageError
    from penstock.ledger.quarantine import counts
    from penstock.model.table import TableName
    from penstock.postgres.catalog import find_table, loadable_names, nearest, split_name

    found = find_table(connection, name)
    if found is not None:
        return found
    schema, table = split_name(name)
    gone = TableName(schema or "public", table)
    known = counts(connection)
    if gone in known:
        return gone
    candidates = list(dict.fromkeys([*map(str, known), *loadable_names(connection)]))
    hint = nearest(name, candidates) or (
        f" There are: {', '.join(candidates[:_TABLES])}." if candidates else ""
    )
    raise UsageError(f"There is no table {name}.{hint}", code="42P01")
