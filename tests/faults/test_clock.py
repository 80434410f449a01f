"""Clocks that are wrong, and hours that are there twice or not at all.

Leases are by the server's clock: what the machine of a worker thinks of the time is of no account.
The signed times of webhooks are held against the machine's own clock, as there is no other.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from penstock.events import queue, worker
from penstock.events.pipeline import Pipeline
from penstock.events.worker import Worker, drain
from penstock.mapping import tidy
from tests.faults.event_driver import PIPELINE, row_of
from tests.faults.test_workers import LEFT, check, events
from tests.fixtures.flows import until
from tests.fixtures.postgres import Database
from tests.integration.events.conftest import Shop, event

LEASE, BEAT, HOUR = 1.0, 0.15, 3600.0
LEASED = (
    "select extract(epoch from lease_until - clock_timestamp())::float8 "
    "from penstock.batches where status = 'processing'"
)


@pytest.mark.parametrize("wrong", [HOUR, -HOUR])
def test_a_worker_whose_clock_jumps_neither_loses_its_lease_nor_keeps_it(
    ledger_database: Database, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    monkeypatch.setattr(queue, "LEASE", LEASE)
    monkeypatch.setattr(worker, "_BEAT", BEAT)
    right, asked = time.time, list[float]()

    def jumped() -> float:
        asked.append(right())
        return asked[-1] + wrong

    shop = Shop(ledger_database.url)
    offered = events(0)
    shop.stage(*offered)
    goes_on = threading.Event()

    def waiting(one: dict[str, Any]) -> dict[str, Any]:
        if not goes_on.is_set():
            monkeypatch.setattr(time, "time", jumped)
            assert abs(time.time() - right() - wrong) < 60
            goes_on.wait(30)
        return row_of(one)

    one = Worker(replace(PIPELINE, transform=waiting), shop.url)
    thread = threading.Thread(target=one.run, kwargs={"once": True}, daemon=True)
    thread.start()
    until(lambda: asked, "the clock has jumped in the middle of the work")
    ends = time.monotonic() + 2 * LEASE
    while time.monotonic() < ends:  # it is kept, by signs of life, and never for longer
        ((left,),) = shop.rows(LEASED)
        assert 0 < left <= LEASE
        assert drain(PIPELINE, shop.url).events == 0, "nobody takes over"
        time.sleep(BEAT)
    goes_on.set()
    thread.join(30)
    assert not thread.is_alive()
    assert one.worked.troubles == []
    assert shop.rows(LEFT) == [(0,)]
    check(shop, offered)
    assert shop.rows("select attempts, token from penstock.batches") == [(1, 1)]


@pytest.mark.parametrize(
    ("ambiguous", "overlap"),
    [("refuse", None), ("earlier", "2026-10-25 00:30"), ("later", "2026-10-25 01:30")],
)
def test_hours_that_are_there_twice_or_not_at_all_are_not_shifted(
    ledger_database: Database, ambiguous: tidy.Ambiguous, overlap: str | None
) -> None:
    shop = Shop(ledger_database.url)
    shop.rows("create table events_rest partition of events default")

    def local(one: dict[str, Any]) -> dict[str, Any]:
        at = tidy.instant(one["at"], zone="Europe/Berlin", ambiguous=ambiguous)
        return {"event_id": one["id"], "kind": one["kind"], "occurred_at": at}

    pipeline = Pipeline(
        name="shop", target="events", key="event_id", time="occurred_at", transform=local
    )
    shop.stage(
        event(1, at="2026-03-29T01:59:59"),
        event(2, at="2026-03-29T02:30:00"),  # not there: the clocks go from 2 to 3
        event(3, at="2026-03-29T03:00:00"),
        event(4, at="2026-10-25T02:30:00"),  # there twice: they go from 3 to 2
        event(5, at="2026-10-25T03:00:00"),
        event(6, at="2026-10-25T02:30:00+01:00"),  # says which
    )
    drain(pipeline, shop.url)
    expected = {
        "e1": "2026-03-29 00:59",
        "e3": "2026-03-29 01:00",
        "e4": overlap,
        "e5": "2026-10-25 02:00",
        "e6": "2026-10-25 01:30",
    }
    held = shop.held("event_id, to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI')")
    assert dict(held) == {key: at for key, at in expected.items() if at}
    failed = 1 + (overlap is None)
    assert shop.balance() == {"files": (6, 0, 0, 6 - failed, 0, failed, 0)}
