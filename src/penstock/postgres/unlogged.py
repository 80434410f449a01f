"""Where staging tables lie. Not for: what is in them (`staging`).

Parallel workers cannot read temporary tables (PostgreSQL, "When Can Parallel Query Be Used?"), and
half of a keyed load is one join. So large stages lie in unlogged tables beside the target, where
the role may make them: nobody else sees them, for they are made and dropped in one transaction, and
after a crash the server empties them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

#: Bytes of input below which workers are not worth starting; PostgreSQL's own bound for a table.
PAYS_FROM = 8 << 20
#: What is asked for is worth its workers; how many there may be is the server's to say.
_EAGER = {"parallel_setup_cost": "0", "parallel_tuple_cost": "0"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the staging tables of one load lie.

    Attributes:
        schema: Theirs; `pg_temp` for temporary tables.
        mark: Tells the tables of several sessions apart; empty in `pg_temp`.
    """

    schema: str = "pg_temp"
    mark: str = ""

    @property
    def unlogged(self) -> bool:
        """True where the tables must be dropped before the transaction ends."""
        return bool(self.mark)

    def named(self, what: str) -> sql.Identifier:
        """The name of a table."""
        return sql.Identifier(self.schema, f"penstock_{self.mark}{what}")

    def create(self, table: sql.Identifier, of: sql.Composable) -> sql.Composed:
        """CREATE TABLE, gone with the transaction.

        Args:
            table: As `named` gave it.
            of: Its columns in brackets.
        """
        if self.unlogged:
            return sql.SQL("create unlogged table {} {}").format(table, of)
        return sql.SQL("create temporary table {} {} on commit drop").format(table, of)


#: Temporary tables: what every role that loads may make.
TEMPORARY = Place()


def place_for(connection: psycopg.Connection[Any], schema: str, size: int) -> Place:
    """The best place for the stages of a load into a table of this schema.

    Args:
        connection: Inside the load's transaction.
        schema: The target's.
        size: Bytes of input.
    """
    if size < PAYS_FROM:
        return TEMPORARY
    row = connection.execute(
        "select has_schema_privilege(%s, 'CREATE') "
        "and current_setting('max_parallel_workers_per_gather')::int > 0, pg_backend_pid()",
        [schema],
    ).fetchone()
    assert row is not None  # noqa: S101  a select without a table gives one row
    return Place(schema, f"{row[1]}_") if row[0] else TEMPORARY


@contextmanager
def in_parallel(connection: psycopg.Connection[Any], place: Place) -> Iterator[None]:
    """Plan statements that read an unlogged stage whole, for as many workers as there may be.

    An error leaves the settings to the rollback that it needs anyway.
    """
    if not place.unlogged:
        yield
        return
    names = list(_EAGER)
    row = connection.execute("select current_setting(%s), current_setting(%s)", names).fetchone()
    assert row is not None  # noqa: S101  a select without a table gives one row
    change = "select set_config(%s, %s, true), set_config(%s, %s, true)"
    connection.execute(change, [word for pair in _EAGER.items() for word in pair])
    yield
    connection.execute(change, [word for pair in zip(names, row, strict=True) for word in pair])
