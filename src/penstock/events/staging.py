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

from penstock.events.arrivals import Arrivals, Many, arrivals
from penstock.events.encrypting import Cipher
from penstock.events.identity import delivery_ids
from penstock.events.sources import Identified
from penstock.postgres.queries import queries

_SQL = queries("penstock.events.sql", "staging.sql")

#: What `NOTIFY` calls; the payload is the pipeline's name.
CHANNEL = "penstock_events"
#: Events of one batch at the most: one that ends a worker is found by halving it.
BATCH = 50_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it was received.

    Attributes:
        delivery_id: Tells whether it was received before.
        raw: Its bytes.
        encrypted: True: some of its fields are encrypted.
    """

    delivery_id: str
    raw: bytes
    encrypted: bool = False


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


def source_id(
    connection: psycopg.Connection[Any],
    pipeline: str,
    source: str,
    schema_version: str | None = None,
) -> int:
    """The number of a source; it is given one where it has none.

    Args:
        connection: Any.
        pipeline: The pipeline's name.
        source: The source's.
        schema_version: The path that it declares; the ledger knows the last one.
    """
    of = {"pipeline": pipeline, "source": source, "path": schema_version}
    row = connection.execute(_SQL["find_source"], of).fetchone()
    if row is None:
        connection.execute(_SQL["add_source"], of)
        row = connection.execute(_SQL["find_source"], of).fetchone()
    assert row is not None  # noqa: S101  it was added, by us or by another
    if row[1] != schema_version:
        connection.execute(_SQL["declare_source"], of)
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
    *,
    encrypted: bool = False,
) -> Staged:
    """Stage deliveries of one source, in the caller's transaction.

    Args:
        connection: In a transaction, READ COMMITTED.
        source: As `source_id` gives it.
        deliveries: In the order in which they came; or a frame of `delivery_id` (String) and
            `raw` (Binary), none NULL.
        origin: Where they came from, for people: a file, a page.
        encrypted: True: fields of them are encrypted, and are to be read so.

    Raises:
        psycopg.Error: The server refused; the transaction has failed.
    """
    if not len(deliveries):
        return Staged(0, 0, None)
    row = connection.execute(_SQL["next_chunk"], {"source": source}).fetchone()
    assert row is not None  # noqa: S101  the source was given its number before
    chunk, pipeline = int(row[0]), str(row[1])
    new = _claim(connection, source, chunk, _arrivals(deliveries))
    received, staged = len(deliveries), len(new)
    if staged:
        new.store(connection, source, chunk)
    of = {"chunk": chunk, "staged": staged, "repeated": received - staged, "size": BATCH}
    said = {"source": source, "origin": origin, "received": received, "encrypted": encrypted}
    connection.execute(_SQL["add_chunk"], of | said)
    if staged:
        connection.execute(_SQL["add_batches"], of)
        connection.execute(_SQL["notify"], {"channel": CHANNEL, "pipeline": pipeline})
    return Staged(staged, received - staged, chunk if staged else None)


def _arrivals(deliveries: Sequence[Delivery] | pl.DataFrame) -> Arrivals:
    if isinstance(deliveries, pl.DataFrame):
        return Many(deliveries)
    return arrivals((one.delivery_id, one.raw) for one in deliveries)


def _claim(
    connection: psycopg.Connection[Any], source: int, chunk: int, came: Arrivals
) -> Arrivals:
    """Register the ids; gives the events that are new."""
    left = came
    while True:
        try:
            with connection.transaction():
                if len(left):
                    left.register(connection, source, chunk)
            return left
        except psycopg.errors.UniqueViolation:
            # Known before; or another transaction that had them has just been committed.
            known = connection.execute(_SQL["known_ids"], {"source": source, "ids": came.ids()})
            left = came.without({row[0] for row in known})


def identified(of: Identified, raws: pl.Series, cipher: Cipher | None = None) -> pl.DataFrame:
    """Raw events (Binary) as `stage` takes them: known by what was received, then encrypted."""
    known_as = delivery_ids(of, raws)
    kept = raws if cipher is None else cipher.encrypt_all(raws)
    return pl.DataFrame({"delivery_id": known_as, "raw": kept})
