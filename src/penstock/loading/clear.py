"""`clear_tables`: empties tables with one TRUNCATE, never one that nobody named. Not for: loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from penstock.errors import TargetError
from penstock.ledger import files, install, rejects
from penstock.model.table import TableName, TableSpec
from penstock.postgres.catalog import read_spec, read_table
from penstock.postgres.connection import target_of, translated
from penstock.postgres.locks import lock_tables
from penstock.postgres.names import qualified

if TYPE_CHECKING:
    import sqlalchemy

    Where = str | sqlalchemy.Engine | sqlalchemy.Connection


@dataclass(frozen=True, slots=True)
class Cleared:
    """A table that was emptied.

    Attributes:
        table: Schema-qualified where the schema is not `public`.
        rows: Rows that it had.
        named: False where `cascade` brought it in.
        superseded: Refused rows that waited for their parents; they would come again with their
            files, and are closed.
    """

    table: str
    rows: int
    named: bool
    superseded: int = 0

    def __str__(self) -> str:
        text = f"{self.table}: {self.rows:,} deleted"
        waited = f"; rows that waited: {self.superseded:,} superseded"
        return f"{text}{waited}" if self.superseded else text


def clear_tables(
    where: Where, tables: Sequence[str], *, cascade: bool = False, lock_timeout: float = 30.0
) -> list[Cleared]:
    """Empty tables in one statement and one transaction.

    Sequences keep their values. Files that were loaded into the tables may be loaded again.

    Args:
        where: A connection string, an Engine, or a Connection whose transaction is joined.
        tables: Names of the tables.
        cascade: True: tables that refer to these are emptied too.
        lock_timeout: Seconds to wait for the locks.

    Returns:
        Every table that was emptied, the named ones first.

    Raises:
        UsageError: There is no such table.
        TargetError: Other tables refer to these, or the role may not.
        TryAgain: The locks could not be had in time.
    """
    with target_of(where) as target:
        connection = target.connection
        try:
            named = [read_table(connection, name) for name in dict.fromkeys(tables)]
            others = _referring(connection, named)
            if others and not cascade:
                raise TargetError(
                    f"{', '.join(str(one.name) for one in others)} refers to "
                    f"{', '.join(str(one.name) for one in named)} and would have to be emptied "
                    "too. Name it as well, or allow it with --cascade (cascade=True).",
                    code="0A000",
                )
            cleared = _clear(connection, named, others, lock_timeout)
            ledger = install.revision(connection)
            if ledger["there"]:
                _check_rights(connection)
                for place, spec in enumerate((*named, *others)):
                    files.forget(connection, spec.name)
                    if ledger["revision"] < install.HEAD:  # no row of it waits for its parent
                        continue
                    superseded = rejects.cleared(connection, spec.name)
                    cleared[place] = replace(cleared[place], superseded=superseded)
            if not target.joined:
                connection.commit()
        except psycopg.Error as error:
            raise translated(error, f"clear {', '.join(tables)}") from None
    return cleared


def _check_rights(connection: psycopg.Connection[Any]) -> None:
    """Emptying a table unseen by the ledger would make it skip files that are not there any more.

    Raises:
        TargetError: The role may not write into the ledger.
    """
    missing = install.missing_rights(connection)
    if missing:
        raise TargetError(
            f"This role lacks rights on the penstock schema ({', '.join(missing)}), which must "
            "know that the tables are emptied. Grant them with: penstock roles --loader ROLE",
            code="42501",
        )


def _clear(
    connection: psycopg.Connection[Any],
    named: Sequence[TableSpec],
    others: Sequence[TableSpec],
    lock_timeout: float,
) -> list[Cleared]:
    names = [spec.name for spec in (*named, *others)]
    for spec in (*named, *others):
        if "TRUNCATE" not in spec.rights:
            raise TargetError(f"This role may not TRUNCATE {spec.name}", code="42501")
    lock_tables(connection, names, lock_timeout)
    cleared = []
    for name in names:
        row = connection.execute(sql.SQL("select count(*) from {}").format(qualified(name)))
        count = row.fetchone()
        is_named = name in [spec.name for spec in named]
        cleared.append(Cleared(str(name), 0 if count is None else count[0], is_named))
    connection.execute(sql.SQL("truncate {}").format(sql.SQL(", ").join(map(qualified, names))))
    return cleared


def _referring(connection: psycopg.Connection[Any], named: Sequence[TableSpec]) -> list[TableSpec]:
    """Tables that refer to these, however indirectly."""
    seen: dict[TableName, TableSpec] = {spec.name: spec for spec in named}
    ahead = list(named)
    while ahead:
        for name in ahead.pop().referenced_by:
            if name not in seen:
                seen[name] = read_spec(connection, name)
                ahead.append(seen[name])
    return [spec for name, spec in seen.items() if name not in {one.name for one in named}]
