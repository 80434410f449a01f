"""Stages events: each delivery once, without limit of time. Not for: receiving them.

Ids are sent by COPY, in a savepoint: where all are new, which is the usual case, that costs a
third of INSERT ... ON CONFLICT DO NOTHING. Where one is known, the known ones are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from penstock.events.identity import delivery_ids
from penstock.events.sources import Identified
from penstock.postgres.copy import copy_frame
from penstock.postgres.queries import queries

_SQL = queries("penstock.events.sql", "staging.sql")

#: What `NOTIFY` calls; the payload is the pipeline's name.
CHANNEL = "penstock_events"
#: Events of one batch at the most: one that ends a worker is found by halving it.
BATCH = 50_000
_EVENTS = sql.Identifier("penstock", "events")
_IDS = sql.Identifier("penstock", "event_ids")
_SCHEMA = {"delivery_id": pl.String(), "raw": pl.Binary()}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it was received.

    Attributes:
        delivery_id: Tells whether it was received before.
        raw: Its bytes.
    """

    delivery_id: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Staged:
    """What came of deliveries: `received = staged + repeated`.

    Attributes:
        staged: Were new.
        repeated: Had been received before, or twice now: nothing was changed by them.
        chunk: The commit's number; None where nothing was new.
    """

    staged: int
    repeated: int
    chunk: int | None


def source_id(connection: psycopg.Connection[Any], pipeline: str, source: str) -> int:
    """The number of a source; it is given one where it has none."""
    of = {"pipeline": pipeline, "source": source}
    row = connection.execute(_SQL["find_source"], of).fetchone()
    if row is None:
        connection.execute(_SQL["add_source"], of)
        row = connection.execute(_SQL["find_source"], of).fetchone()
    assert row is not None  # noqa: S101  it was added, by us or by another
    return int(row[0])


def provide_days(connection: psycopg.Connection[Any], ahead: int = 3) -> int:
    """Make the partitions of staging for today and some days ahead; gives how many were made.

    Args:
        connection: In autocommit, or in a transaction that ends soon: a new partition locks.
        ahead: Days, to 31.
    """
    row = connection.execute(_SQL["provide_days"], {"ahead": ahead}).fetchone()
    assert row is not None  # noqa: S101  a function gives one value
    return int(row[0])


def stage(
    connection: psycopg.Connection[Any],
    source: int,
    deliveries: Sequence[Delivery] | pl.DataFrame,
    origin: str = "",
) -> Staged:
    """Stage deliveries of one source, in the caller's transaction.

    Args:
        connection: In a transaction, READ COMMITTED.
        source: As `source_id` gives it.
        deliveries: In the order in which they came; or a frame of `delivery_id` (String) and
            `raw` (Binary), none NULL.
        origin: Where they came from, for people: a file, a page.

    Raises:
        psycopg.Error: The server refused; the transaction has failed.
    """
    frame = _frame(deliveries)
    received = frame.height
    if not received:
        return Staged(0, 0, None)
    fresh = frame.unique("delivery_id", keep="first", maintain_order=True)
    row = connection.execute(_SQL["next_chunk"], {"source": source}).fetchone()
    assert row is not None  # noqa: S101  the source was given its number before
    chunk, pipeline = int(row[0]), str(row[1])
    numbered = _claim(connection, source, chunk, fresh)
    staged = numbered.height
    if staged:
        copy_frame(connection, _EVENTS, numbered)
    of = {"chunk": chunk, "staged": staged, "repeated": received - staged, "size": BATCH}
    connection.execute(
        _SQL["add_chunk"], {**of, "source": source, "origin": origin, "received": received}
    )
    if staged:
        connection.execute(_SQL["add_batches"], of)
        connection.execute(_SQL["notify"], {"channel": CHANNEL, "pipeline": pipeline})
    return Staged(staged, received - staged, chunk if staged else None)


def _frame(deliveries: Sequence[Delivery] | pl.DataFrame) -> pl.DataFrame:
    if isinstance(deliveries, pl.DataFrame):
        return deliveries.select("delivery_id", "raw")
    ids = [one.delivery_id for one in deliveries]
    return pl.DataFrame(
        {"delivery_id": ids, "raw": [one.raw for one in deliveries]}, schema=_SCHEMA
    )


def _claim(
    connection: psycopg.Connection[Any], source: int, chunk: int, fresh: pl.DataFrame
) -> pl.DataFrame:
    """Register the ids; gives the events that are new, numbered (`pos`, Int32)."""
    known: list[str] | None = None
    while True:
        left = fresh
        if known is not None:
            left = fresh.filter(~pl.col("delivery_id").is_in(known))
        left = left.select(
            pl.lit(chunk, dtype=pl.Int64).alias("chunk"),
            pl.int_range(pl.len(), dtype=pl.Int32).alias("pos"),
            pl.lit(source, dtype=pl.Int32).alias("source_id"),
            "delivery_id",
            "raw",
        )
        try:
            with connection.transaction():
                # In the order of the ids: two transactions with the same do not wait in a ring.
                ids = left.select("source_id", "delivery_id", "chunk", "pos").sort("delivery_id")
                if ids.height:
                    copy_frame(connection, _IDS, ids)
            return left
        except psycopg.errors.UniqueViolation:
            # Known before; or another transaction that had them has just been committed.
            known = [
                row[0]
                for row in connection.execute(
                    _SQL["known_ids"],
                    {"source": source, "ids": fresh["delivery_id"].to_list()},
                )
            ]


def identified(of: Identified, raws: pl.Series) -> pl.DataFrame:
    """Raw events (Binary) as `stage` takes them."""
    return pl.DataFrame({"delivery_id": delivery_ids(of, raws), "raw": raws})
