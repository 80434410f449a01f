"""Takes constraints and indexes off a table and puts them back. Not for: choosing them (`plan`)."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from penstock.model.table import TableName
from penstock.postgres.constraints.plan import ConstraintPlan
from penstock.postgres.names import qualified

#: From this version on a foreign key can be switched off and on, and keeps all that hangs on it.
_NOT_ENFORCED_FROM = 180000


def take_off(connection: psycopg.Connection[Any], table: TableName, plan: ConstraintPlan) -> None:
    """Drop (or, from PostgreSQL 18 on, switch off) what the plan names, foreign keys first."""
    switch = connection.info.server_version >= _NOT_ENFORCED_FROM
    form = "alter constraint {} not enforced" if switch else "drop constraint {}"
    actions = [sql.SQL(form).format(sql.Identifier(part.name)) for part in plan.foreign_keys]
    actions += [
        sql.SQL("drop constraint {}").format(sql.Identifier(part.constraint))
        for part in plan.indexes
        if part.constraint is not None
    ]
    _alter(connection, table, actions)
    for part in plan.indexes:
        if part.constraint is None:
            connection.execute(
                sql.SQL("drop index {}").format(sql.Identifier(table.schema, part.name))
            )


def put_back(connection: psycopg.Connection[Any], table: TableName, plan: ConstraintPlan) -> None:
    """Put back what `take_off` took, checking every row, in one pass over the table for each kind.

    Raises:
        psycopg.errors.UniqueViolation: A key occurs twice.
        psycopg.errors.ForeignKeyViolation: A parent is missing.
    """
    switch = connection.info.server_version >= _NOT_ENFORCED_FROM
    add = sql.SQL("add constraint {} {}")
    actions = [
        # The definitions are PostgreSQL's own words, read from its catalog in this transaction.
        add.format(sql.Identifier(part.constraint), _verbatim(part.definition))
        for part in reversed(plan.indexes)
        if part.constraint is not None
    ]
    if not switch:
        actions += [
            add.format(sql.Identifier(part.name), _verbatim(part.definition))
            for part in plan.foreign_keys
        ]
    _alter(connection, table, actions)
    if switch:
        for part in plan.foreign_keys:
            form = sql.SQL("alter constraint {} enforced")
            _alter(connection, table, [form.format(sql.Identifier(part.name))])
    for index in plan.indexes:
        if index.constraint is None:
            connection.execute(_verbatim(index.definition))
    for part in plan.foreign_keys:
        if part.comment is not None and not switch:
            connection.execute(
                sql.SQL("comment on constraint {} on {} is {}").format(
                    sql.Identifier(part.name), qualified(table), sql.Literal(part.comment)
                )
            )


def _alter(
    connection: psycopg.Connection[Any], table: TableName, actions: list[sql.Composed]
) -> None:
    if actions:
        connection.execute(
            sql.SQL("alter table {} {}").format(qualified(table), sql.SQL(", ").join(actions))
        )


def _verbatim(definition: str) -> sql.SQL:
    return sql.SQL(definition)  # of pg_get_*def, not of a user
