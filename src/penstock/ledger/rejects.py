"""Writes refused rows into the ledger. Not for: listing or closing them (`quarantine`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from penstock.model.table import TableName, TableSpec
from penstock.postgres.encodings import Encoding, encoding_of
from penstock.postgres.names import qualified
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "rejects.sql")

_INTEGERS = ("int2", "int4", "int8")


def write(
    connection: psycopg.Connection[Any],
    load_id: str,
    table: TableName,
    frames: Iterable[pl.DataFrame],
    origin: Callable[[int], tuple[str, int]],
) -> int:
    """Keep refused rows as waiting; a row that waits already counts up. Gives how many there were.

    Args:
        connection: In the transaction of the data.
        load_id: The load.
        table: The target.
        frames: Refused rows: `_row`, `_line`, `raw`, `values`, `columns`, `codes`, `reasons`,
            `bad`, `key`.
        origin: Gives the source's name and the record number of a `_row`.
    """
    count = _incoming(connection, table, frames, origin)
    connection.execute(_SQL["merge"], _of(load_id, table))
    connection.execute("drop table pg_temp.penstock_rejects_in")
    return count


def write_void(
    connection: psycopg.Connection[Any],
    load_id: str,
    table: TableName,
    frames: Iterable[pl.DataFrame],
    origin: Callable[[int], tuple[str, int]],
) -> int:
    """Keep refused rows of a load that was rolled back, to look at and export."""
    count = _incoming(connection, table, frames, origin)
    connection.execute(_SQL["void"], _of(load_id, table))
    connection.execute("drop table pg_temp.penstock_rejects_in")
    return count


def supersede(connection: psycopg.Connection[Any], load_id: str, table: TableName) -> int:
    """Resolve what waited for a table that this load emptied and filled; gives how many."""
    return connection.execute(_SQL["supersede"], _of(load_id, table)).rowcount


def waiting_without_row(connection: psycopg.Connection[Any], spec: TableSpec) -> list[int]:
    """Ids of waiting rejects whose key is readable and not in the table now.

    Asked before a load: those whose key is there after it were resolved by it.
    """
    name = spec.name
    row = connection.execute(
        _SQL["waiting_keys"], {"schema": name.schema, "table": name.table}
    ).fetchone()
    if spec.primary_key is None or row is None or not row[0]:
        return []
    found = connection.execute(
        sql.SQL(
            "select r.reject_id from penstock.rejects r where r.schema_name = {schema} "
            "and r.table_name = {name} and r.status = 'waiting' and r.key is not null "
            "and cardinality(r.key) = {parts} and not exists (select from {table} t where {same})"
        ).format(
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
    """Resolve those of these rejects whose key is in the table now; gives how many."""
    if not ids:
        return 0
    return connection.execute(
        sql.SQL(
            "update penstock.rejects r set status = 'resolved', closed_by = {load}::uuid, "
            "closed_at = clock_timestamp(), note = 'a later load brought the row' "
            "where r.reject_id = any ({ids}) and r.status = 'waiting' "
            "and r.last_load <> {load}::uuid and exists (select from {table} t where {same})"
        ).format(
            load=sql.Literal(load_id),
            table=qualified(spec.name),
            same=_key_is(spec),
            # No parameter: a per cent sign in a name would be taken for one.
            ids=sql.Literal(list(ids)),
        ),
    ).rowcount


def _key_is(spec: TableSpec) -> sql.Composed:
    """The table's key is the reject's; compared so that no text can fail to be cast."""
    assert spec.primary_key is not None  # noqa: S101  the callers asked
    parts = []
    for place, column in enumerate(spec.primary_key.columns, start=1):
        name, text = sql.Identifier("t", column), sql.SQL("r.key[{}]").format(sql.Literal(place))
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
            for row, line, raw, values, columns, codes, reasons, bad, key in frame.iter_rows():
                source, record = origin(row)
                mark = _fingerprint(table, raw, values, met)
                if encoding is not None:
                    source, key = encoding.shown(source), _held(key, encoding)
                    values = None if values is None else encoding.in_json(values)
                of_row = [mark, source, record, line, raw, values]
                of_faults = [columns, codes, as_kept(reasons, encoding), as_kept(bad, encoding)]
                copy.write_row([*of_row, *of_faults, None if _has_nul(key) else key])
                count += 1
    return count


def _has_nul(texts: Sequence[str | None] | None) -> bool:
    return any("\0" in text for text in texts or () if text)


def as_kept(texts: Sequence[str | None], encoding: Encoding | None) -> Sequence[str | None]:
    r"""The texts as the ledger can hold them; `raw` has them as they were.

    NUL, which PostgreSQL never holds, is `\x00`; what its encoding lacks is `\u20ac`.
    """
    if _has_nul(texts):
        texts = [None if text is None else text.replace("\0", "\\x00") for text in texts]
    if encoding is None:
        return texts
    return [None if text is None else encoding.shown(text) for text in texts]


def _held(key: Sequence[str] | None, encoding: Encoding) -> Sequence[str] | None:
    """The key, unless the encoding cannot hold it: then no load can bring it either."""
    return None if any(encoding.shown(text) != text for text in key or ()) else key


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
