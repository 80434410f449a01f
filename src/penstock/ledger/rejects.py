"""Writes refused rows into the ledger. Not for: listing or closing them (`quarantine`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, LiteralString

import polars as pl
import psycopg
from psycopg import sql

from penstock.ledger.rows import copy_rows, mapped, without_nul
from penstock.model.batch import LINE, ROW
from penstock.model.table import TableName, TableSpec
from penstock.postgres.encodings import Encoding, encoding_of
from penstock.postgres.names import qualified
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "rejects.sql")

_INTEGERS = ("int2", "int4", "int8")
#: Codes of a row whose parent is missing, perhaps because it was refused itself.
_ORPHANED = ["23503", "parent_refused"]
#: Why a load resolves what others refused.
_LATER = "a later load brought the row"


def write(
    connection: psycopg.Connection[Any],
    load_id: str,
    table: TableName,
    frames: Iterable[pl.DataFrame],
    origin: Callable[[int], tuple[str, int]],
    *,
    supplied: Collection[str] = (),
    awaited: Collection[str] = (),
    newer: Sequence[sql.Composable] = (),
) -> int:
    """Keep refused rows as waiting; a row that waits already counts up.

    Args:
        connection: In the transaction of the data.
        load_id: The load.
        table: The target.
        frames: Refused rows: `_row`, `_line`, `raw`, `values`, `columns`, `codes`, `reasons`,
            `bad`, `key`.
        origin: Gives the source's name and the record number of a `_row`.
        supplied: The target's columns beside its key that the rows would have filled; none: it is
            not known.
        awaited: Columns, as faults name them, whose missing parents are waited for.
        newer: Conditions under which the load has brought a row that is newer than the refused
            row `i` and has its key, as of `key_brought`: where `i` waits for its parents, it is
            resolved.

    Returns:
        How many were resolved so.
    """
    _incoming(connection, table, frames, origin, awaited)
    _merge(connection, {**_of(load_id, table), "supplied": list(supplied)})
    own = sql.SQL(
        "r.awaits_parent and r.last_load = {} and r.fingerprint in "
        "(select i.fingerprint from pg_temp.penstock_rejects_in i where i.awaits_parent and {})"
    )
    note = "a later row of the same load has its key"
    closed = 0
    for condition in newer:
        which = sql.SQL("{} and {}").format(
            _of_table(table), own.format(sql.Literal(load_id), condition)
        )
        closed += _resolve(connection, load_id, which, note)
    connection.execute("drop table pg_temp.penstock_rejects_in")
    return closed


def _merge(connection: psycopg.Connection[Any], of: Mapping[str, Any]) -> None:
    """New rows are inserted in the order of the file, in which people list and replay them.

    Another load may insert the same ones in another order at the same time: who is told of the
    deadlock lets go of its rows, waits for the commits of the others, and counts up theirs.
    """
    for turn in ("beside", "alone"):
        try:
            with connection.transaction():
                for step in (turn, "lock", "merge"):
                    connection.execute(_SQL[step], of)
            return
        except psycopg.errors.DeadlockDetected:
            if turn == "alone":
                raise


def write_void(
    connection: psycopg.Connection[Any],
    load_id: str,
    table: TableName,
    frames: Iterable[pl.DataFrame],
    origin: Callable[[int], tuple[str, int]],
) -> int:
    """Keep refused rows of a load that was rolled back, to look at and export; gives how many."""
    count = _incoming(connection, table, frames, origin, ())
    connection.execute(_SQL["void"], _of(load_id, table))
    connection.execute("drop table pg_temp.penstock_rejects_in")
    return count


def supersede(connection: psycopg.Connection[Any], load_id: str, table: TableName) -> int:
    """Resolve what waited for a table that this load emptied and filled.

    Returns:
        How many of them waited for their parents.
    """
    return sum(row[0] for row in connection.execute(_SQL["supersede"], _of(load_id, table)))


def replace(connection: psycopg.Connection[Any], load_id: str, ids: Sequence[int]) -> int:
    """Resolve those of these rejects that this load did not meet again; gives how many."""
    if not ids:
        return 0
    return connection.execute(_SQL["replace"], {"load_id": load_id, "ids": list(ids)}).rowcount


def overtake(connection: psycopg.Connection[Any], load_id: str, table: TableName) -> int:
    """Of rows with one key that wait for their parents, keep the newest, which this load met.

    Returns:
        How many others were resolved.
    """
    return connection.execute(_SQL["overtaken"], _of(load_id, table)).rowcount


def cleared(connection: psycopg.Connection[Any], table: TableName) -> int:
    """Resolve what waited for its parents in a table that was emptied; gives how many."""
    return connection.execute(
        _SQL["cleared"], {"schema": table.schema, "table": table.table}
    ).rowcount


def any_key_waits(connection: psycopg.Connection[Any], spec: TableSpec) -> bool:
    """Are there rejects of the table that a load may resolve by bringing their key?"""
    of = {"schema": spec.name.schema, "table": spec.name.table}
    row = connection.execute(_SQL["waiting_keys"], of).fetchone()
    return spec.primary_key is not None and row is not None and bool(row[0])


def waiting_without_row(
    connection: psycopg.Connection[Any], spec: TableSpec, *, awaiting: bool
) -> list[int]:
    """Ids of waiting rejects whose key is readable and not in the table now.

    Asked before a load: those whose key is there after it were resolved by it.

    Args:
        connection: In the transaction of the data.
        spec: The table.
        awaiting: True: also of rows that wait for their parents.
    """
    name = spec.name
    if spec.primary_key is None:
        return []
    found = connection.execute(
        sql.SQL(
            "select r.reject_id from penstock.rejects r where r.schema_name = {schema} "
            "and r.table_name = {name} and r.status = 'waiting' and r.key is not null "
            "and cardinality(r.key) = {parts} and (not r.awaits_parent or {awaiting}) "
            "and not exists (select from {table} t where {same})"
        ).format(
            awaiting=sql.Literal(awaiting),
            schema=sql.Literal(name.schema),
            name=sql.Literal(name.table),
            parts=sql.Literal(len(spec.primary_key.columns)),
            table=qualified(name),
            same=_key_is(spec),
        )
    ).fetchall()
    return [reject_id for (reject_id,) in found]


def resolve(
    connection: psycopg.Connection[Any], load_id: str, spec: TableSpec, ids: Sequence[int]
) -> int:
    """Resolve those of these rejects whose key is in the table now.

    Returns:
        How many of them waited for their parents.
    """
    if not ids:
        return 0
    # No parameter: a per cent sign in a name would be taken for one.
    which = sql.SQL(
        "r.reject_id = any ({}) and r.last_load <> {} and exists (select from {} t where {})"
    ).format(sql.Literal(list(ids)), sql.Literal(load_id), qualified(spec.name), _key_is(spec))
    return _resolve(connection, load_id, which, _LATER)


def resolve_brought(
    connection: psycopg.Connection[Any],
    load_id: str,
    spec: TableSpec,
    brought: sql.Composable,
    supplied: Collection[str],
) -> int:
    """Resolve the rejects whose key is that of a row of the table that this load brought.

    Also where the table had it before, and the load updated it or found it equal; unless the
    load filled none of the columns that the refused row would have filled.

    Args:
        connection: In the transaction of the data, the table filled.
        load_id: The load.
        spec: The table, with a primary key.
        brought: A condition on the table's row `t`.
        supplied: The target's columns beside its key that the load filled.

    Returns:
        How many of them waited for their parents.
    """
    same_columns = sql.SQL("(coalesce(r.supplied, '{{}}') = '{{}}' or r.supplied && {}::text[])")
    which = sql.SQL("{} and r.last_load <> {} and {} and {}").format(
        _of_table(spec.name),
        sql.Literal(load_id),
        same_columns.format(sql.Literal(list(supplied))),
        key_brought(spec, brought, "r"),
    )
    return _resolve(connection, load_id, which, _LATER)


def key_brought(spec: TableSpec, brought: sql.Composable, row: LiteralString) -> sql.Composed:
    """The condition that a reject has the key of a row of the table that a load brought.

    Args:
        spec: The table, with a primary key.
        brought: A condition on the table's row `t`.
        row: The reject's name in the query; it has a `key`.
    """
    return sql.SQL(
        "{row}.key is not null and cardinality({row}.key) = {parts} "
        "and exists (select from {table} t where {same} and {brought})"
    ).format(
        row=sql.SQL(row),
        parts=sql.Literal(len(spec.primary_key.columns if spec.primary_key else ())),
        table=qualified(spec.name),
        same=_key_is(spec, row),
        brought=brought,
    )


def _resolve(
    connection: psycopg.Connection[Any], load_id: str, which: sql.Composable, note: str
) -> int:
    # Two loads take them in one order; what another one has closed meanwhile is left alone.
    rows = connection.execute(
        sql.SQL(
            "with found as (select r.reject_id from penstock.rejects r where {which} "
            "and r.status = 'waiting' order by r.reject_id for update) "
            "update penstock.rejects r set status = 'resolved', closed_by = {load}::uuid, "
            "closed_at = clock_timestamp(), note = case when r.awaits_parent then 'superseded: ' "
            "else '' end || {note} "
            "from found where r.reject_id = found.reject_id returning r.awaits_parent"
        ).format(which=which, load=sql.Literal(load_id), note=sql.Literal(note))
    )
    return sum(row[0] for row in rows)


def _of_table(table: TableName) -> sql.Composed:
    return sql.SQL("r.schema_name = {} and r.table_name = {}").format(
        sql.Literal(table.schema), sql.Literal(table.table)
    )


def _key_is(spec: TableSpec, row: LiteralString = "r") -> sql.Composed:
    """The table's key is the reject's; compared so that no text can fail to be cast."""
    assert spec.primary_key is not None  # noqa: S101  the callers asked
    parts = []
    for place, column in enumerate(spec.primary_key.columns, start=1):
        name = sql.Identifier("t", column)
        text = sql.SQL("{}.key[{}]").format(sql.SQL(row), sql.Literal(place))
        if spec.column(column).base in _INTEGERS:
            # A key that was text when the row was refused must not fail the load of today.
            number = sql.SQL("case when {0} ~ '^-?[0-9]{{1,18}}$' then {0}::bigint end")
            parts.append(sql.SQL("{} = {}").format(name, number.format(text)))
        elif spec.column(column).base in ("text", "varchar"):
            parts.append(sql.SQL("{} = {}").format(name, text))
        else:
            parts.append(sql.SQL("{}::text = lower({})").format(name, text))
    return sql.SQL(" and ").join(parts)


def _of(load_id: str, table: TableName) -> dict[str, str]:
    return {"load_id": load_id, "schema": table.schema, "table": table.table}


def _incoming(
    connection: psycopg.Connection[Any],
    table: TableName,
    frames: Iterable[pl.DataFrame],
    origin: Callable[[int], tuple[str, int]],
    awaited: Collection[str],
) -> int:
    connection.execute(_SQL["incoming"])
    encoding = encoding_of(connection)
    met: dict[bytes, int] = {}
    count = 0
    with (
        connection.cursor() as cursor,
        cursor.copy("copy pg_temp.penstock_rejects_in from stdin") as copy,
    ):
        for frame in frames:
            pairs = zip(frame["raw"], frame["values"], strict=True)
            marks = [_fingerprint(table, raw, values, met) for raw, values in pairs]
            origins = [origin(row) for row in frame[ROW]]
            rows = frame.select(
                pl.Series("mark", marks, dtype=pl.Binary),
                pl.Series("source", [source for source, _ in origins], dtype=pl.String),
                pl.Series("record", [record for _, record in origins], dtype=pl.Int64),
                *(LINE, "raw", "values", "columns", "codes", "reasons", "bad", "key"),
                waits=waits(awaited),
                row=ROW,
            )
            copy_rows(connection, copy, as_kept(rows, encoding))
            count += frame.height
    return count


def waits(awaited: Collection[str]) -> pl.Expr:
    """True for refused rows that lack nothing but parents that are waited for."""
    lacking = pl.col("codes").list.eval(pl.element().is_in(_ORPHANED)).list.all()
    return lacking & pl.col("columns").list.eval(pl.element().is_in(list(awaited))).list.all()


def as_kept(rows: pl.DataFrame, encoding: Encoding | None) -> pl.DataFrame:
    r"""Refused rows as the ledger can hold them; `raw` has them as they were.

    NUL, which PostgreSQL never holds, is `\x00`; what its encoding lacks is `\u20ac`. A key with
    either is unknown: no load can bring it.
    """
    kept = rows.with_columns(without_nul("reasons"), without_nul("bad"))
    if "key" in rows.columns:
        spoilt = pl.col("key").list.eval(pl.element().str.contains("\0", literal=True)).list.any()
        kept = kept.with_columns(key=pl.when(~spoilt.fill_null(value=False)).then("key"))
    if encoding is None:
        return kept
    for name in ("reasons", "bad"):
        told = [[_shown(text, encoding) for text in texts] for texts in kept[name]]
        kept = mapped(kept, name, told)
    if "key" not in rows.columns:
        return kept
    kept = mapped(kept, "source", [encoding.shown(text) for text in kept["source"]])
    values = [None if text is None else encoding.in_json(text) for text in kept["values"]]
    keys = [None if key is None else _held(list(key), encoding) for key in kept["key"]]
    return mapped(mapped(kept, "values", values), "key", keys)


def _shown(text: str | None, encoding: Encoding) -> str | None:
    return None if text is None else encoding.shown(text)


def _held(key: Sequence[str], encoding: Encoding) -> Sequence[str] | None:
    return None if any(encoding.shown(text) != text for text in key) else key


def _fingerprint(table: TableName, raw: bytes, values: str | None, met: dict[bytes, int]) -> bytes:
    """Names a refused row of a table, whatever file it comes in; its copies are told apart."""
    content = hashlib.sha256(f"{table.schema}\0{table.table}\0".encode())
    content.update(raw or (values or "").encode())
    plain = content.digest()
    met[plain] = met.get(plain, 0) + 1
    if met[plain] == 1:
        return plain
    content.update(b"\0" + str(met[plain]).encode())
    return content.digest()
