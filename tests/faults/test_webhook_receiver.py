"""The receiver or its database dies: what was answered 200 is there, and a retry makes one row.

Senders here are as real ones: they send again what was not answered 200.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.ledger import install
from tests.fixtures.flows import until
from tests.fixtures.postgres import Database, OwnCluster
from tests.fixtures.proxy import FaultProxy
from tests.fixtures.webhooks import receiving, signed
from tests.integration.cli.program import environment

ROOT = Path(__file__).parents[2]


def body(number: int) -> bytes:
    return json.dumps({"id": f"e-{number}", "text": "x" * (number % 50)}).encode()


def send(port: int, number: int) -> int:
    """Send a delivery once; gives the status, 0 where there was no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/in/partner", body(number), signed(body(number), f"m-{number}"))
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def send_all(port: int, numbers: range) -> dict[int, int]:
    """Send them all at once; gives their statuses."""
    found: dict[int, int] = {}

    def one(number: int) -> None:
        found[number] = send(port, number)

    threads = [threading.Thread(target=one, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def staged(url: str) -> list[tuple[str, bytes]]:
    with psycopg.connect(url) as connection:
        found = connection.execute("select delivery_id, raw from penstock.events")
        return sorted((known_as, bytes(raw)) for known_as, raw in found)


def expected(numbers: range) -> list[tuple[str, bytes]]:
    return sorted((f"m-{number}", body(number)) for number in numbers)


@contextmanager
def running(url: str, **order: Any) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.receiver", json.dumps({"url": url, **order})],
        cwd=ROOT,
        env=environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "src")])),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("deliveries", "commit"), [(1, 2), (20, 3)])
@pytest.mark.parametrize("die_at", ["before", "after"])
def test_a_receiver_killed_at_its_commit_has_each_delivery_once_after_the_retry(
    ledger_database: Database, tmp_path: Path, die_at: str, deliveries: int, commit: int
) -> None:
    url, marker, numbers = ledger_database.url, tmp_path / "fired", range(deliveries)
    with running(url, die_at=die_at, commit=commit, marker=str(marker)) as (process, port):
        answers = send_all(port, numbers)
        assert process.wait(30) == -signal.SIGKILL
    assert marker.exists()
    lost = [number for number, status in answers.items() if status != 200]
    assert {answers[number] for number in lost} == {0}
    assert lost
    there = {known_as for known_as, _ in staged(url)}
    assert {f"m-{number}" for number in numbers if number not in lost} <= there
    # What was committed is there although nobody was told so; what was not is not.
    unanswered = there & {f"m-{number}" for number in lost}
    if deliveries == 1 or die_at == "after":  # else an answer may have been under way
        assert bool(unanswered) is (die_at == "after")

    with running(url) as (process, port):
        again = send_all(port, numbers)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert set(again.values()) == {200}
    assert staged(url) == expected(numbers)


def test_a_receiver_stopped_under_load_has_what_it_accepted(ledger_database: Database) -> None:
    url, numbers = ledger_database.url, range(400)
    accepted: list[int] = []
    with running(url) as (process, port):

        def sender(part: range) -> None:
            for number in part:
                status = send(port, number)
                if status != 200:
                    assert status in (0, 503)
                    return
                accepted.append(number)

        threads = [threading.Thread(target=sender, args=(numbers[n::8],)) for n in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(accepted) > 40, "it receives")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        for thread in threads:
            thread.join(30)
    assert 40 < len(accepted) < len(numbers), "it was stopped in the middle"
    # All that it wrote was answered, too: nobody was cut off.
    assert {known_as for known_as, _ in staged(url)} == {f"m-{number}" for number in accepted}


def test_a_lost_reply_to_commit_is_not_told_to_the_sender(
    database: Database, fault_proxy: FaultProxy
) -> None:
    with database.connect() as connection:
        install.ensure(connection, database.url)

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(fault_proxy.url, prepare_threshold=None)

    with receiving(database.url, connect=connect) as hooks:
        assert send(hooks.port, 1) == 200
        fault_proxy.swallow_reply_to(b"\x0bCOMMIT\0")  # the whole message: a setting is called so
        assert send(hooks.port, 2) == 200
        assert fault_proxy.fired["swallow"] == 1
        assert fault_proxy.connections == 2
        (writer,) = hooks.receiver.writers()
        # The first attempt had written it, as the second one found.
        assert (writer.written.staged, writer.written.repeated) == (1, 1)
        assert hooks.said == []
    assert staged(database.url) == expected(range(1, 3))


def test_a_connection_cut_within_a_transaction_is_not_told_to_the_sender(
    database: Database, fault_proxy: FaultProxy
) -> None:
    with database.connect() as connection:
        install.ensure(connection, database.url)

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(fault_proxy.url, prepare_threshold=None)

    with receiving(database.url, connect=connect) as hooks:
        assert send(hooks.port, 1) == 200
        fault_proxy.cut_after(10, marker=b"COPY")
        assert send(hooks.port, 2) == 200
        assert fault_proxy.fired["cut"] == 1
    assert staged(database.url) == expected(range(1, 3))


def test_a_backend_that_was_ended_is_replaced_unnoticed(ledger_database: Database) -> None:
    with receiving(ledger_database.url) as hooks:
        assert send(hooks.port, 1) == 200
        with ledger_database.connect() as connection:
            ended = connection.execute(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid() "
                "and query ilike 'commit'"
            ).fetchone()
        assert ended == (1,)
        assert send(hooks.port, 2) == 200
        assert hooks.said == []
    assert staged(ledger_database.url) == expected(range(1, 3))


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_while_the_database_is_down_nothing_is_accepted_and_afterwards_nothing_is_missing(
    own_cluster: OwnCluster, how: str
) -> None:
    with psycopg.connect(own_cluster.url, autocommit=True) as connection:
        connection.execute("drop schema if exists penstock cascade")
        install.ensure(connection, own_cluster.url)

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(own_cluster.url, prepare_threshold=None)

    numbers, answers = range(200), Counter[int]()
    with receiving(own_cluster.url, connect=connect) as hooks:

        def sender(part: range) -> None:
            for number in part:
                end = time.monotonic() + 60
                while (status := send(hooks.port, number)) != 200:
                    assert time.monotonic() < end, f"{number} is never accepted"
                    answers[status] += 1
                    time.sleep(0.02)  # as a sender waits before it tries again
                answers[status] += 1

        threads = [threading.Thread(target=sender, args=(numbers[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: answers[200] > 20, "it receives")
        before = answers[200]
        if how == "killed":
            own_cluster.kill_postmaster()
        else:
            own_cluster.stop("immediate")
        until(lambda: answers[503] > 10, "senders are told to try again")
        assert hooks.ask("GET", "/ready")[0] == 503
        own_cluster.start()
        for thread in threads:
            thread.join(60)
        assert hooks.ask("GET", "/ready")[0] == 200
        assert before < len(numbers), "it was stopped in the middle"
        assert answers[200] == len(numbers)
        assert set(answers) == {200, 503}
        assert hooks.said[0].endswith("Senders are asked to try again.")
        assert hooks.said[-1] == "Deliveries are written again."
    assert staged(own_cluster.url) == expected(numbers)
