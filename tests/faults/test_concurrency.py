"""Loads beside each other, beside readers and beside Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from penstock import LoadResult, TryAgain, load_star, load_table
from tests.faults.shop import (
    REFUSED,
    ROOT,
    SALES,
    SCHEMA,
    await_true,
    contents,
    nothing_left_behind,
    write_files,
)
from tests.fixtures.postgres import Database

LANDED = SALES - REFUSED
PENSTOCK = (sys.executable, "-m", "penstock")


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Path:
    write_files(tmp_path, checked=False)
    with database.connect() as connection:
        connection.execute(SCHEMA)
        connection.execute("insert into products select n, 'old' from generate_series(1, 20) n")
    return tmp_path


def test_the_same_file_appended_twice_at_once_lands_once(database: Database, shop: Path) -> None:
    barrier = threading.Barrier(2, timeout=30)

    def on_step(step: str) -> None:
        if step == "copy":
            barrier.wait()  # both have looked for known files and found none

    def load() -> LoadResult | TryAgain:
        try:
            return load_table(
                database.url, shop / "sales.csv", "sales", max_rejects=5, on_step=on_step,
                keep_constraints=True,
            )  # fmt: skip
        except TryAgain as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        came = [future.result() for future in [pool.submit(load), pool.submit(load)]]
    assert sorted(type(one).__name__ for one in came) == ["LoadResult", "TryAgain"]
    assert contents(database.url)[1] == LANDED
    again = load_table(database.url, shop / "sales.csv", "sales", max_rejects=5)
    assert again.read == 0
    assert len(again.skipped) == 1


def test_two_stars_at_once_end_in_one_star(database: Database, shop: Path) -> None:
    load_star(database.url, shop, max_rejects=5)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(load_star, database.url, shop, max_rejects=5) for _ in range(2)]
        for future in futures:
            assert [result.inserted for result in future.result()] == [20, LANDED]
    assert contents(database.url)[:2] == (20, LANDED)
    nothing_left_behind(database.url)


def test_readers_never_see_a_part_of_a_load(database: Database, shop: Path) -> None:
    load_star(database.url, shop, max_rejects=5)
    seen: set[tuple[int, ...]] = set()
    stop = threading.Event()

    def read() -> int:
        polls = 0
        with psycopg.connect(database.url, autocommit=True) as connection:
            while not stop.is_set():
                row = connection.execute(
                    "select (select count(*) from products), (select count(*) from sales)"
                ).fetchone()
                assert row is not None
                seen.add(row)
                polls += 1
        return polls

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        for _ in range(3):
            load_star(database.url, shop, max_rejects=5)
        stop.set()
        assert reader.result() >= 3, "the reader read"
    assert seen == {(20, LANDED)}


def test_a_reader_that_holds_a_lock_is_named_and_nothing_changes(
    database: Database, shop: Path
) -> None:
    with psycopg.connect(database.url, application_name="slow report") as reader:
        reader.execute("select count(*) from sales")
        reader.execute("lock table sales in row share mode")
        with pytest.raises(TryAgain, match="slow report") as raised:
            load_star(database.url, shop, max_rejects=5, lock_timeout=1)
    assert str(raised.value).count("slow report") == 1, "however many locks it holds"
    assert contents(database.url)[1] == 0
    nothing_left_behind(database.url)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_rolls_back_and_says_so(database: Database, shop: Path, how: signal.Signals) -> None:
    with psycopg.connect(database.url) as reader:
        reader.execute("select count(*) from sales")  # keeps the load waiting for its lock
        load = subprocess.Popen(
            [*PENSTOCK, "load-star", str(shop), "--max-rejects", "5", "--dsn", database.url],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )

        def waits() -> bool:
            with psycopg.connect(database.url) as connection:
                row = connection.execute(
                    "select count(*) from pg_stat_activity where application_name = 'penstock' "
                    "and wait_event_type = 'Lock' and datname = current_database()"
                ).fetchone()
            return row == (1,)

        await_true(waits, "the load waits for the reader")
        load.send_signal(how)
        _, said = load.communicate(timeout=20)
    assert load.returncode == 130, said
    assert "Traceback" not in said
    assert "nothing was changed" in said
    assert contents(database.url)[1] == 0
    with psycopg.connect(database.url) as connection:
        assert connection.execute("select status from penstock.runs").fetchall() == [("failed",)]
    nothing_left_behind(database.url)
