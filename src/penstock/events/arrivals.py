"""Deliveries on their way into staging: many as a frame, few one by one. Not for: which are new.

A frame is the quickest way for thousands. For the dozen that share a commit of the webhook receiver
its operations cost more than the two COPYs, and each gives the interpreter away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, Self

import polars as pl
import psycopg
from psycopg import sql

from penstock.postgres.copy import compare_count, copy_frame
from penstock.postgres.names import listed

_EVENTS = sql.Identifier("penstock", "events")
_IDS = sql.Identifier("penstock", "event_ids")
_EVENT_COLUMNS = {
    "chunk": "int8",
    "pos": "int4",
    "source_id": "int4",
    "delivery_id": "text",
    "raw": "bytea",
}
_ID_COLUMNS = {"source_id": "int4", "delivery_id": "text", "chunk": "int8", "pos": "int4"}


class Arrivals(Protocol):
    """Deliveries of one source, each id once, in the order in which they came."""

    def __len__(self) -> int:
        """Their number."""

    def ids(self) -> list[str]:
        """Their delivery ids."""

    def without(self, known: Collection[str]) -> Self:
        """Those whose ids are others."""

    def register(self, connection: psycopg.Connection[Any], source: int, chunk: int) -> None:
        """Send the ids, in the order of the ids: two transactions do not wait in a ring.

        Raises:
            psycopg.errors.UniqueViolation: One was received before.
        """

    def store(self, connection: psycopg.Connection[Any], source: int, chunk: int) -> None:
        """Send the events, numbered from 0."""


class Many:
    """A frame of them.

    Args:
        frame: `delivery_id` (String) and `raw` (Binary), none NULL.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame.select("delivery_id", "raw").unique(
            "delivery_id", keep="first", maintain_order=True
        )

    def __len__(self) -> int:
        return self._frame.height

    def ids(self) -> list[str]:
        """As `Arrivals`."""
        return self._frame["delivery_id"].to_list()

    def without(self, known: Collection[str]) -> Many:
        """As `Arrivals`."""
        return Many(self._frame.filter(~pl.col("delivery_id").is_in(list(known))))

    def register(self, connection: psycopg.Connection[Any], source: int, chunk: int) -> None:
        """As `Arrivals`."""
        ids = self._numbered(source, chunk).select(*_ID_COLUMNS).sort("delivery_id")
        copy_frame(connection, _IDS, ids)

    def store(self, connection: psycopg.Connection[Any], source: int, chunk: int) -> None:
        """As `Arrivals`."""
        copy_frame(connection, _EVENTS, self._numbered(source, chunk))

    def _numbered(self, source: int, chunk: int) -> pl.DataFrame:
        return self._frame.select(
            pl.lit(chunk, dtype=pl.Int64).alias("chunk"),
            pl.int_range(pl.len(), dtype=pl.Int32).alias("pos"),
            pl.lit(source, dtype=pl.Int32).alias("source_id"),
            "delivery_id",
            "raw",
        )


class Few:
    """One by one.

    Args:
        raws: Bytes by delivery id.
    """

    def __init__(self, raws: Mapping[str, bytes]) -> None:
        self._raws = raws

    def __len__(self) -> int:
        return len(self._raws)

    def ids(self) -> list[str]:
        """As `Arrivals`."""
        return list(self._raws)

    def without(self, known: Collection[str]) -> Few:
        """As `Arrivals`."""
        left = set(known)
        return Few({name: raw for name, raw in self._raws.items() if name not in left})

    def register(self, connection: psycopg.Connection[Any], source: int, chunk: int) -> None:
        """As `Arrivals`."""
        rows = [(source, name, chunk, pos) for pos, name in enumerate(self._raws)]
        _copy_rows(connection, _IDS, _ID_COLUMNS, sorted(rows))

    def store(self, connection: psycopg.Connection[Any], source: int, chunk: int) -> None:
        """As `Arrivals`."""
        rows = [
            (chunk, pos, source, name, raw) for pos, (name, raw) in enumerate(self._raws.items())
        ]
        _copy_rows(connection, _EVENTS, _EVENT_COLUMNS, rows)


def arrivals(deliveries: Iterable[tuple[str, bytes]]) -> Few:
    """Deliveries one by one: of those with one id, the first."""
    raws: dict[str, bytes] = {}
    for name, raw in deliveries:
        raws.setdefault(name, raw)
    return Few(raws)


def _copy_rows(
    connection: psycopg.Connection[Any],
    table: sql.Identifier,
    columns: Mapping[str, str],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Send rows by binary COPY.

    Raises:
        BalanceError: The server took another number of them.
    """
    statement = sql.SQL("copy {} ({}) from stdin with (format binary)").format(
        table, listed(columns)
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            copy.set_types(list(columns.values()))
            for row in rows:
                copy.write_row(row)
        compare_count(table.as_string(connection), len(rows), cursor.rowcount)
