"""Moves sequences past the ids that a load supplied. Not for: making ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from penstock.model.table import TableSpec
from penstock.postgres.names import qualified


def advance(connection: psycopg.Connection[Any], spec: TableSpec, columns: Sequence[str]) -> None:
    """Set the sequence behind each supplied identity or serial column to the greatest value.

    Otherwise the next row that an application inserts would take an id that is there. A sequence
    never goes back; one that the role may not set, that counts down or that ends below the greatest
    value is left alone. The change is not undone by a rollback (PostgreSQL, chapter "Sequence
    Manipulation Functions"): it is made last.
    """
    for column in spec.columns:
        if column.name not in columns or not column.has_default:
            continue
        row = connection.execute(
            "select s, has_sequence_privilege(s, 'UPDATE') "
            "from pg_get_serial_sequence(%s, %s) s where s is not null",
            [qualified(spec.name).as_string(connection), column.name],
        ).fetchone()
        if row is None or not row[1]:
            continue
        connection.execute(
            sql.SQL(
                "select setval({name}, top) from (select max({column}) as top from {table}) t "
                "where exists (select from pg_sequences q where increment_by > 0 "
                "and format('%I.%I', schemaname, sequencename)::regclass = {name}::regclass "
                "and top between coalesce(last_value, min_value) and max_value)"
            ).format(
                name=sql.Literal(row[0]),
                column=sql.Identifier(column.name),
                table=qualified(spec.name),
            )
        )
