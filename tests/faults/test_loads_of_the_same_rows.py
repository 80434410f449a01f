"""Two loads of the same keys or the same range at once: as if one came after the other.

Not for: other sessions' statements between the steps of a load (`test_writers_meanwhile`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock import LoadResult, load_table, unit
from tests.fixtures.postgres import OwnCluster

MANY = 1500
SCHEMA = """
drop schema if exists penstock cascade; drop table if exists prices, sales, items, lines;
create table prices (id int, price int not null, valid_from date not null, valid_to date,
    is_current boolean not null, primary key (id, valid_from));
create table sales (id int primary key, day date not null, who text not null);
create table items (id int primary key, who text not null);
create table lines (id int primary key, who text not null);
"""


@pytest.fixture
def url(own_cluster: OwnCluster) -> str:
    with psycopg.connect(own_cluster.url, autocommit=True) as connection:
        connection.execute(SCHEMA)
    return own_cluster.url


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def together(*loads: Callable[[Callable[[str], None]], LoadResult], at: str) -> list[LoadResult]:
    """Run loads at once: each waits at its first step of that name until all are there."""
    barrier = threading.Barrier(len(loads), timeout=60)

    def one(load: Callable[[Callable[[str], None]], LoadResult]) -> LoadResult:
        waited: list[str] = []

        def on_step(step: str) -> None:
            if step == at and not waited:
                waited.append(step)
                barrier.wait()

        result = load(on_step)
        assert waited, "the loads met"
        assert result.balanced
        return result

    with ThreadPoolExecutor(len(loads)) as pool:
        return [future.result(120) for future in [pool.submit(one, load) for load in loads]]


@pytest.mark.parametrize("dated", [True, False], ids=["dated", "now"])
def test_versions_of_two_histories_neither_overlap_nor_get_lost(
    url: str, tmp_path: Path, dated: bool
) -> None:
    files = []
    for number, month in enumerate(("2024-02-01", "2024-03-01"), 1):
        order = range(1, MANY + 1) if number == 1 else range(MANY, 0, -1)
        path = tmp_path / f"{number}.csv"
        rows = [f"{n},{n * 10 + number}{f',{month}' if dated else ''}" for n in order]
        path.write_text(f"id,price{',valid_from' if dated else ''}\n" + "\n".join(rows) + "\n")
        files.append(path)
    before = "insert into prices select n, n, '2024-01-01', null, true from generate_series(1, 9) n"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(before)

    def load(path: Path) -> Callable[[Callable[[str], None]], LoadResult]:
        return lambda on_step: load_table(
            url, path, "prices", mode="scd2", key="id", on_step=on_step
        )

    results = together(*map(load, files), at="compare")
    wrong = ask(
        url,
        "select count(*) from prices a join prices b using (id) where a.valid_from < b.valid_from "
        "and (a.valid_to is null or a.valid_to > b.valid_from)",
    )
    assert wrong == [(0,)], "versions overlap"
    open_ones = (
        "select count(*), count(distinct id) from prices where is_current and valid_to is null"
    )
    assert ask(url, open_ones) == [(MANY, MANY)]
    if dated:
        assert sum(result.inserted for result in results) == 2 * MANY
        assert ask(url, "select count(*) from prices") == [(2 * MANY + 9,)]
        ends = "select distinct valid_to from prices where valid_from = '2024-02-01'"
        assert ask(url, ends) == [(date(2024, 3, 1),)]
    else:  # both are of this day: the later one corrects the other
        assert ask(url, "select count(*) from prices where is_current and price % 10 = 1") in (
            [(0,)],
            [(MANY,)],
        )


def test_two_replacements_of_one_range_leave_the_rows_of_one(url: str, tmp_path: Path) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into sales select n, '2024-01-01', 'old' from generate_series(1, 100) n; "
            "insert into sales values (-1, '2024-01-02', 'kept')"
        )
    sizes = {"one": MANY, "two": MANY + 7}

    def load(who: str) -> Callable[[Callable[[str], None]], LoadResult]:
        path = tmp_path / f"{who}.csv"
        numbers = range(1, sizes[who] + 1) if who == "one" else range(sizes[who], 0, -1)
        path.write_text("id,day,who\n" + "".join(f"{n},2024-01-01,{who}\n" for n in numbers))
        return lambda on_step: load_table(
            url, path, "sales", mode="replace_range", within={"day": "2024-01-01"}, on_step=on_step
        )

    results = together(load("one"), load("two"), at="plan")
    found = ask(url, "select who, count(*) from sales group by 1 order by 1")
    (kept, winner) = found
    assert kept == ("kept", 1)
    assert winner in list(sizes.items())
    loser = MANY if winner[0] == "two" else MANY + 7
    assert sorted(result.deleted for result in results) == sorted([100, loser])
    assert sorted(result.inserted for result in results) == [MANY, MANY + 7]


def test_replacements_of_ranges_that_overlap_are_one_after_the_other(
    url: str, tmp_path: Path
) -> None:
    def load(who: str, first: int, last: int) -> Callable[[Callable[[str], None]], LoadResult]:
        path = tmp_path / f"{who}.csv"
        rows = "".join(f"{n},2024-01-{n % 28 + 1:02},{who}\n" for n in range(first, last))
        path.write_text("id,day,who\n" + rows)
        return lambda on_step: load_table(
            url, path, "sales", mode="replace_range", allow_shrink=True, max_rejects="all",
            within={"id": f"{first}..{last - 1}"}, on_step=on_step,
        )  # fmt: skip

    together(load("one", 1, 1001), load("two", 501, 1501), at="plan")
    found = dict(ask(url, "select who, count(*) from sales group by 1"))
    assert found in ({"one": 500, "two": 1000}, {"one": 1000, "two": 500})


def test_units_that_take_tables_in_opposite_order_both_succeed_or_one_is_told_to_try_again(
    url: str, tmp_path: Path
) -> None:
    """What deadlocks is rolled back whole, with words for a user."""
    for who in ("one", "two"):
        for table in ("items", "lines"):
            rows = "".join(f"{n},{who}\n" for n in range(1, 201))
            (tmp_path / f"{who}-{table}.csv").write_text("id,who\n" + rows)
    for table in ("items", "lines"):
        load_table(url, tmp_path / f"one-{table}.csv", table)
    barrier = threading.Barrier(2, timeout=60)

    def run(who: str, tables: tuple[str, str]) -> str:
        try:
            with unit(url, mode="upsert") as loads:
                loads.load(tmp_path / f"{who}-{tables[0]}.csv", tables[0], again=True)
                barrier.wait()
                loads.load(tmp_path / f"{who}-{tables[1]}.csv", tables[1], again=True)
        except Exception as error:  # noqa: BLE001  its type is what is asserted
            return type(error).__name__
        return "done"

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update items set who = 'x'; update lines set who = 'x'")
    with ThreadPoolExecutor(2) as pool:
        ended = [
            pool.submit(run, "one", ("items", "lines")),
            pool.submit(run, "two", ("lines", "items")),
        ]
        came = sorted(one.result(120) for one in ended)
    assert came in (["done", "done"], ["TryAgain", "done"])
    found = ask(url, "select who from items union select who from lines")
    assert found in ([("one",)], [("two",)])
    assert ask(url, "select bool_and(balanced) from penstock.balance") == [(True,)]


REFUSED = 100
#: Between two rejects, so that loads surely overlap; and who waits in a ring is told soon.
SLOWLY = """
create function slowly() returns trigger language plpgsql as
    'begin perform pg_sleep(0.003); return new; end';
create trigger slowly before insert on penstock.rejects for each row execute function slowly();
alter database penstock set deadlock_timeout = '100ms';
"""


def until_it_waits(connection: psycopg.Connection[Any]) -> None:
    """Until a load waits for what this connection holds."""
    for _ in range(3000):
        if connection.execute("select from pg_locks where not granted").rowcount:
            return
        connection.execute("select pg_sleep(0.01)")
    raise AssertionError("the load waits for nothing")


def test_loads_that_refuse_the_same_new_rows_in_other_order_count_them_up(
    url: str, tmp_path: Path
) -> None:
    (tmp_path / "0.csv").write_text("id,who\n1,good\n")
    load_table(url, tmp_path / "0.csv", "items")  # makes the ledger
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SLOWLY)

    def load(number: int) -> Callable[[Callable[[str], None]], LoadResult]:
        bad = [f"{n}?,bad\n" for n in range(REFUSED)]
        ordered = (bad, bad[::-1], bad[50:] + bad[:50])[number % 3]
        path = tmp_path / f"{number + 1}.csv"
        path.write_text("id,who\n1,good\n" + "".join(ordered))
        return lambda on_step: load_table(
            url, path, "items", mode="upsert", max_rejects="all", on_step=on_step
        )

    try:
        results = together(*(load(number) for number in range(4)), at="rejects")
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("alter database penstock reset deadlock_timeout")
    assert [one.quarantined for one in results] == [REFUSED] * 4
    found = ask(url, "select count(*), min(times), max(times) from penstock.rejects")
    assert found == [(REFUSED, 4, 4)]
    # listed in the order of the file that brought them
    ordered = ask(url, "select array_agg(raw order by reject_id) from penstock.rejects")[0][0]
    first = int(bytes(ordered[0]).split(b"?")[0])
    step = -1 if first == REFUSED - 1 else 1
    expected = [f"{(first + step * n) % REFUSED}?,bad" for n in range(REFUSED)]
    assert [bytes(raw).decode().strip() for raw in ordered] == expected


def test_rejects_that_wait_are_counted_up_in_one_order_by_all_loads(
    url: str, tmp_path: Path
) -> None:
    path = tmp_path / "items.csv"
    path.write_text("id,who\n1,good\n" + "".join(f"{n}?,bad\n" for n in range(20)))

    def load() -> LoadResult:
        return load_table(url, path, "items", mode="upsert", max_rejects="all")

    load()
    met = [
        key for (key,) in ask(url, "select reject_id from penstock.rejects order by fingerprint")
    ]
    assert met != sorted(met)
    with psycopg.connect(url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("set statement_timeout = '60s'")
        counted = "update penstock.rejects set times = times + 1 where reject_id = %s"
        other.execute(counted, [met[0]])
        coming = pool.submit(load)
        until_it_waits(other)
        other.execute("set local lock_timeout = '1ms'")  # the load holds none of the others
        for key in met[1:]:
            other.execute(counted, [key])
        other.commit()
        assert coming.result(120).quarantined == 20
    assert ask(url, "select distinct times from penstock.rejects") == [(3,)]
