"""What left staging comes back from the archive, where it was, and is worked on again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import SourceError
from penstock.events import retention
from penstock.events.archive import write_archive
from penstock.events.pipeline import Pipeline
from penstock.events.replay import Span, enqueue, not_staged
from penstock.events.restoring import Restored, restore
from penstock.events.verifying import verify_archive
from penstock.events.worker import drain
from penstock.ledger.roles import Roles, apply
from penstock.postgres.connection import connect
from tests.fixtures.postgres import Database
from tests.integration.events.conftest import Shop, event, row_of
from tests.integration.events.test_retention import aged

PIPELINE = Pipeline(
    name="shop", target="events", key="event_id", time="occurred_at", transform=row_of,
    archive="./kept", days=3,
)  # fmt: skip
STAGED = (
    "select chunk, pos, source_id, delivery_id, received_at, raw from penstock.events order by 1, 2"
)


def lenient(one: dict[str, Any]) -> dict[str, Any] | None:
    """A transform that was mended: what is noise makes a row."""
    return row_of({**one, "kind": one["kind"].upper()})


@pytest.fixture
def emptied(shop: Shop, tmp_path: Path) -> Shop:
    """Two sources' events of two days were worked on and archived, and have left staging."""
    for days in (9, 8):
        shop.stage(event(days), event(10 * days, "noise"))
        shop.stage(event(100 + days), source="partner")
        drain(PIPELINE, shop.url)
        aged(shop, days)
    write_archive(shop.url, PIPELINE, {}, tmp_path)
    shop.rows("create table before as table penstock.events")
    assert [one.dropped for one in retention.purge(shop.url, {"shop": PIPELINE})] == [True, True]
    return shop


def test_events_come_back_as_they_were_and_the_books_balance(emptied: Shop, tmp_path: Path) -> None:
    balance, before = emptied.balance(), emptied.rows(STAGED.replace("penstock.events", "before"))
    assert len(before) == 6
    assert restore(emptied.url, PIPELINE, {}, tmp_path, Span()) == Restored(4, 6, 4)
    assert emptied.rows(STAGED) == before
    assert emptied.balance() == balance
    assert restore(emptied.url, PIPELINE, {}, tmp_path, Span()) == Restored()

    mended = replace(PIPELINE, transform=lenient)
    worked = drain(mended, emptied.url)
    assert (worked.events, worked.failed, worked.dropped) == (6, 0, 0)
    assert emptied.held("event_id, kind") == [
        ("e108", "VIEW"), ("e109", "VIEW"), ("e8", "VIEW"), ("e80", "NOISE"), ("e9", "VIEW"),
        ("e90", "NOISE"),
    ]  # fmt: skip
    # What was noise is in the target by now, and counts as that.
    assert balance == {"files": (4, 0, 0, 2, 2, 0, 0), "partner": (2, 0, 0, 2, 0, 0, 0)}
    assert emptied.balance() == {"files": (4, 0, 0, 4, 0, 0, 0), "partner": (2, 0, 0, 2, 0, 0, 0)}
    again = emptied.stage(event(9), event(80, "noise"))
    assert (again.staged, again.repeated) == (0, 2)
    assert write_archive(emptied.url, PIPELINE, {}, tmp_path, now=True).files == 0
    found = retention.purge(emptied.url, {"shop": PIPELINE})
    assert [one.dropped for one in found] == [True, True]
    assert verify_archive(emptied.url, PIPELINE, {}, tmp_path).problems == []


def test_a_day_that_came_back_is_not_dropped_before_the_work(emptied: Shop, tmp_path: Path) -> None:
    restore(emptied.url, PIPELINE, {}, tmp_path, Span())
    for day in retention.purge(emptied.url, {"shop": PIPELINE}):
        assert day.held == [
            "shop/files: 2 events wait (penstock work shop)",
            "shop/partner: 1 events wait (penstock work shop)",
        ]


def test_only_a_source_and_a_time_come_back(emptied: Shop, tmp_path: Path) -> None:
    ((first,),) = emptied.rows("select min(received_at) from penstock.chunks")
    early = Span(source="partner", until=first + timedelta(days=1))
    with connect(emptied.url) as connection:
        assert not_staged(connection, PIPELINE, Span()) == 6
        assert not_staged(connection, PIPELINE, early) == 1
        assert restore(emptied.url, PIPELINE, {}, tmp_path, early) == Restored(1, 1, 1)
        assert not_staged(connection, PIPELINE, Span()) == 5
        assert enqueue(connection, PIPELINE, Span()) == 1, "what is in staging"
    assert emptied.rows("select delivery_id ^@ 'e109#' from penstock.events") == [(True,)]


def test_of_a_damaged_file_nothing_comes_back(emptied: Shop, tmp_path: Path) -> None:
    last = sorted((tmp_path / "kept").rglob("*.zst"))[-1]
    last.write_bytes(last.read_bytes()[:-3])
    with pytest.raises(SourceError, match="is not the file that was archived"):
        restore(emptied.url, PIPELINE, {}, tmp_path, Span())
    assert len(emptied.rows(STAGED)) == 5
    last.unlink()
    with pytest.raises(SourceError, match="is missing"):
        restore(emptied.url, PIPELINE, {}, tmp_path, Span())


def test_a_worker_may_archive_and_bring_back(
    emptied: Shop, ledger_database: Database, tmp_path: Path
) -> None:
    worker = ledger_database.role("worker")
    ((owner,),) = emptied.rows("select current_user::text")
    with ledger_database.connect() as connection:
        apply(connection, Roles(owner=owner, workers=(worker.name,)))
    emptied.stage(event(1))
    assert write_archive(worker.url, PIPELINE, {}, tmp_path, now=True).events == 1
    assert restore(worker.url, PIPELINE, {}, tmp_path, Span()).events == 6
    assert verify_archive(worker.url, PIPELINE, {}, tmp_path).problems == []
