"""A receiver under steady load while its server is restarted: what was acknowledged is there."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest

from penstock.ledger import install
from tests.faults.test_webhook_receiver import expected, send, staged
from tests.fixtures.postgres import OwnCluster
from tests.fixtures.webhooks import receiving

RATE, SECONDS, SENDERS = 200, 60, 10


@pytest.mark.slow
def test_no_acknowledged_delivery_is_lost_in_restarts_under_load(own_cluster: OwnCluster) -> None:
    own_cluster.renew()
    with psycopg.connect(own_cluster.url, autocommit=True) as connection:
        install.ensure(connection, own_cluster.url)

    def opened() -> psycopg.Connection[Any]:
        return psycopg.connect(own_cluster.url, prepare_threshold=None)

    numbers = range(RATE * SECONDS)  # written down before they are sent
    answers: dict[int, int] = {}
    with receiving(own_cluster.url, connect=opened) as hooks:
        began = time.monotonic()

        def sender(part: range) -> None:
            for number in part:
                time.sleep(max(0.0, began + number / RATE - time.monotonic()))
                answers[number] = send(hooks.port, number)

        threads = [
            threading.Thread(target=sender, args=(numbers[n::SENDERS],), daemon=True)
            for n in range(SENDERS)
        ]
        for thread in threads:
            thread.start()
        for mode, at in (("fast", SECONDS / 3), ("immediate", 2 * SECONDS / 3)):
            time.sleep(max(0.0, began + at - time.monotonic()))
            own_cluster.stop("fast" if mode == "fast" else "immediate")
            time.sleep(1)
            own_cluster.start()
        for thread in threads:
            thread.join(300)
            assert not thread.is_alive()
        told = [number for number, status in answers.items() if status == 200]
        assert len(told) > len(numbers) / 2
        assert set(answers.values()) == {200, 503}, "the restarts were noticed"
        assert sum("Senders are asked" in one for one in hooks.said) >= 1
        there = {known_as for known_as, _ in staged(own_cluster.url)}
        assert {f"m-{number}" for number in told} <= there
        # Senders try again what was not acknowledged: each is there once.
        for number in numbers:
            if answers[number] != 200:
                assert send(hooks.port, number) == 200
    assert staged(own_cluster.url) == expected(numbers)
    with psycopg.connect(own_cluster.url) as connection:
        found = connection.execute(
            "select received - repeated, waiting, balanced from penstock.event_balance "
            "where source = 'partner'"
        ).fetchone()
    assert found == (len(numbers), len(numbers), True)
