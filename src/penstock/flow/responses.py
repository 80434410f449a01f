"""What became of each row that a job gave to a load. Not for: the load's books (`tally`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, LiteralString

import polars as pl
import psycopg
from psycopg import sql

from penstock.ledger.quarantine import texts_of
from penstock.model.batch import ROW, file_of, record_of
from penstock.model.table import TableSpec
from penstock.postgres.catalog import read_table
from penstock.postgres.names import qualified

#: Keys that are looked up at once.
_CHUNK = 50_000
#: SQLSTATE and rule of a reference to what is not there.
_NO_PARENT = ("23503", "no_match")
#: Those that a load refused, by where they came from.
_REFUSED: LiteralString = (
    "select source, record, codes[1], reasons[1], awaits_parent, raw_values::text "
    "from penstock.rejects where last_load = %s and status = 'waiting'"
)
#: Values that refer to nothing, of rows that these loads refused or let wait.
_MISSING: LiteralString = (
    "select distinct bad from penstock.rejects r, unnest(r.columns, r.codes, r.bad_values) "
    "as one(col, code, bad) where r.last_load::text = any(%s) and r.status = 'waiting' "
    "and one.col = %s and one.code = any(%s) and bad is not null order by bad"
)


@dataclass(frozen=True, slots=True)
class Given:
    """The rows that a job gave to a load.

    Attributes:
        frame: As the job had them, with `_row`.
        made: The target's fields of the same rows, in the same order, as the map made them.
        names: Number of an input, as in `_row` -> its name.
        key: The target's columns by which a row is known; empty: its primary key.
    """

    frame: pl.DataFrame = field(repr=False)
    made: pl.DataFrame = field(repr=False)
    names: Mapping[int, str] = field(repr=False)
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a row was refused."""

    code: str
    reason: str
    waits: bool
    raw_values: str | None

    def of(self, given: Given, number: int) -> bool:
        """Whether it is this row that was refused, by its values."""
        texts = {} if self.raw_values is None else texts_of(self.raw_values)
        row = given.made.drop(ROW).row(number, named=True)
        return bool(texts) and all(
            texts.get(name) == (None if value is None else str(value))
            for name, value in row.items()
        )


def key_of(connection: psycopg.Connection[Any], given: Given, table: str) -> tuple[str, ...]:
    """The columns by which rows of a load are known: its key, else the table's primary key."""
    if given.key:
        return given.key
    own = read_table(connection, table).primary_key
    return own.columns if own is not None else ()


def responses(
    connection: psycopg.Connection[Any], given: Given, load_id: str | None, table: str
) -> pl.DataFrame:
    """One row for each row that was given, in its order.

    Args:
        connection: That sees the load.
        given: The rows.
        load_id: The load's; None: it was rolled back.
        table: Its target.

    Returns:
        `_row` (Int64); `key` (String, of several columns with ", " between); `outcome`: `loaded`,
        `refused`, `waits` (for its parent), or `undone`; `target_id` (String): the row's primary
        key where that is one column and no part of the key; `code`, `reason` (String).
    """
    spec = read_table(connection, table)
    places: list[_Refusal | None] = [None] * given.frame.height
    taken = "undone"
    if load_id is not None:
        places, taken = _refusals(connection, given, load_id), "loaded"
    outcomes = [taken if p is None else "waits" if p.waits else "refused" for p in places]
    names = [name for name in key_of(connection, given, table) if name in given.made.columns]
    keys = given.made.select(pl.col(name).cast(pl.String) for name in names)
    loaded = [place for place, one in enumerate(outcomes) if one == "loaded"]
    ids: dict[int, str] = {}
    # Keys may be written in a grammar that the server does not read.
    with suppress(psycopg.DataError), connection.transaction():
        ids = _ids(connection, spec, keys, loaded)
    joined = [", ".join("" if text is None else text for text in row) for row in keys.iter_rows()]
    return given.frame.select(ROW).with_columns(
        pl.Series("key", joined or [""] * len(places), dtype=pl.String),
        pl.Series("outcome", outcomes, dtype=pl.String),
        pl.Series("target_id", map(ids.get, range(len(places))), dtype=pl.String),
        pl.Series("code", [p and p.code for p in places], dtype=pl.String),
        pl.Series("reason", [p and p.reason for p in places], dtype=pl.String),
    )


def _refusals(
    connection: psycopg.Connection[Any], given: Given, load_id: str
) -> list[_Refusal | None]:
    """Why each row was refused; None where it was not."""
    known: dict[tuple[str, int], list[_Refusal]] = {}
    for source, record, *rest in connection.execute(_REFUSED, [load_id]):
        known.setdefault((source, record), []).append(_Refusal(*rest))
    # As `loading.inputs.traced` calls rows without an origin: by their place in the frame.
    whole = ", ".join(dict.fromkeys(given.names.values())) or "frame"
    places: dict[tuple[str, int], list[int]] = {}
    for number, row in enumerate(given.frame.get_column(ROW).to_list()):
        of = (
            (whole, number + 1)
            if row is None
            else (given.names.get(file_of(row), whole), record_of(row))
        )
        if of in known:
            places.setdefault(of, []).append(number)
    found: list[_Refusal | None] = [None] * given.frame.height
    for of, numbers in places.items():
        for refusal in known[of]:
            # Of one record several rows may have been made: what was refused tells them apart.
            same = [number for number in numbers if len(numbers) == 1 or refusal.of(given, number)]
            for number in same or numbers:
                found[number] = refusal
    return found


def missing(
    connection: psycopg.Connection[Any], loads: Sequence[str], column: str
) -> tuple[str, ...]:
    """Values of a column that refer to nothing, of rows that these loads refused or let wait."""
    found = connection.execute(_MISSING, [list(loads), column, list(_NO_PARENT)])
    return tuple(row[0] for row in found)


def _ids(
    connection: psycopg.Connection[Any], spec: TableSpec, keys: pl.DataFrame, places: list[int]
) -> dict[int, str]:
    """The primary keys of the rows at these places, by place."""
    own = spec.primary_key.columns if spec.primary_key is not None else ()
    if len(own) != 1 or not keys.columns or own[0] in keys.columns:
        return {}
    found, statement = {}, _find(spec, keys.columns, own[0])
    for start in range(0, len(places), _CHUNK):
        part = places[start : start + _CHUNK]
        values = [column.to_list() for column in keys[part].get_columns()]
        for number, identity in connection.execute(statement, values):
            found[part[number - 1]] = identity
    return found


def _find(spec: TableSpec, keys: Sequence[str], own: str) -> sql.Composed:
    types = {column.name: column.type for column in spec.columns}
    return sql.SQL(
        "select s.penstock_number, t.{own}::text from unnest({values}) with ordinality "
        "as s({names}, penstock_number) join {target} t on {pairs}"
    ).format(
        own=sql.Identifier(own),
        values=sql.SQL(", ").join(
            sql.SQL("%s::{}[]").format(sql.SQL(types[name])) for name in keys
        ),
        names=sql.SQL(", ").join(map(sql.Identifier, keys)),
        target=qualified(spec.name),
        pairs=sql.SQL(" and ").join(
            sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in keys
        ),
    )
