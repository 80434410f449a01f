"""Which keys a target holds: unique over partitions, and newer versions stay.

PostgreSQL's unique keys of a table that is partitioned by time hold the time too (chapter "Table
Partitioning", limitations): one key could stand in two partitions. And a version that comes late
must not take the place of a newer one. So each key is registered, with the time under which the
target holds it and its version. It is looked up before the load and changed in its transaction; who
finds it changed meanwhile rolls back and begins anew. Not for: deliveries (`staging`).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from penstock.errors import BeginsAnew, TryAgain
from penstock.events.pipeline import Pipeline
from penstock.events.reading import parted
from penstock.model.table import TableName, TableSpec
from penstock.postgres.copy import copy_frame
from penstock.postgres.names import qualified
from penstock.postgres.queries import queries

_SQL = queries("penstock.events.sql", "registry.sql")
_KEYS = sql.Identifier("penstock", "event_keys")
_AWAY = sql.SQL("delete from {} t where t.{} = {} and {}")
_LOSERS = {"number": pl.UInt32(), "winner": pl.UInt32()}


class Overtaken(BeginsAnew, TryAgain):
    """Another worker has changed a key meanwhile: the batch begins anew."""


@dataclass(slots=True)
class Fresh:
    """Rows that are to be loaded, and what is known of their keys.

    Attributes:
        rows: Numbers of the rows (from 0) that are loaded, in their order.
        older: Numbers of those that are not: the target, or another of them, is newer.
        keys: One row for each that is loaded: `number` (UInt32), `key`, `held_at` (Datetime, UTC),
            `version` (Int64), `known` (Boolean), `seen_held`, `seen_version`.
        losers: Rows that another one of the batch is newer than: `number`, `winner` (UInt32).
    """

    rows: pl.Series
    older: pl.Series
    keys: pl.DataFrame
    losers: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_LOSERS))

    def renumbered(self, places: pl.Series) -> Fresh:
        """With other numbers: those at the places of these."""
        return Fresh(
            places.gather(self.rows),
            places.gather(self.older),
            self.keys.with_columns(number=places.gather(self.keys["number"])),
            self.losers.select(
                number=places.gather(self.losers["number"]),
                winner=places.gather(self.losers["winner"]),
            ),
        )

    def only_new(self) -> Fresh:
        """Without the rows whose key the target has."""
        new = self.keys.filter(~pl.col("known"))
        known = self.keys.filter("known")["number"]
        return Fresh(new["number"], pl.concat([self.older, known]), new, self.losers)

    def losers_of(self, refused: Collection[int]) -> set[int]:
        """Those of these rows, all refused, that took the place of other rows of the batch."""
        return set(self.losers["winner"].to_list()) & set(refused)

    def beaten_by(self, winners: Collection[int]) -> pl.Series:
        """Numbers of the rows that were left out because of these."""
        return self.losers.filter(pl.col("winner").is_in(list(winners)))["number"]


class Registry:
    """The keys of one target.

    Args:
        connection: In autocommit.
        pipeline: Whose target it is.
        spec: The target.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], pipeline: Pipeline, spec: TableSpec
    ) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._spec = spec
        self._by_time = pipeline.time is not None and not _unique(spec, pipeline.keys)
        self._target = _target_id(connection, spec.name)

    def look_up(self, frame: pl.DataFrame) -> Fresh:
        """Which rows are newer than what the target holds.

        Args:
            frame: `key` (String, not NULL), `held_at` (Datetime UTC), `version` (Int64): a row for
                each row of the batch, in its order.
        """
        numbered = frame.with_row_index("number")
        # Of several rows with one key the newest counts; the later one where that says nothing.
        last = numbered.sort("version", "number", nulls_last=False).unique("key", keep="last")
        seen = self._seen(last["key"]).with_columns(known=pl.lit(value=True))
        keys = last.join(seen, on="key", how="left").with_columns(
            pl.col("known").fill_null(value=False)
        )
        newer = pl.col("seen_version") > pl.col("version")
        if self._pipeline.newest is not None:  # without a version it is the oldest, as above
            newer |= pl.col("seen_version").is_not_null() & pl.col("version").is_null()
        keys = keys.filter(~newer.fill_null(value=False)).sort("number")
        chosen = keys["number"]
        older = numbered.filter(~pl.col("number").is_in(chosen.implode()))["number"]
        beaten = numbered.filter(~pl.col("number").is_in(last["number"].implode()))
        losers = beaten.join(last.select("key", winner="number"), on="key")
        return Fresh(chosen, older, keys, losers.select("number", "winner"))

    def _seen(self, keys: pl.Series) -> pl.DataFrame:
        """What the target holds of keys: `key`, `seen_held`, `seen_version`."""
        asked = _together(keys)
        row = self._connection.execute(_SQL["known"], {"target": self._target, **asked}).fetchone()
        assert row is not None  # noqa: S101  an aggregate gives one row
        said = pl.Series([row[0]], dtype=pl.String).str.split(asked["mark"]).explode()
        parts = said.drop_nulls().str.splitn("\t", 3).struct.unnest()
        held, version, key = (pl.col(name) for name in parts.columns)
        microseconds = held.str.replace(".", "", literal=True).cast(pl.Int64, strict=False)
        return parts.select(
            key=key,
            seen_held=pl.from_epoch(microseconds, "us").dt.replace_time_zone("UTC"),
            seen_version=version.cast(pl.Int64, strict=False),
        )

    def write(
        self,
        connection: psycopg.Connection[Any],
        fresh: Fresh,
        refused: Collection[int],
        *,
        changed: bool,
    ) -> None:
        """Register what was loaded, and take away what stands under another time.

        Args:
            connection: In the transaction of the load.
            fresh: As `look_up` gave it.
            refused: Numbers of rows that the load refused.
            changed: False where the load has neither inserted nor updated a row: then nothing
                could stand under two times, and no key need be held.

        Raises:
            Overtaken: A key is not as it was seen: roll back.
        """
        keys = fresh.keys
        if refused:
            keys = keys.filter(~pl.col("number").is_in(list(refused)))
        self._add(connection, keys.filter(~pl.col("known")))
        known = keys.filter("known")
        same = pl.col("held_at").eq_missing(pl.col("seen_held")) & pl.col("version").eq_missing(
            pl.col("seen_version")
        )
        self._change(connection, known.filter(~same))
        if changed:
            self._hold(connection, known.filter(same))
        if self._by_time:
            moved = (
                pl.col("held_at").ne_missing(pl.col("seen_held"))
                & pl.col("seen_held").is_not_null()
            )
            self._take_away(connection, known.filter(moved))

    def _add(self, connection: psycopg.Connection[Any], keys: pl.DataFrame) -> None:
        if keys.is_empty():
            return
        target = pl.lit(self._target, dtype=pl.Int32).alias("target_id")
        rows = keys.select(target, "key", "held_at", "version").sort("key")
        try:
            with connection.transaction():
                copy_frame(connection, _KEYS, rows)
        except psycopg.errors.UniqueViolation:
            raise self._overtaken() from None

    def _change(self, connection: psycopg.Connection[Any], keys: pl.DataFrame) -> None:
        if keys.is_empty():
            return
        ordered = keys.sort("key")
        done = connection.execute(
            _SQL["change"],
            {
                "target": self._target,
                "keys": ordered["key"].to_list(),
                "held": ordered["held_at"].to_list(),
                "versions": ordered["version"].to_list(),
                "seen_held": ordered["seen_held"].to_list(),
                "seen_versions": ordered["seen_version"].to_list(),
            },
        )
        if done.rowcount != keys.height:
            raise self._overtaken()

    def _hold(self, connection: psycopg.Connection[Any], keys: pl.DataFrame) -> None:
        if keys.is_empty():
            return
        row = connection.execute(
            _SQL["hold"],
            {
                "target": self._target,
                "keys": keys["key"].to_list(),
                "seen_held": keys["seen_held"].to_list(),
                "seen_versions": keys["seen_version"].to_list(),
            },
        ).fetchone()
        if row is None or row[0] != keys.height:
            raise self._overtaken()

    def _take_away(self, connection: psycopg.Connection[Any], keys: pl.DataFrame) -> None:
        """Rows whose newer version stands under another time."""
        names = self._pipeline.keys
        types = {column.name: column.type for column in self._spec.columns}
        of = qualified(self._spec.name), sql.Identifier(str(self._pipeline.time))
        # Values are quoted: beside parameters, a name with a percent sign would be one.
        same = sql.SQL("t.{} = {}::{}")
        with connection.cursor() as cursor:
            for key, held in keys.sort("key").select("key", "seen_held").iter_rows():
                pairs = sql.SQL(" and ").join(
                    same.format(sql.Identifier(name), sql.Literal(part), sql.SQL(types[name]))
                    for name, part in zip(names, parted(key), strict=True)
                )
                cursor.execute(_AWAY.format(*of, sql.Literal(held), pairs))

    def _overtaken(self) -> Overtaken:
        return Overtaken(
            f"{self._spec.name}: another worker has changed rows with the same keys meanwhile. "
            "Nothing was changed; the batch begins anew.",
            code="overtaken",
        )


def _together(keys: pl.Series) -> dict[str, str]:
    """Keys as one text, which the server cuts sooner than Python writes a list.

    No key holds what is between them: it is made anew each time, of 16 random bytes.
    """
    mark = f"\x1e{secrets.token_hex(16)}\x1e"
    return {"keys": str(keys.str.join(mark)[0]) if len(keys) else "", "mark": mark}


def moments(values: pl.Series) -> pl.Series:
    """Times with a zone as Datetime in UTC; NULL where one cannot be read so (ISO 8601)."""
    kind = pl.Datetime("us", "UTC")
    if isinstance(values.dtype, pl.Datetime):
        if values.dtype.time_zone is None:
            return pl.Series(values.name, [None] * len(values), dtype=kind)
        return values.dt.convert_time_zone("UTC").cast(kind)
    texts = values.cast(pl.String).str.replace(" ", "T", literal=True)
    return texts.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)


def load_key(pipeline: Pipeline, spec: TableSpec) -> tuple[str, ...]:
    """The columns of the unique key by which rows of the target are found: with the time or not."""
    if _unique(spec, pipeline.keys) or pipeline.time is None:
        return pipeline.keys
    return (*pipeline.keys, pipeline.time)


def _unique(spec: TableSpec, names: Collection[str]) -> bool:
    return any(set(key.columns) == set(names) for key in spec.keys)


def _target_id(connection: psycopg.Connection[Any], name: TableName) -> int:
    of = {"schema": name.schema, "table": name.table}
    row = connection.execute(_SQL["find_target"], of).fetchone()
    if row is None:
        connection.execute(_SQL["add_target"], of)
        row = connection.execute(_SQL["find_target"], of).fetchone()
    assert row is not None  # noqa: S101  it was added, by us or by another
    return int(row[0])
