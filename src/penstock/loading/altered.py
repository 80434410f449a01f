"""Makes a planned table or column in the transaction of the data. Not for: planning (`change`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg

from penstock.errors import TryAgain
from penstock.loading.prepare import Prepared
from penstock.postgres.catalog import read_spec
from penstock.postgres.locks import lock_tables


def altered(
    connection: psycopg.Connection[Any], prepared: Prepared, lock_timeout: float
) -> Prepared:
    """Carry out what was planned, and look at the table that came of it.

    Where every file was loaded before, nothing is changed.

    Args:
        connection: Inside the transaction of the data.
        prepared: With the change, or without one.
        lock_timeout: Seconds to wait for the lock of a table that is there.

    Raises:
        TryAgain: The lock could not be had, or another session was faster.
        psycopg.Error: The role may not do it.
    """
    change = prepared.change
    if change is None or not (prepared.inputs or change.creates):
        return prepared
    name = change.spec.name
    if not change.creates:
        lock_tables(connection, [name], lock_timeout)
    try:
        connection.execute(change.statements.make)
    except (psycopg.errors.DuplicateTable, psycopg.errors.DuplicateColumn) as error:
        raise TryAgain(
            f"{name} was changed by another session just now. Nothing was changed here; try again.",
            code=error.sqlstate or "",
        ) from None
    spec = read_spec(connection, name)
    inputs = tuple(
        (
            one,
            replace(
                matching,
                pairs=tuple((source, spec.column(c.name)) for source, c in matching.pairs),
                missing=tuple(spec.column(c.name) for c in matching.missing),
            ),
        )
        for one, matching in prepared.inputs
    )
    return replace(prepared, spec=spec, inputs=inputs)
