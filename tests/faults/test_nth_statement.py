"""Every single statement of a worker and of staging fails: before it is done, or its reply is lost.

One after the other: the N-th statement fails, for each N, until nothing is left to fail. After each
of them the same must be there as if nothing had been. Not for: the death of processes.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import psycopg
import pytest

from penstock.errors import PenstockError
from penstock.events import worker
from penstock.events.staging import Delivery, source_id, stage
from penstock.events.worker import drain
from tests.faults.event_driver import PIPELINE
from tests.faults.shop import EVERY
from tests.faults.test_workers import check, events
from tests.fixtures.postgres import Database
from tests.fixtures.proxy import FaultProxy
from tests.integration.events.conftest import Shop

#: A worker needs more statements for one batch.
LEAST = 30


@pytest.fixture
def shop(database: Database) -> Shop:
    return Shop(database.url)


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_whose_nth_statement_fails_loses_and_doubles_nothing(
    shop: Shop, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, when: str, every: bool
) -> None:
    monkeypatch.setattr(worker, "_FIRST_WAIT", 0.01)
    offered = events(0, 10)
    shop.stage(*offered)
    fault_proxy.fail_statement(0, when)
    assert drain(PIPELINE, fault_proxy.url).events == len(offered)
    assert fault_proxy.statements >= LEAST
    for number in count(1 + 4 * (when == "after"), 1 if every else 12):
        more = events(number, 10)
        offered += more
        shop.stage(*more)
        fault_proxy.fail_statement(number, when)
        with suppress(PenstockError):  # at its beginning a worker says so, and ends
            drain(PIPELINE, fault_proxy.url)
        drain(PIPELINE, shop.url)
        check(shop, offered)
        left = shop.rows("select max(attempts), max(status) from penstock.batches")
        assert left == [(1, "succeeded")], number  # no event had to answer for the server
        if not fault_proxy.fired[when]:
            break
        assert fault_proxy.fired.pop(when) == 1
    assert number >= LEAST


@pytest.mark.parametrize("when", ["before", "after"])
def test_staging_whose_nth_statement_fails_is_done_once(
    shop: Shop, fault_proxy: FaultProxy, when: str
) -> None:
    """What it was told is repeated, as a sender does who had no answer."""
    number, received, repeated = 0, 0, 0
    while True:
        number += 1
        sent = [Delivery(f"{number}-{n}", b"{}") for n in range(5)]
        fault_proxy.fail_statement(number, when)
        while True:
            try:
                with psycopg.connect(fault_proxy.url) as connection:
                    staged = stage(connection, source_id(connection, "shop", "files"), sent)
                break
            except psycopg.OperationalError:
                continue
        received += staged.staged + staged.repeated
        repeated += staged.repeated
        assert shop.rows("select count(*) from penstock.events") == [(5 * number,)]
        if not fault_proxy.fired[when]:
            break
        fault_proxy.fired.clear()
    assert number > 8
    # Only what was committed before its reply was lost comes once more.
    assert repeated == (5 if when == "after" else 0)
    lost = 5 if when == "after" else 0
    assert shop.balance() == {"files": (received + lost, repeated, 5 * number, 0, 0, 0, 0)}
