"""Proves that a table is as it was, in all that is not rows. Not for: comparing rows."""

from __future__ import annotations

from typing import Any

import psycopg

from penstock.errors import LoadError
from penstock.model.table import TableName
from penstock.postgres.queries import queries

_SQL = queries("penstock.postgres.sql", "constraints.sql")


def fingerprint(connection: psycopg.Connection[Any], oid: int) -> tuple[str, ...]:
    """Owner, rights, columns, constraints, indexes, triggers, policies, views, as sorted lines."""
    return tuple(row[0] for row in connection.execute(_SQL["fingerprint"], {"oid": oid}))


def compare(table: TableName, before: tuple[str, ...], after: tuple[str, ...]) -> None:
    """Hold two fingerprints against each other.

    Raises:
        LoadError: They differ; the message names the first line that does.
    """
    if before == after:
        return
    lost = sorted(set(before) - set(after)) or sorted(set(after) - set(before))
    raise LoadError(
        f"{table} would not be as it was after the load: {lost[0][:200]}. The load was rolled "
        "back; run it with --keep-constraints, and report this table's definition.",
        code="fingerprint",
    )
