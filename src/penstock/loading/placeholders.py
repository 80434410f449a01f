"""Makes marked parent rows for rows that are loaded without one. Not for: other policies."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from penstock.loading.parents import Parents
from penstock.model.table import TableSpec
from penstock.postgres.names import listed, qualified
from penstock.postgres.staging import StagingTable


def add_missing_parents(
    connection: psycopg.Connection[Any], spec: TableSpec, parents: Parents
) -> int:
    """Insert the parents that rows of the filled table lack; gives how many."""
    return connection.execute(_insert(parents, qualified(spec.name), sql.SQL("true"))).rowcount


def add_parents_of_stage(
    connection: psycopg.Connection[Any], stage: StagingTable, parents: Parents
) -> int:
    """Insert the parents that staged rows lack, those not to be inserted left out."""
    return connection.execute(_insert(parents, stage.table, stage.span(None, None))).rowcount


def _insert(parents: Parents, source: sql.Identifier, live: sql.Composable) -> sql.Composed:
    key = parents.key
    pairs = list(zip(key.columns, key.parent_columns, strict=True))
    return sql.SQL(
        "insert into {parent} ({columns}, {mark}) "
        "select distinct {values}, true from {source} s where {complete} and {live} "
        "and not exists (select from {parent} p where {same}) "
        "on conflict do nothing"
    ).format(
        parent=qualified(key.parent),
        columns=listed(key.parent_columns),
        mark=sql.Identifier(parents.mark or ""),
        values=listed(key.columns, "s"),
        source=source,
        live=live,
        complete=sql.SQL(" and ").join(
            sql.SQL("s.{} is not null").format(sql.Identifier(mine)) for mine, _ in pairs
        ),
        same=sql.SQL(" and ").join(
            sql.SQL("p.{} = s.{}").format(sql.Identifier(theirs), sql.Identifier(mine))
            for mine, theirs in pairs
        ),
    )
