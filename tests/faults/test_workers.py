"""Workers that are killed, paused, cut off or ended by an event: each event is in the target once.

The oracle is the list of events that was written before they were staged. Not for: intake.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.events import letters, queue
from penstock.events.crew import Crew, Order
from penstock.events.worker import Worker, drain
from penstock.postgres.connection import connect
from penstock.postgres.embedded.cluster import StopMode
from tests.faults import event_driver
from tests.faults.event_driver import NAME, PIPELINE
from tests.fixtures.flows import until
from tests.fixtures.postgres import Database, OwnCluster
from tests.fixtures.proxy import FaultProxy
from tests.integration.events.conftest import Shop

DRIVER = Path(event_driver.__file__)
ROOT = Path(__file__).parents[2]
MANY = 30


class Driver:
    """The driver's process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.event_driver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def order(self, **order: Any) -> dict[str, Any]:
        """Have an order carried out; gives the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer."""
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    made = Driver()
    yield made
    made.close()


@pytest.fixture
def shop(ledger_database: Database) -> Shop:
    return Shop(ledger_database.url)


def events(turn: int, many: int = MANY) -> list[dict[str, Any]]:
    """Sound events and one bad one, written down before they are offered."""
    made = [
        {"id": f"t{turn}-{n}", "kind": "view", "at": f"2026-01-{1 + n % 28:02}T00:00:00Z", "qty": n}
        for n in range(many)
    ]
    made[many // 2]["qty"] = "many"
    return made


def expected(offered: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((one["id"], one["qty"]) for one in offered if one["qty"] != "many")


def held(shop: Shop) -> list[tuple[Any, ...]]:
    return sorted(shop.held("event_id, qty"))


def check(shop: Shop, offered: list[dict[str, Any]]) -> None:
    """Every event is in the target once, or failed; the books of events and of loads balance."""
    bad = sum(one["qty"] == "many" for one in offered)
    assert held(shop) == expected(offered)
    counts = (len(offered), 0, 0, len(offered) - bad, 0, bad, 0)
    assert shop.balance() == {"files": counts}
    assert shop.rows("select count(*) from penstock.event_keys") == [(len(offered) - bad,)]
    assert shop.rows("select count(*) from penstock.rejects where status = 'waiting'") == [(bad,)]
    assert shop.rows("select sum(read), sum(inserted) from penstock.balance") == [
        (len(offered), len(offered) - bad)
    ]
    assert shop.rows("select count(*) from penstock.balance where not balanced") == [(0,)]


def test_a_worker_killed_at_any_point_loses_and_doubles_nothing(
    shop: Shop, driver: Driver, tmp_path: Path
) -> None:
    offered = events(0)
    shop.stage(*offered)
    seen = driver.order(url=shop.url)
    assert seen["error"] == ""
    points = seen["points"]
    assert {"claimed", "read", "transformed", "acknowledged", "committed"} <= {*points}
    assert sum(point.startswith("load: ") for point in points) >= 8
    marker = tmp_path / "fired"
    for at, name in enumerate(points[:-1]):  # the last one is a look that finds nothing
        more = events(at + 1)
        offered += more
        shop.stage(*more)
        ended = driver.order(url=shop.url, at=at, signal=signal.SIGKILL, marker=str(marker))
        assert ended["returncode"] == -signal.SIGKILL, (name, ended)
        assert marker.read_text("utf-8") == name
        marker.unlink()
        with connect(shop.url) as connection:
            queue.let_go(connection, "shop", NAME)
        drain(PIPELINE, shop.url)
        assert held(shop) == expected(offered), name
    check(shop, offered)


@pytest.mark.parametrize("point", ["claimed", "load: copy", "load: verify", "acknowledged"])
def test_a_paused_worker_is_taken_over_and_cannot_commit_when_it_wakes(
    shop: Shop, driver: Driver, tmp_path: Path, point: str
) -> None:
    warm = events(0)
    shop.stage(*warm)
    at = driver.order(url=shop.url)["points"].index(point)
    offered = events(1)
    shop.stage(*offered)
    marker = tmp_path / "fired"
    paused = driver.order(url=shop.url, at=at, signal=signal.SIGSTOP, marker=str(marker))["pid"]
    try:
        until(lambda: _stopped(paused), "the worker is paused")
        assert marker.read_text("utf-8") == point
        over = (
            "select lease_until < clock_timestamp() from penstock.batches where worker = %s "
            "and status = 'processing'"
        )
        until(lambda: shop.rows(over, NAME) == [(True,)], "its lease is over")
        taken = drain(PIPELINE, shop.url)
        assert taken.events == len(offered)
        check(shop, warm + offered)
    finally:
        os.kill(paused, signal.SIGCONT)
        ended = driver.answer()
    assert ended["error"] == ""
    assert any(one.startswith("trouble: ") for one in ended["points"])
    check(shop, warm + offered)
    assert shop.rows(
        "select count(*) from penstock.batches where status not in ('succeeded', 'split')"
    ) == [(0,)]


def _more_done(shop: Shop, than: int) -> bool:
    return bool(shop.rows(DONE)[0][0] > than)


def _stopped(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    return state == "T"


def test_a_commit_whose_reply_is_lost_is_not_done_twice(
    shop: Shop, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The COMMIT of the rows: the next one after their batch was acknowledged."""
    offered = events(0)
    shop.stage(*offered)
    url = fault_proxy.url.rpartition("/")[0] + "/" + shop.url.rpartition("/")[2]
    real = queue.finish

    def acknowledged(*words: Any, **more: Any) -> None:
        real(*words, **more)
        fault_proxy.swallow_reply_to(b"COMMIT")

    monkeypatch.setattr(queue, "finish", acknowledged)
    worked = drain(PIPELINE, url)
    assert fault_proxy.fired["swallow"] == 1
    assert worked.events == len(offered)  # it asked whether the COMMIT had come through
    assert shop.rows("select status, attempts from penstock.batches") == [("succeeded", 1)]
    check(shop, offered)
    assert drain(PIPELINE, shop.url).events == 0


def test_workers_whose_sessions_are_ended_go_on(shop: Shop) -> None:
    """Every session of a worker is ended again and again while it works."""
    offered: list[dict[str, Any]] = []
    for turn in range(20):
        more = events(turn)
        offered += more
        shop.stage(*more)
    stop, ended = threading.Event(), 0
    url = shop.url + "?application_name=worker"
    worker = Worker(replace(PIPELINE, batch=MANY), url, stop=stop)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    with psycopg.connect(shop.url, autocommit=True) as connection:
        for turn in range(5):
            until(partial(_more_done, shop, turn), "it goes on")
            found = connection.execute(
                "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity "
                "where application_name = 'worker'"
            ).fetchone()
            assert found is not None
            ended += found[0]
        until(lambda: shop.rows(LEFT) == [(0,)], "all is done")
    stop.set()
    thread.join()
    assert ended >= 5
    check(shop, offered)


DONE = "select count(*) from penstock.batches where status = 'succeeded'"
LEFT = "select count(*) from penstock.batches where status in ('pending', 'processing')"


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_restarted_under_load_loses_and_doubles_nothing(
    own_cluster: OwnCluster, mode: StopMode
) -> None:
    own_cluster.renew()
    shop = Shop(own_cluster.url)
    offered: list[dict[str, Any]] = []
    for turn in range(40):
        more = events(turn)
        offered += more
        shop.stage(*more)
    stop = threading.Event()
    worker = Worker(replace(PIPELINE, batch=MANY), shop.url, stop=stop)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    for turn in range(3):
        until(partial(_more_done, shop, turn * 4), "it goes on")
        own_cluster.stop(mode)
        own_cluster.start()
    until(lambda: shop.rows(LEFT) == [(0,)], "all is done")
    stop.set()
    thread.join()
    assert worker.worked.troubles
    check(shop, offered)
    most = shop.rows("select max(attempts) from penstock.batches")
    assert most == [(1,)]  # no event had to answer for the server


CONFIG = 'env = {{"warehouse": {{"kind": "postgres", "url": "{url}"}}, "dev": {{}}}}\n'
POISON = """
import os
from penstock.events.pipeline import Pipeline


def row_of(one):
    if one["kind"] == "poison":
        os._exit(139)
    return {"event_id": one["id"], "kind": one["kind"], "occurred_at": one["at"], "qty": one["qty"]}


shop = Pipeline(name="shop", target="events", key="event_id", time="occurred_at",
                transform=row_of, attempts=2)
"""


#: Neither of two workers goes on before the other one has begun.
TOGETHER = """
import os, time
from pathlib import Path

Path(f"{os.getpid()}.begun").touch()
while len(list(Path().glob("*.begun"))) < 2:
    time.sleep(0.01)
"""


def test_an_event_that_ends_its_process_dies_alone(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "config.py").write_text(CONFIG.format(url=shop.url), "utf-8")
    (tmp_path / "pipelines" / "shop.py").write_text(POISON, "utf-8")
    offered = events(0, 40)
    offered[11]["kind"] = "poison"
    shop.stage(*offered)
    order = Order(folder=tmp_path, env=None, pipelines={"shop": shop.url}, processes=1, once=True)
    news: list[str] = []
    crew = Crew(order, lambda _, what: news.append(what) if what else None)
    crew.run()
    assert crew.error is None
    # 40 events, then 4 of them, then it alone, twice: whoever works on it ends each time.
    assert crew.restarts == 4
    assert all("exit code 139" in one for one in news)
    sound = [one for one in offered if one["kind"] != "poison"]
    assert held(shop) == expected(sound)
    assert shop.balance() == {"files": (40, 0, 0, 38, 0, 1, 1)}
    with connect(shop.url) as connection:
        dead = [one for one in letters.letters(connection) if one.status == "dead"]
    assert [(one.place, one.code, one.reason) for one in dead] == [
        ("1/11", "poison", "the process that worked on it ended 2 times")
    ]


def test_two_workers_share_the_work_and_none_is_done_twice(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "config.py").write_text(CONFIG.format(url=shop.url), "utf-8")
    (tmp_path / "pipelines" / "shop.py").write_text(
        TOGETHER + POISON.replace("attempts=2", "attempts=2, batch=30"), "utf-8"
    )
    offered: list[dict[str, Any]] = []
    for turn in range(40):
        more = events(turn)
        offered += more
        shop.stage(*more)
    order = Order(folder=tmp_path, env=None, pipelines={"shop": shop.url}, processes=2, once=True)
    crew = Crew(order)
    worked = crew.run()
    assert worked.events == len(offered)
    check(shop, offered)
    workers = shop.rows("select count(distinct worker) from penstock.batches")
    assert workers == [(2,)]


def test_workers_end_with_their_parent_and_let_go_at_once(shop: Shop, tmp_path: Path) -> None:
    """`penstock work` is killed by signal 9 while its worker is in the middle of a batch."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "config.py").write_text(CONFIG.format(url=shop.url), "utf-8")
    slow = POISON.replace("os._exit(139)", "open('begun', 'w').close(); time.sleep(600)")
    slow = slow.replace("import os", "import time")
    (tmp_path / "pipelines" / "shop.py").write_text(slow, "utf-8")
    offered = events(0, 10)
    offered[3]["kind"] = "poison"
    shop.stage(*offered)
    program = str(Path(sys.executable).with_name("penstock"))
    parent = subprocess.Popen([program, "work", "shop"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    until((tmp_path / "begun").exists, "the worker is in the middle of it")
    assert shop.rows("select status from penstock.batches") == [("processing",)]
    parent.kill()
    parent.wait()
    over = "select lease_until <= clock_timestamp() from penstock.batches"
    until(lambda: shop.rows(over) == [(True,)], "its worker has let go")
    for one in offered:
        one["kind"] = "view"
    drain(PIPELINE, shop.url)
    assert held(shop) == expected(offered)
