"""Natural keys in the input become surrogate keys. Not for: checking foreign keys (`parents`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from penstock.errors import TargetError, UsageError
from penstock.loading.parents import COMPARED
from penstock.loading.types.check import Check, shown
from penstock.loading.types.registry import check_for
from penstock.loading.validate import Validator
from penstock.model.batch import LINE, ROW
from penstock.model.options import Grammar, LoadOptions, OrphanPolicy
from penstock.model.table import Column, TableName, TableSpec
from penstock.postgres.catalog import read_table
from penstock.postgres.names import qualified
from penstock.postgres.versions import CURRENT

#: Rows of a dimension above which a lookup belongs into the database.
_MOST = 2_000_000
#: The key of the member that stands for what is not known, as dimensional modelling has it.
UNKNOWN = "-1"
_FORM = "write --lookup COLUMN=TABLE.KEY"


@dataclass(frozen=True, slots=True)
class Lookup:
    """How the natural keys of one column become surrogate keys.

    Attributes:
        table: The dimension.
        key: Its natural key.
        members: `natural` and `surrogate` (String): the dimension's, current versions only.
        policy: Of what it does not have: `quarantine`, `null` or `unknown`.
    """

    table: TableName
    key: Column
    members: pl.DataFrame
    policy: OrphanPolicy

    @property
    def takes_nothing(self) -> bool:
        """True where a row without a natural key gets the unknown member."""
        return self.policy is OrphanPolicy.UNKNOWN

    def check(self, column: Column, grammar: Grammar) -> Check:
        """The check of a column with natural keys; its value is the surrogate key."""
        dtype = check_for(column, grammar).dtype
        members = self.members.with_columns(pl.col("surrogate").cast(dtype))
        raw = pl.col(column.name)
        typed = raw.replace_strict(
            members["natural"], members["surrogate"], default=None, return_dtype=dtype
        )

        def careful(texts: pl.Series) -> pl.DataFrame:
            judged = self._judge(texts.unique(), members, grammar, dtype)
            return (
                texts.alias("text")
                .to_frame()
                .join(judged, on="text", how="left", maintain_order="left")
                .select("value", "code", "reason", "change")
            )

        return Check(column, dtype, typed, raw.is_not_null() & typed.is_null(), careful)

    def _judge(
        self, texts: pl.Series, members: pl.DataFrame, grammar: Grammar, dtype: pl.DataType
    ) -> pl.DataFrame:
        """Each text once: read as a key of the dimension, and looked up in its own writing."""
        rows = pl.int_range(len(texts), dtype=pl.Int64, eager=True)
        frame = pl.DataFrame({"key": texts, ROW: rows, LINE: rows})
        checked = Validator([replace(self.key, name="key", nullable=True)], grammar).check(frame)
        read = checked.good.select(ROW, natural=pl.col("key").cast(pl.String))
        faults = checked.faults.select(ROW, "code", "reason")
        found = (
            pl.DataFrame({"text": texts, ROW: rows})
            .join(read, on=ROW, how="left", maintain_order="left")
            .join(members, on="natural", how="left", maintain_order="left")
            .join(faults, on=ROW, how="left", maintain_order="left")
            .rename({"surrogate": "value"})
        )
        absent = pl.col("value").is_null() & pl.col("code").is_null()
        if self.policy is OrphanPolicy.UNKNOWN:
            unknown = pl.lit(UNKNOWN).cast(dtype)
            return found.select(
                "text",
                pl.when(pl.col("value").is_null()).then(unknown).otherwise("value").alias("value"),
                pl.lit(None, pl.String).alias("code"),
                pl.lit(None, pl.String).alias("reason"),
                pl.when(pl.col("value").is_null()).then(pl.lit("unknown_member")).alias("change"),
            )
        if self.policy is OrphanPolicy.NULL:
            change = pl.when(absent).then(pl.lit("orphans_nulled"))
            return found.select("text", "value", "code", "reason", change.alias("change"))
        said = f" is no {self.key.name} of {self.table}"
        reasons = [f"{shown(text)}{said}" for text in found["text"]]
        return found.select(
            "text",
            "value",
            pl.when(absent).then(pl.lit("23503")).otherwise("code").alias("code"),
            pl.when(absent)
            .then(pl.Series(reasons, dtype=pl.String))
            .otherwise("reason")
            .alias("reason"),
            pl.lit(None, pl.String).alias("change"),
        )


def read_lookups(
    connection: psycopg.Connection[Any], spec: TableSpec, options: LoadOptions
) -> dict[str, Lookup]:
    """Target column -> its lookup, with the members of the dimension as they are now.

    Raises:
        UsageError: A table or column is not there, or the policy does not go.
        TargetError: The dimension cannot be looked up.
    """
    found = {}
    for name, said in options.lookups.items():
        table, dot, key = said.rpartition(".")
        if name not in {column.name for column in spec.columns} or not dot or not key:
            what = f"{spec.name} has no column {name}" if dot else _FORM
            raise UsageError(f"--lookup {name}={said}: {what}")
        dimension = read_table(connection, table)
        columns = {column.name: column for column in dimension.columns}
        if key not in columns:
            raise UsageError(f"--lookup {name}={said}: {dimension.name} has no column {key}")
        if columns[key].base not in COMPARED or not columns[key].deterministic:
            kind = f"of type {columns[key].type}"
            if columns[key].base in COMPARED:
                kind = f"under {columns[key].collation}, which is not deterministic,"
            raise TargetError(
                f"--lookup {name}={said}: keys {kind} cannot be looked up",
                code="0A000",
            )
        surrogate = _surrogate(spec, name, dimension)
        members = _members(connection, dimension, columns[key], surrogate)
        policy = options.orphans.get(name, OrphanPolicy.QUARANTINE)
        _check(spec, name, policy)
        if policy is OrphanPolicy.UNKNOWN and not _has_unknown(connection, dimension, surrogate):
            raise UsageError(
                f"--orphans {name}=unknown: {dimension.name} has no member with the {surrogate} "
                f"{UNKNOWN}: insert one"
            )
        found[name] = Lookup(dimension.name, columns[key], members, policy)
    return found


def _surrogate(spec: TableSpec, name: str, dimension: TableSpec) -> str:
    """The dimension's column that the target's column refers to; without a foreign key, its key."""
    for key in spec.foreign_keys:
        if key.columns == (name,) and key.parent == dimension.name:
            return key.parent_columns[0]
    own = dimension.primary_key
    if own is None or len(own.columns) != 1:
        raise UsageError(
            f"--lookup {name}: {dimension.name} has no primary key of one column, and {spec.name} "
            f"no foreign key on {name} that refers to it"
        )
    return own.columns[0]


def _members(
    connection: psycopg.Connection[Any], dimension: TableSpec, key: Column, surrogate: str
) -> pl.DataFrame:
    current = any(c.name == CURRENT and c.base == "bool" for c in dimension.columns)
    statement = sql.SQL(
        "copy (select {0}::text, {1}::text from {2} where {0} is not null and {3} limit {4}) "
        "to stdout (format csv, force_quote *)"
    ).format(
        sql.Identifier(key.name),
        sql.Identifier(surrogate),
        qualified(dimension.name),
        sql.Identifier(CURRENT) if current else sql.SQL("true"),
        sql.Literal(_MOST + 1),
    )
    data = BytesIO()
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy:
            data.write(piece)
    schema = {"natural": pl.String(), "surrogate": pl.String()}
    if not data.tell():
        return pl.DataFrame(schema=schema)
    data.seek(0)
    members = pl.read_csv(data, has_header=False, schema=schema)
    if members.height > _MOST:
        raise TargetError(
            f"{dimension.name} has more than {_MOST:,} members: look them up in the database, by "
            "a load into a table of its own and an INSERT ... SELECT",
            code="54000",
        )
    twice = members.filter(members["natural"].is_duplicated())
    if twice.height:
        raise TargetError(
            f"{dimension.name} has several rows with the {key.name} {shown(twice['natural'][0])}: "
            f"a lookup needs one, or a boolean column {CURRENT} that tells which",
            code="21000",
        )
    return members


def _has_unknown(connection: psycopg.Connection[Any], dimension: TableSpec, surrogate: str) -> bool:
    row = connection.execute(
        sql.SQL("select exists (select from {} where {}::text = {})").format(
            qualified(dimension.name), sql.Identifier(surrogate), sql.Literal(UNKNOWN)
        )
    ).fetchone()
    return row is not None and bool(row[0])


def _check(spec: TableSpec, name: str, policy: OrphanPolicy) -> None:
    if policy is OrphanPolicy.PLACEHOLDER:
        raise UsageError(f"--orphans {name}=placeholder does not go with --lookup {name}")
    if policy is OrphanPolicy.NULL and not spec.column(name).nullable:
        raise UsageError(f"--orphans {name}=null: {name} of {spec.name} is NOT NULL")
