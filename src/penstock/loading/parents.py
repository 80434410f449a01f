"""Foreign keys by set, before COPY. Not for: what only the server can decide (`staged`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from penstock.errors import UsageError
from penstock.model.options import OrphanPolicy
from penstock.model.table import ForeignKey, TableSpec
from penstock.postgres.names import listed, qualified

#: Parent keys above which the database looks for orphans instead: their set would cost memory.
MOST_KEYS = 200_000

#: Types whose equality is the same in Polars as in PostgreSQL, and how they are compared.
COMPARED: Mapping[str, pl.DataType] = {
    "int2": pl.Int64(),
    "int4": pl.Int64(),
    "int8": pl.Int64(),
    "text": pl.String(),
    "varchar": pl.String(),
    "uuid": pl.String(),
    "date": pl.Date(),
}
#: Names under which a parent's row may be marked as made by Penstock.
MARKS = ("inferred", "is_inferred")


@dataclass(frozen=True, slots=True)
class Parents:
    """A foreign key with what becomes of its orphans, and the parent's keys where they are few.

    Attributes:
        key: The foreign key.
        policy: For rows whose parent is missing.
        known: The parent's keys, one column for each of the foreign key's, or None where only the
            database can decide.
        refused: Keys of parent rows that this run refused, in the same form; None: none.
        mark: The parent's boolean column that marks placeholder rows; None for other policies.
    """

    key: ForeignKey
    policy: OrphanPolicy
    known: pl.DataFrame | None = None
    refused: pl.DataFrame | None = None
    mark: str | None = None


def policies(
    spec: TableSpec, orphans: Mapping[str, OrphanPolicy], lookups: Collection[str] = ()
) -> dict[str, OrphanPolicy]:
    """Foreign key name -> policy, from `column` or `table.column`.

    Entries that name another table are left to it.

    Raises:
        UsageError: No foreign key of the table has that column.
    """
    found: dict[str, OrphanPolicy] = {}
    for text, policy in orphans.items():
        if text in lookups:
            continue  # what is not found there is no orphan
        if policy is OrphanPolicy.UNKNOWN:
            raise UsageError(f"--orphans {text}=unknown goes with --lookup {text}=TABLE.KEY")
        table, _, column = text.rpartition(".")
        if table and table not in (spec.name.table, str(spec.name)):
            continue
        keys = [key for key in spec.foreign_keys if column in key.columns]
        if not keys:
            there = sorted({c for key in spec.foreign_keys for c in key.columns})
            raise UsageError(
                f"--orphans {text}: no foreign key of {spec.name} has the column {column}. "
                + (f"They are on: {', '.join(there)}." if there else "It has no foreign key.")
            )
        found |= {key.name: policy for key in keys}
    return found


def check_policy(key: ForeignKey, policy: OrphanPolicy, child: TableSpec, parent: TableSpec) -> str:
    """Can the policy be carried out on these tables? Gives the mark for `placeholder`.

    Raises:
        UsageError: It cannot; the message says what the table lacks.
    """
    if policy is OrphanPolicy.NULL:
        fixed = [name for name in key.columns if not child.column(name).nullable]
        if fixed:
            raise UsageError(
                f"--orphans {key.columns[0]}=null: {', '.join(fixed)} of {child.name} is NOT NULL"
            )
        return ""
    if policy is not OrphanPolicy.PLACEHOLDER:
        return ""
    marks = [c.name for c in parent.columns if c.name in MARKS and c.base == "bool"]
    if not marks:
        raise UsageError(
            f"--orphans {key.columns[0]}=placeholder: {parent.name} has no column that marks a "
            f"placeholder row. Add one: ALTER TABLE {parent.name} ADD COLUMN inferred boolean NOT "
            "NULL DEFAULT false"
        )
    needed = [
        c.name
        for c in parent.columns
        if not (c.nullable or c.has_default or c.generated)
        and c.name not in key.parent_columns
        and c.name != marks[0]
    ]
    if needed:
        raise UsageError(
            f"--orphans {key.columns[0]}=placeholder: a placeholder row of {parent.name} would "
            f"lack {', '.join(needed)} (NOT NULL without a default)"
        )
    return marks[0]


def comparable(key: ForeignKey, child: TableSpec, parent: TableSpec) -> bool:
    """True where Polars' equality of the key's columns is PostgreSQL's."""
    if key.row_security or not key.readable or not key.enforced:
        return False
    for mine, theirs in zip(key.columns, key.parent_columns, strict=True):
        one, other = child.column(mine), parent.column(theirs)
        if not (one.deterministic and other.deterministic):
            return False
        if COMPARED.get(one.base) != COMPARED.get(other.base) or one.base not in COMPARED:
            return False
    return True


def read_keys(
    connection: psycopg.Connection[Any], key: ForeignKey, child: TableSpec
) -> pl.DataFrame | None:
    """The parent's keys, named as the child's columns; None where there are too many."""
    columns, parent = listed(key.parent_columns), qualified(key.parent)
    counted = connection.execute(
        sql.SQL("select count(*) from (select from {} limit {}) few").format(
            parent, sql.Literal(MOST_KEYS + 1)
        )
    ).fetchone()
    if counted is None or counted[0] > MOST_KEYS:
        return None
    statement = sql.SQL("copy (select {} from {}) to stdout (format csv, force_quote *)").format(
        columns, parent
    )
    data = BytesIO()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy:
            data.write(piece)
    schema = dict.fromkeys(key.columns, pl.String())
    if not data.tell():
        return pl.DataFrame(schema={n: compared(child, n) for n in key.columns})
    data.seek(0)
    text = pl.read_csv(data, has_header=False, schema=schema)
    return text.select(as_compared(child, name) for name in key.columns).drop_nulls()


def compared(child: TableSpec, name: str) -> pl.DataType:
    """The type in which a key column is compared."""
    return COMPARED[child.column(name).base]


def as_compared(child: TableSpec, name: str) -> pl.Expr:
    """A key column, text or typed, in the form in which it is compared."""
    dtype = compared(child, name)
    if dtype == pl.Date:
        return pl.col(name).cast(pl.String).str.to_date("%Y-%m-%d", strict=False)
    return pl.col(name).cast(dtype, strict=False)


def orphans(frame: pl.DataFrame, parents: Parents, child: TableSpec) -> pl.Series:
    """True where a row's parent is missing; a NULL in the key passes (MATCH SIMPLE).

    Args:
        frame: Typed rows with the key's columns.
        parents: With `known` keys.
        child: The target.
    """
    assert parents.known is not None  # noqa: S101  the caller asked
    return _absent(frame, parents.key.columns, parents.known, child)


def _absent(
    frame: pl.DataFrame, columns: Sequence[str], known: pl.DataFrame, child: TableSpec
) -> pl.Series:
    values = frame.select(as_compared(child, name) for name in columns)
    if len(columns) == 1:
        column = values.to_series()
        return ~column.is_in(known.to_series().implode()).fill_null(value=True)
    there = "?" + "".join(columns)  # no column's name
    complete = values.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    marked = values.join(
        known.unique().with_columns(pl.lit(value=True).alias(there)),
        on=list(columns),
        how="left",
        maintain_order="left",
    )
    return complete & marked[there].is_null()


def refused_too(frame: pl.DataFrame, parents: Parents, child: TableSpec) -> pl.Series:
    """Of orphans: True where this run refused the parent's row."""
    if parents.refused is None or parents.refused.is_empty():
        return pl.repeat(value=False, n=frame.height, dtype=pl.Boolean, eager=True)
    return ~_absent(frame, parents.key.columns, parents.refused, child)
