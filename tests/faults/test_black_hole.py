"""A connection over which nothing comes any more, and that nobody closes.

TCP sees nothing of it: what is between client and server acknowledges. (Where a host has vanished,
nothing acknowledges: keepalives and `tcp_user_timeout` end that within a minute, which loopback
cannot show; what is shown is that they are set.) The proxy holds a question's data or its answer.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from penstock.events import queue, worker
from penstock.events.webhooks import batching
from penstock.events.worker import Worker, drain
from penstock.ledger import install
from penstock.postgres.connection import connect
from tests.faults.event_driver import PIPELINE
from tests.faults.test_webhook_receiver import expected, send, staged
from tests.faults.test_workers import LEFT, MANY, check, events
from tests.fixtures.flows import until
from tests.fixtures.postgres import Database
from tests.fixtures.proxy import FaultProxy
from tests.fixtures.webhooks import receiving
from tests.integration.events.conftest import Shop

#: Seconds, in place of 45 and a sixth of them.
LEASE, BEAT = 1.0, 0.15


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "LEASE", LEASE)
    monkeypatch.setattr(worker, "_BEAT", BEAT)
    monkeypatch.setattr(worker, "_FIRST_WAIT", 0.05)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("marker", "everything"),
    [
        (b"set status = 'processing'", False),  # a claim, on the control connection
        (b"array_agg(raw", False),  # events are read there
        (b"copy ", False),  # rows are loaded
        (b"set status = own.status", False),  # the acknowledgement
        pytest.param(b"set status = 'processing'", True, marks=pytest.mark.slow),
        (b"copy ", True),
    ],
)
def test_a_worker_that_is_not_answered_comes_back_and_nothing_is_lost(
    database: Database, fault_proxy: FaultProxy, marker: bytes, everything: bool
) -> None:
    shop = Shop(database.url)
    offered = events(0)
    shop.stage(*offered)
    stop = threading.Event()
    url = f"{fault_proxy.url}?connect_timeout=2"
    one = Worker(replace(PIPELINE, batch=MANY), url, stop=stop)
    thread = threading.Thread(target=one.run, daemon=True)
    fault_proxy.hold_at(marker, everything=everything)
    thread.start()
    until(lambda: fault_proxy.fired["held"] == 1, "the black hole is there")
    if everything:
        # Another worker, whose way to the server is free, goes on when the lease is over.
        until(lambda: drain(PIPELINE, shop.url).events or shop.rows(LEFT) == [(0,)], "it goes on")
        until(lambda: one.worked.troubles, "the first one has noticed")
        fault_proxy.pass_on()
    until(lambda: shop.rows(LEFT) == [(0,)], "all is done")
    more = events(1)
    shop.stage(*more)
    until(lambda: one.worked.events >= len(more), "the one that hung works")
    until(lambda: shop.rows(LEFT) == [(0,)], "all is done again")
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert one.worked.troubles
    check(shop, offered + more)


@pytest.mark.usefixtures("quick")
def test_a_statement_that_takes_longer_than_the_lease_is_waited_for(
    ledger_database: Database,
) -> None:
    """The server works on it: nobody takes over, and nothing is cut."""
    shop = Shop(ledger_database.url)
    offered = events(0)
    shop.stage(*offered)
    shop.rows(
        "create function slow() returns trigger language plpgsql as "
        f"$$ begin perform pg_sleep({3 * LEASE}); return null; end $$"
    )
    shop.rows(
        "create trigger slow after insert on events for each statement execute function slow()"
    )
    began = time.monotonic()
    worked = drain(PIPELINE, shop.url)
    assert time.monotonic() - began > 3 * LEASE
    assert worked.troubles == []
    check(shop, offered)
    assert shop.rows("select attempts, token from penstock.batches") == [(1, 1)]


@pytest.mark.parametrize("marker", [b"copy ", b"\x0bcommit\0"])
def test_a_receiver_that_is_not_answered_writes_again(
    database: Database,
    fault_proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    marker: bytes,
) -> None:
    monkeypatch.setattr(batching, "_ANSWER", 1.0)
    with database.connect() as connection:
        install.ensure(connection, database.url)

    def opened() -> psycopg.Connection[Any]:
        return psycopg.connect(fault_proxy.url, prepare_threshold=None)

    with receiving(database.url, connect=opened) as hooks:
        assert send(hooks.port, 1) == 200
        fault_proxy.hold_at(marker, everything=False)
        assert send(hooks.port, 2) in (200, 503)
        assert fault_proxy.fired["held"] == 1
        assert send(hooks.port, 2) == 200
        assert send(hooks.port, 3) == 200
    assert staged(database.url) == expected(range(1, 4))
    with connect(database.url) as connection:
        found = connection.execute(
            "select waiting, balanced from penstock.event_balance where source = 'partner'"
        ).fetchall()
    assert found == [(3, True)]


def test_a_host_that_vanishes_is_noticed_by_tcp_within_a_minute(ledger_database: Database) -> None:
    with (
        connect(ledger_database.url) as connection,
        socket.socket(fileno=os.dup(connection.fileno())) as one,
    ):
        asked = {
            name: one.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        }
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert asked["TCP_USER_TIMEOUT"] == 60_000  # milliseconds: of what was sent
    # Seconds: of a connection that waits.
    assert asked["TCP_KEEPIDLE"] + asked["TCP_KEEPINTVL"] * asked["TCP_KEEPCNT"] == 60
