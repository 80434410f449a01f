"""Databases with the ledger and a table `events`, partitioned by time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl
import psycopg
import pytest

from penstock.events.sources import Identified
from penstock.events.staging import Staged, identified, provide_days, source_id, stage
from penstock.ledger import install
from tests.fixtures.postgres import Database

EVENTS = """
create table events (
    event_id text not null, kind text not null, occurred_at timestamptz not null, qty int,
    source text, ingested_at timestamptz, processed_at timestamptz, run_id uuid,
    primary key (event_id, occurred_at)) partition by range (occurred_at);
create table events_january partition of events for values from ('2026-01-01') to ('2026-02-01');
create table events_february partition of events for values from ('2026-02-01') to ('2026-03-01');
"""


class Shop:
    """A database with the table `events`, and events that are staged for it."""

    def __init__(self, url: str) -> None:
        self.url = url
        with psycopg.connect(url, autocommit=True) as connection:
            install.ensure(connection, url)
            connection.execute(EVENTS)
            provide_days(connection)

    def stage(self, *events: Any, of: Identified | None = None, source: str = "files") -> Staged:
        """Stage events in one commit; bytes as they are, all else as JSON."""
        raws = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in events]
        frame = identified(of or Identified(), pl.Series(raws, dtype=pl.Binary))
        with psycopg.connect(self.url) as connection:
            return stage(connection, source_id(connection, "shop", source), frame, "test")

    def rows(self, statement: str, *given: Any) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(statement.encode(), given)
            return found.fetchall() if found.description else []

    def held(self, columns: str = "event_id, kind, qty") -> list[tuple[Any, ...]]:
        """The target's rows, by key."""
        return self.rows(f"select {columns} from events order by event_id, occurred_at")

    def balance(self) -> dict[str, tuple[int, ...]]:
        """Source -> received, repeated, waiting, loaded, dropped, failed, dead, checked by hand."""
        found = {}
        for source, *counts, balanced in self.rows(
            "select source, received, repeated, waiting, loaded, dropped, failed, dead, balanced "
            "from penstock.event_balance where pipeline = 'shop' order by source"
        ):
            assert balanced
            assert counts[0] == sum(counts[1:])
            found[source] = tuple(int(count) for count in counts)
        return found


def event(
    number: int | str, kind: str = "view", at: str = "2026-01-05T10:00:00Z", **more: Any
) -> Any:
    """One event as a source sends it."""
    return {"id": f"e{number}", "kind": kind, "at": at, **more}


def row_of(one: dict[str, Any]) -> dict[str, Any] | None:
    """The transform of most tests."""
    if one["kind"] == "noise":
        return None
    return {
        "event_id": one.get("id"),
        "kind": one["kind"],
        "occurred_at": one["at"],
        "qty": one.get("qty"),
    }


@pytest.fixture
def shop(ledger_database: Database) -> Shop:
    """A database of this test alone."""
    return Shop(ledger_database.url)


def places(found: Sequence[Any]) -> list[str]:
    """Of letters, where they are."""
    return sorted(one.place for one in found)
