"""Takes table locks in one order, within a total time. Not for: advisory locks."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from penstock.errors import TryAgain
from penstock.model.table import TableName
from penstock.postgres.names import qualified
from penstock.postgres.queries import queries

#: Seconds of one try: whoever comes after us waits in our queue no longer than this.
_ONE_TRY = 1.0
#: Seconds between two tries, so that waiting readers get through.
_PAUSE = (0.1, 0.5)

_SQL = queries("penstock.postgres.sql", "locks.sql")


def lock_tables(
    connection: psycopg.Connection[Any], tables: Sequence[TableName], timeout: float
) -> None:
    """ACCESS EXCLUSIVE on all tables, in the order given, or nothing.

    Several short tries, not one long wait: a waiting ACCESS EXCLUSIVE stops every reader that
    comes after it (PostgreSQL chapter "Explicit Locking").

    Args:
        connection: Inside a transaction; a savepoint keeps it usable between tries.
        tables: Referenced tables first, so that loads of one star never deadlock.
        timeout: Seconds in total.

    Raises:
        TryAgain: Not within the time; the message names who holds the locks.
    """
    if not tables:
        return
    statement = sql.SQL("lock table {} in access exclusive mode").format(
        sql.SQL(", ").join(map(qualified, tables))
    )
    end = time.monotonic() + timeout
    while True:
        left = end - time.monotonic()
        milliseconds = max(10, int(1000 * min(_ONE_TRY, left) / len(tables)))
        try:
            with connection.transaction():
                connection.execute(
                    "select set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"]
                )
                connection.execute(statement)
                connection.execute("select set_config('lock_timeout', '0', true)")
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if time.monotonic() + _PAUSE[1] >= end:
                raise TryAgain(
                    f"{', '.join(map(str, tables))} could not be locked within {timeout:g} s"
                    f"{_holders(connection, tables)}. Nothing was changed; try again later.",
                    code="55P03",
                ) from None
        time.sleep(random.uniform(*_PAUSE))  # noqa: S311  jitter, not a secret


def lock_out_writers(connection: psycopg.Connection[Any], table: TableName, timeout: float) -> None:
    """SHARE ROW EXCLUSIVE on a table: others may read it, and write when the transaction ends.

    Raises:
        TryAgain: Not within `timeout` seconds.
    """
    try:
        with connection.transaction():
            connection.execute(
                "select set_config('lock_timeout', %s, true)", [f"{int(1000 * timeout)}ms"]
            )
            connection.execute(
                sql.SQL("lock table {} in share row exclusive mode").format(qualified(table))
            )
            connection.execute("select set_config('lock_timeout', '0', true)")
    except psycopg.errors.LockNotAvailable:
        raise TryAgain(
            f"{table} is being written all the time, and could not be locked within {timeout:g} s"
            f"{_holders(connection, [table])}. Nothing was changed; try again later.",
            code="55P03",
        ) from None


def _holders(connection: psycopg.Connection[Any], tables: Sequence[TableName]) -> str:
    return holders_of(connection, [qualified(name).as_string(connection) for name in tables])


def holders_of(connection: psycopg.Connection[Any], names: Sequence[str]) -> str:
    """Who holds locks of tables, for the message of a time-out; empty where nobody does any more.

    Args:
        connection: Any; its own locks do not count.
        names: Of the tables, quoted as SQL needs it.
    """
    rows = connection.execute(_SQL["holders"], [list(names)]).fetchall()
    if not rows:
        return ""
    return ": held by " + ", ".join(f"{user} (pid {pid}, {app})" for pid, user, app in rows)
