"""Makes marked parent rows for rows that are loaded without one. Not for: other policies."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from penstock.loading.isolate import Refused, refused_in_turn
from penstock.loading.parents import Parents
from penstock.model.table import TableSpec
from penstock.postgres.catalog import read_spec
from penstock.postgres.names import listed, qualified
from penstock.postgres.sqlstates import Kind, kind_of
from penstock.postgres.staging import ROW_COLUMN, StagingTable

#: The keys of parents that staged rows lack, numbered, while it is found out which are refused.
_LACKING = sql.Identifier("pg_temp", "penstock_lacking")


def add_missing_parents(
    connection: psycopg.Connection[Any], spec: TableSpec, parents: Parents
) -> int:
    """Insert the parents that rows of the filled table lack; gives how many."""
    here = sql.SQL("true")
    statement = _insert(parents, _lacking(parents, qualified(spec.name), here, here))
    return connection.execute(statement).rowcount


def add_parents_of_stage(
    connection: psycopg.Connection[Any], stage: StagingTable, parents: Parents
) -> int:
    """Insert the parents that staged rows lack, those not to be inserted left out."""
    statement = _insert(parents, _lacking_of_stage(stage, parents))
    return connection.execute(statement).rowcount


def refuse_children(
    connection: psycopg.Connection[Any], stage: StagingTable, parents: Parents
) -> int:
    """List the staged rows whose placeholder parent the server refuses; gives how many."""
    try:
        with connection.transaction(force_rollback=True):
            add_parents_of_stage(connection, stage, parents)
        return 0
    except psycopg.Error as error:
        if kind_of(error) is not Kind.ROW:
            raise
    connection.execute(
        sql.SQL(
            "create temporary table {} on commit drop as select row_number() over (order by k) "
            "as penstock_key, null::text as penstock_code, null::text as penstock_said, k.* "
            "from ({}) k"
        ).format(_LACKING, _lacking_of_stage(stage, parents))
    )
    with connection.transaction(force_rollback=True):
        refused = _refused(connection, parents)
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "update {} set penstock_code = %s, penstock_said = %s where penstock_key = %s"
            ).format(_LACKING),
            [(one.code, one.said, one.row) for one in refused],
        )
    count = connection.execute(_refuse(stage, parents)).rowcount
    connection.execute(sql.SQL("drop table {}").format(_LACKING))
    return count


def _refused(connection: psycopg.Connection[Any], parents: Parents) -> list[Refused]:
    one = sql.SQL("select {} from {} where penstock_key = penstock_number").format(
        listed(parents.key.parent_columns), _LACKING
    )
    numbers = sql.SQL("select penstock_key from {} order by 1").format(_LACKING)
    parent = read_spec(connection, parents.key.parent)
    return refused_in_turn(connection, parent, numbers, _insert(parents, one))


def _refuse(stage: StagingTable, parents: Parents) -> sql.Composed:
    key = parents.key
    named = f"{key.parent} takes no placeholder {', '.join(key.parent_columns)} "
    return sql.SQL(
        "insert into {bad} (row, col, code, message) select s.{row}, {columns}, l.penstock_code, "
        "{named} || concat_ws(', ', {values}) || ': ' || l.penstock_said "
        "from {stage} s join {lacking} l on {same} where l.penstock_code is not null and {live}"
    ).format(
        bad=stage.bad,
        row=sql.Identifier(ROW_COLUMN),
        columns=sql.Literal(", ".join(key.columns)),
        named=sql.Literal(named),
        values=listed(key.columns, "s"),
        stage=stage.table,
        lacking=_LACKING,
        same=_same(parents, "l"),
        live=stage.span(None, None),
    )


def _insert(parents: Parents, keys: sql.Composable) -> sql.Composed:
    return sql.SQL(
        "insert into {parent} ({columns}, {mark}) select k.*, true from ({keys}) k "
        "on conflict do nothing"
    ).format(
        parent=qualified(parents.key.parent),
        columns=listed(parents.key.parent_columns),
        mark=sql.Identifier(parents.mark or ""),
        keys=keys,
    )


def _lacking_of_stage(stage: StagingTable, parents: Parents) -> sql.Composed:
    key, live = parents.key, stage.span(None, None)
    alone: sql.Composable = sql.SQL("true")
    if key.parent == stage.spec.name and {c.name for c in stage.columns} >= set(key.parent_columns):
        # Parents of the table itself may come in this very load.
        alone = sql.SQL(
            "not exists (select from {stage} o where {same} "
            "and not exists (select from {bad} b where b.row = o.{row}))"
        ).format(
            stage=stage.table,
            same=_same(parents, "o"),
            bad=stage.bad,
            row=sql.Identifier(ROW_COLUMN),
        )
    return _lacking(parents, stage.table, live, alone)


def _lacking(
    parents: Parents, source: sql.Identifier, live: sql.Composable, alone: sql.Composable
) -> sql.Composed:
    """A SELECT of the keys that rows have and no parent has, named as the parent's columns."""
    key = parents.key
    pairs = list(zip(key.columns, key.parent_columns, strict=True))
    return sql.SQL(
        "select distinct {values} from {source} s where {complete} and {live} and {alone} "
        "and not exists (select from {parent} p where {same})"
    ).format(
        values=sql.SQL(", ").join(
            sql.SQL("{} as {}").format(sql.Identifier("s", mine), sql.Identifier(theirs))
            for mine, theirs in pairs
        ),
        source=source,
        complete=sql.SQL(" and ").join(
            sql.SQL("s.{} is not null").format(sql.Identifier(mine)) for mine, _ in pairs
        ),
        live=live,
        alone=alone,
        parent=qualified(key.parent),
        same=_same(parents, "p"),
    )


def _same(parents: Parents, other: str) -> sql.Composed:
    """The other row's key is that of the row `s`."""
    key = parents.key
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(other, theirs), sql.Identifier("s", mine))
        for mine, theirs in zip(key.columns, key.parent_columns, strict=True)
    )
