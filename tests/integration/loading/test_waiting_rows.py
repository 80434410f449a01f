"""Rows that wait for their parents (`orphans` wait), tried again by later loads.

What must come of them is written down here by hand, and read back by SQL.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from penstock import (
    LoadResult,
    UsageError,
    Waited,
    clear_tables,
    load_star,
    load_table,
    replay_rejects,
    unit,
)
from tests.fixtures.postgres import Database
from tests.integration.cli.program import penstock

SHOP = """
create table customers (customer_id int primary key, name text not null);
create table products (product_id int primary key);
create table orders (order_id int primary key, customer_id int references customers,
    product_id int references products, amount numeric(8,2) check (amount >= 0));
insert into customers values (1, 'Ann');
insert into products values (1);
"""
WAIT = {"customer_id": "wait"}
Row = tuple[Any, ...]


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(SHOP)
    return database


@pytest.fixture
def load(shop: Database, tmp_path: Path) -> Callable[..., LoadResult]:
    """Loads lines of a CSV file into orders; orphans of customers wait."""

    def made(*lines: str, name: str = "orders", **options: Any) -> LoadResult:
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join(["order_id,customer_id,amount", *lines, ""]), encoding="utf-8")
        told = {"orphans": WAIT, "max_rejects": "all", **options}
        return load_table(shop.url, path, "orders", **told)

    return made


def ask(database: Database, query: str) -> list[Row]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def come(database: Database, *customers: int) -> None:
    """Customers arrive, not through Penstock."""
    with database.connect() as connection:
        for number in customers:
            connection.execute("insert into customers values (%s, 'late')", [number])


def orders(database: Database) -> list[Row]:
    return ask(database, "select order_id, customer_id, amount::float8 from orders order by 1")


def rejects(database: Database) -> list[Row]:
    return ask(
        database,
        "select raw_values ->> 'order_id', status, awaits_parent, times "
        "from penstock.rejects order by reject_id",
    )


def balanced(database: Database) -> list[Row]:
    return ask(
        database,
        "select table_name, mode, read, inserted, updated, quarantined, balanced "
        "from penstock.balance order by finished_at",
    )


def test_a_row_waits_until_its_parent_is_there_and_is_loaded_once(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    first = load("1,1,5", "2,8,6", "3,9,7")
    assert (first.inserted, first.quarantined, first.waited) == (1, 2, Waited())
    assert rejects(shop) == [("2", "waiting", True, 1), ("3", "waiting", True, 1)]

    second = load("4,1,1", name="b")
    assert second.waited == Waited(tried=2, waiting=2)
    assert (second.read, second.inserted, second.quarantined) == (1, 1, 0)
    assert rejects(shop) == [("2", "waiting", True, 2), ("3", "waiting", True, 2)]

    come(shop, 8)
    third = load("5,1,1", name="c")
    assert third.waited == Waited(tried=2, inserted=1, waiting=1)
    assert third.balanced
    assert str(third) == (
        "orders: 1 read, 1 inserted; rows that waited: 2 tried again, 1 inserted, 1 waits on"
    )
    assert orders(shop) == [(1, 1, 5), (2, 8, 6), (4, 1, 1), (5, 1, 1)]
    assert rejects(shop) == [("2", "replayed", True, 2), ("3", "waiting", True, 3)]

    come(shop, 9)
    assert load("6,1,1", name="d").waited == Waited(tried=1, inserted=1)
    assert load("7,1,1", name="e").waited == Waited()
    assert [row[0] for row in orders(shop)] == [1, 2, 3, 4, 5, 6, 7]
    assert {row[-1] for row in balanced(shop)} == {True}
    assert balanced(shop)[:3] == [
        ("orders", "append", 3, 1, 0, 2, True),
        ("orders", "append", 1, 1, 0, 0, True),
        ("orders", "append", 2, 0, 0, 2, True),
    ]


def test_a_file_that_was_loaded_before_still_brings_what_waits(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6")
    come(shop, 8)
    again = load("1,1,5", "2,8,6")
    assert again.read == 0
    assert len(again.skipped) == 1
    assert again.waited == Waited(tried=1, inserted=1)
    assert orders(shop) == [(1, 1, 5), (2, 8, 6)]


def test_a_star_tries_them_after_the_parents_that_it_brings(
    shop: Database, load: Callable[..., LoadResult], tmp_path: Path
) -> None:
    load("1,1,5", "2,8,6")
    folder = tmp_path / "star"
    folder.mkdir()
    (folder / "orders.csv").write_text("order_id,customer_id\n3,8\n", encoding="utf-8")
    (folder / "customers.csv").write_text("customer_id,name\n8,Bo\n", encoding="utf-8")
    results = load_star(shop.url, folder, mode="append", orphans={"orders.customer_id": "wait"})
    assert [(one.table, one.inserted) for one in results] == [("customers", 1), ("orders", 1)]
    assert results[1].waited == Waited(tried=1, inserted=1)
    assert orders(shop) == [(1, 1, 5), (2, 8, 6), (3, 8, None)]


def test_within_a_unit_too_and_all_of_it_rolls_back(
    shop: Database, load: Callable[..., LoadResult], tmp_path: Path
) -> None:
    load("1,1,5", "2,8,6")
    customers = pl.DataFrame({"customer_id": [8], "name": ["Bo"]})
    more = pl.DataFrame({"order_id": [3], "customer_id": [8]})

    def undone() -> None:
        with unit(shop.url) as together:
            together.load(customers, "customers")
            assert together.load(more, "orders").waited == Waited(tried=1, inserted=1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        undone()
    assert rejects(shop) == [("2", "waiting", True, 1)]
    with unit(shop.url) as together:
        together.load(customers, "customers")
        together.load(more, "orders")
    assert [row[0] for row in orders(shop)] == [1, 2, 3]
    assert rejects(shop) == [("2", "replayed", True, 1)]


def test_a_dry_run_tries_them_and_changes_nothing(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6")
    come(shop, 8)
    assert load("3,1,1", name="b", dry_run=True).waited == Waited(tried=1, inserted=1)
    assert rejects(shop) == [("2", "waiting", True, 1)]
    assert load("3,1,1", name="b").waited == Waited(tried=1, inserted=1)


def test_a_failed_load_keeps_them_waiting_and_writes_no_copies(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6", "3,9,7")
    come(shop, 8)
    with pytest.raises(Exception, match="every row was refused"):
        load("4,1,x", name="b")
    by_status = "select status, count(*) from penstock.rejects group by 1 order by 1"
    assert ask(shop, by_status) == [("void", 1), ("waiting", 2)]
    assert orders(shop) == [(1, 1, 5)]


def test_what_is_refused_for_another_reason_now_waits_to_be_corrected(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6", "3,8,-7")
    assert rejects(shop) == [("2", "waiting", True, 1), ("3", "waiting", True, 1)]
    come(shop, 8)
    result = load("4,1,1", name="b")
    assert result.waited == Waited(tried=2, inserted=1, refused=1)
    assert rejects(shop) == [("2", "replayed", True, 1), ("3", "waiting", False, 2)]
    assert ask(shop, "select codes from penstock.rejects where status = 'waiting'") == [
        (["23514"],)
    ]
    assert load("5,1,1", name="c").waited == Waited()


def test_a_row_with_another_fault_does_not_wait_for_its_parent_alone(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,x")
    assert rejects(shop) == [("2", "waiting", False, 1)]


def test_a_parent_that_nobody_waits_for_is_no_reason_to_wait(
    shop: Database, tmp_path: Path
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("order_id,customer_id,product_id\n1,1,1\n2,8,1\n3,8,9\n4,1,9\n")
    load_table(shop.url, path, orphans=WAIT, max_rejects="all")
    assert [row[:3] for row in rejects(shop)] == [
        ("2", "waiting", True),
        ("3", "waiting", False),
        ("4", "waiting", False),
    ]


def test_values_are_read_as_the_load_said_that_met_them(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    with shop.connect() as connection:
        connection.execute("alter table orders add day date")
    frame = pl.DataFrame(
        {"Nr": ["1", "2"], "customer_id": ["1", "8"], "day": ["31.1.2024", "1.2.2024"]}
    )
    load_table(
        shop.url, frame, "orders", columns={"Nr": "order_id"}, dates="D.M.YYYY", orphans=WAIT,
        max_rejects="all",
    )  # fmt: skip
    come(shop, 8)
    assert load("3,1,1", name="b").waited == Waited(tried=1, inserted=1)
    assert ask(shop, "select day::text from orders where order_id = 2") == [("2024-02-01",)]


def test_natural_keys_that_are_looked_up_wait_too(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table dim_customers (customer_key int primary key, no text unique);"
            "create table fact_sales (sale_id int, customer_key int references dim_customers);"
            "insert into dim_customers values (1, 'A')"
        )
    options: dict[str, Any] = {
        "lookups": {"customer_key": "dim_customers.no"},
        "orphans": {"customer_key": "wait"},
        "max_rejects": "all",
    }
    sales = pl.DataFrame({"sale_id": ["1", "2"], "customer_key": ["A", "B"]})
    load_table(database.url, sales, "fact_sales", **options)
    with database.connect() as connection:
        connection.execute("insert into dim_customers values (7, 'B')")
    more = pl.DataFrame({"sale_id": ["3"], "customer_key": ["A"]})
    assert load_table(database.url, more, "fact_sales", **options).waited == Waited(
        tried=1, inserted=1
    )
    found = ask(database, "select sale_id, customer_key from fact_sales order by 1")
    assert found == [(1, 1), (2, 7), (3, 1)]


def test_a_reference_to_the_same_table_waits_for_rows_that_come_later(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("create table staff (id int primary key, boss int references staff)")

    def loaded(*rows: tuple[int, int | None]) -> LoadResult:
        frame = pl.DataFrame(rows, schema=["id", "boss"], orient="row")
        return load_table(database.url, frame, "staff", orphans={"boss": "wait"}, max_rejects="all")

    assert loaded((1, None), (3, 2)).quarantined == 1
    assert loaded((2, 1)).waited == Waited(tried=1, inserted=1)
    assert ask(database, "select id, boss from staff order by 1") == [(1, None), (2, 1), (3, 2)]


# Rows that came again ------------------------------------------------------------------------


def test_an_upsert_that_brings_the_key_supersedes_the_row_that_waits(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,1,6", mode="upsert")
    load("2,8,60", "1,1,5", mode="upsert", name="b")  # an update of order 2 waits
    newer = load("2,1,99", mode="upsert", name="c")
    assert newer.waited == Waited(superseded=1)
    assert (newer.updated, newer.read) == (1, 1)
    come(shop, 8)
    assert load("3,1,1", mode="upsert", name="d").waited == Waited()
    assert orders(shop) == [(1, 1, 5), (2, 1, 99), (3, 1, 1)]
    note = ask(shop, "select status, note from penstock.rejects")
    assert note == [("resolved", "superseded: a later load brought the row")]


def test_an_upsert_that_finds_the_row_equal_supersedes_it_too(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,1,6", mode="upsert")
    load("2,8,60", "1,1,5", mode="upsert", name="b")
    come(shop, 8)
    result = load("2,1,6", mode="upsert", name="c")  # brings parent's absence back: older is over
    assert result.waited == Waited(superseded=1)
    assert orders(shop) == [(1, 1, 5), (2, 1, 6)]


def test_a_waiting_update_updates_when_its_parent_comes(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,1,6", mode="upsert")
    load("2,8,60", "1,1,5", mode="upsert", name="b")
    come(shop, 8)
    assert load("3,1,1", name="c").waited == Waited(tried=1, updated=1)
    assert orders(shop) == [(1, 1, 5), (2, 8, 60), (3, 1, 1)]


def test_of_two_waiting_rows_with_one_key_the_newer_counts(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6", mode="upsert")
    assert load("1,1,5", "2,9,7", mode="upsert", name="b").waited.superseded == 1
    come(shop, 9)
    load("3,1,1", mode="upsert", name="c")
    come(shop, 8)
    load("4,1,1", mode="upsert", name="d")
    assert orders(shop)[1] == (2, 9, 7)


def test_an_appended_row_that_waits_never_takes_the_place_of_another(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6")
    come(shop, 8)
    result = load("2,1,7", name="b")
    assert result.waited == Waited(superseded=1)
    assert orders(shop) == [(1, 1, 5), (2, 1, 7)]


def test_where_the_key_cannot_be_known_a_key_that_is_there_refuses_the_row(
    database: Database,
) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table customers (id int primary key);"
            "create table orders (no numeric(9,2) primary key, customer int references customers);"
            "insert into customers values (1)"
        )

    def loaded(*rows: tuple[str, str]) -> LoadResult:
        frame = pl.DataFrame(rows, schema=["no", "customer"], orient="row")
        return load_table(
            database.url, frame, "orders", mode="upsert", orphans={"customer": "wait"},
            max_rejects="all",
        )  # fmt: skip

    loaded(("1.5", "1"), ("2.5", "1"))
    loaded(("1.5", "1"), ("2.50", "8"))
    with database.connect() as connection:
        connection.execute("insert into customers values (8)")
    assert loaded(("3.5", "1")).waited == Waited(tried=1, refused=1)
    assert ask(database, "select codes, awaits_parent from penstock.rejects") == [
        (["23505"], False)
    ]
    assert ask(database, "select customer from orders where no = 2.5") == [(1,)]


def test_a_truncate_ends_what_waited_unless_it_comes_again(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6", "3,9,7", mode="truncate")
    result = load("1,1,5", "4,1,1", "2,8,6", mode="truncate")
    assert result.waited == Waited(superseded=1)
    assert rejects(shop) == [("2", "waiting", True, 2), ("3", "resolved", True, 1)]
    come(shop, 8, 9)
    assert load("5,1,1", name="b").waited == Waited(tried=1, inserted=1)
    assert [row[0] for row in orders(shop)] == [1, 2, 4, 5]


def test_a_sync_of_the_whole_table_ends_what_it_does_not_have(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6", "3,9,7", mode="sync", max_deletes="all")
    result = load("1,1,5", "3,9,7", mode="sync", name="b", max_deletes="all")
    assert result.waited == Waited(superseded=1)
    assert rejects(shop) == [("2", "resolved", True, 1), ("3", "waiting", True, 2)]


def test_a_range_that_is_replaced_ends_what_waited_of_it(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    options: dict[str, Any] = {"mode": "replace_range", "allow_shrink": True}
    load("1,1,5", "2,8,6", within={"order_id": "1..9"}, **options)
    load("11,1,5", "12,8,6", within={"order_id": "11..19"}, name="b", **options)
    third = load("1,1,7", within={"order_id": "1..9"}, name="c", **options)
    assert third.waited == Waited(tried=1, waiting=1, superseded=1)
    come(shop, 8)
    load("20,1,1", name="d")
    assert orders(shop) == [(1, 1, 7), (11, 1, 5), (12, 8, 6), (20, 1, 1)]


def test_emptying_the_table_ends_what_waited_for_it(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6")
    (cleared,) = clear_tables(shop.url, ["orders"])
    assert str(cleared) == "orders: 1 deleted; rows that waited: 1 superseded"
    come(shop, 8)
    assert load("1,1,5", "2,8,6").inserted == 2
    assert orders(shop) == [(1, 1, 5), (2, 8, 6)]


def test_emptying_it_behind_the_ledgers_back_does_too(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6")
    with shop.connect() as connection:
        connection.execute("truncate orders")
    come(shop, 8)
    again = load("1,1,5", "2,8,6")
    assert (again.inserted, again.waited) == (2, Waited(superseded=1))


# Rows of one load, and of loads that took other ways -------------------------------------------


def test_a_later_row_of_the_same_load_supersedes_the_one_that_waits(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    first = load("10,5,1", "10,1,2", "11,1,3", "11,5,4", mode="upsert")
    assert (first.quarantined, first.waited) == (2, Waited(superseded=1))
    assert rejects(shop) == [("10", "resolved", True, 1), ("11", "waiting", True, 1)]
    assert ask(shop, "select note from penstock.rejects where reject_id = 1") == [
        ("superseded: a later row of the same load has its key",)
    ]
    come(shop, 5)
    assert load("12,1,1", name="b").waited == Waited(tried=1, updated=1)
    assert orders(shop) == [(10, 1, 2), (11, 5, 4), (12, 1, 1)]


def test_a_row_in_a_later_file_of_the_same_load_does_too(
    shop: Database, load: Callable[..., LoadResult], tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("order_id,customer_id,amount\n10,5,1\n11,1,1\n12,1,3\n")
    (tmp_path / "z.csv").write_text("order_id,customer_id,amount\n10,1,2\n11,5,2\n12,6,9\n")
    files = [tmp_path / "a.csv", tmp_path / "z.csv"]
    options: dict[str, Any] = {"mode": "sync", "orphans": WAIT, "max_rejects": "all"}
    load_table(shop.url, files, "orders", **options)
    come(shop, 5, 6)
    assert load("13,1,1", name="b").waited == Waited(tried=2, updated=2)
    assert orders(shop) == [(10, 1, 2), (11, 5, 2), (12, 6, 9), (13, 1, 1)]


def test_two_waiting_rows_with_one_key_in_two_files_count_in_the_order_of_the_files(
    shop: Database, load: Callable[..., LoadResult], tmp_path: Path
) -> None:
    # Paths have capitals first, most collations of databases have not.
    (tmp_path / "B.csv").write_text("order_id,customer_id,amount\n10,5,1\n11,1,1\n")
    (tmp_path / "a.csv").write_text("order_id,customer_id,amount\n10,5,2\n12,1,1\n")
    files = [tmp_path / "B.csv", tmp_path / "a.csv"]
    load_table(shop.url, files, "orders", mode="upsert", orphans=WAIT, max_rejects="all")
    come(shop, 5)
    load("13,1,1", name="b")
    assert orders(shop)[0] == (10, 5, 2)


def test_a_row_that_waits_already_and_comes_again_before_its_successor(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("10,5,1", "1,1,1", mode="upsert")
    load("10,5,1", "10,1,2", mode="upsert", name="b")
    come(shop, 5)
    assert load("3,1,1", mode="upsert", name="c").waited == Waited()
    assert orders(shop) == [(1, 1, 1), (3, 1, 1), (10, 1, 2)]
    assert {row[1] for row in rejects(shop)} == {"resolved"}


def test_what_is_tried_again_resolves_nothing_that_nobody_brought(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("10,5,1", "2,1,1")
    load("10,1,abc", "3,1,1", name="b")
    come(shop, 5)
    assert load("4,1,1", name="c").waited == Waited(tried=1, inserted=1)
    assert rejects(shop) == [("10", "replayed", True, 2), ("10", "waiting", False, 1)]


def test_of_appended_rows_with_one_key_the_first_goes_in_and_the_others_are_not_lost(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("10,5,1", "10,5,2", "10,5,3", "2,1,1")
    come(shop, 5)
    assert load("4,1,1", name="b").waited == Waited(tried=3, inserted=1, refused=2)
    assert orders(shop)[-1] == (10, 5, 1)
    assert rejects(shop) == [
        ("10", "replayed", True, 1),
        ("10", "waiting", False, 2),
        ("10", "waiting", False, 2),
    ]
    assert ask(shop, "select distinct codes, reasons[1] from penstock.rejects where times = 2") == [
        (["23505"], "order_id 10 came first in reject #1")
    ]
    load("5,1,1", name="c")
    assert [row[1] for row in rejects(shop)] == ["replayed", "waiting", "waiting"]


def test_a_key_in_another_spelling_is_the_same_key(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("7,5,2", "2,1,1", mode="upsert")
    assert load("07,5,1", "2,1,1", mode="upsert", name="b").waited.superseded == 1
    # The first one comes once more: now it is the newest.
    assert load("7,5,2", "2,1,1", mode="upsert").waited.superseded == 1
    come(shop, 5)
    load("3,1,1", mode="upsert", name="c")
    assert orders(shop) == [(2, 1, 1), (3, 1, 1), (7, 5, 2)]


def test_a_uuid_in_capitals_is_the_same_key(database: Database) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table p (id int primary key); insert into p values (1);"
            "create table c (k uuid primary key, p int references p, n int)"
        )
    key = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    other = "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"

    def loaded(*rows: tuple[str, int, int]) -> LoadResult:
        frame = pl.DataFrame(rows, schema=["k", "p", "n"], orient="row")
        return load_table(
            database.url, frame, "c", mode="upsert", orphans={"p": "wait"}, max_rejects="all"
        )

    loaded((key, 5, 1), (other, 1, 0))
    assert loaded((key.upper(), 5, 2), (other, 1, 0)).waited.superseded == 1
    with database.connect() as connection:
        connection.execute("insert into p values (5)")
    loaded((other, 1, 0))
    assert ask(database, "select n from c where p = 5") == [(2,)]


def test_rows_are_tried_again_in_the_order_in_which_they_came_last(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("7,5,1", "2,1,1")
    load("7,5,2", "3,1,1", name="b")
    load("7,5,1", "4,1,1", name="c")  # the row of the first file again, now after the other one
    come(shop, 5)
    assert load("5,1,1", name="d").waited == Waited(tried=2, inserted=1, refused=1)
    assert orders(shop)[-1] == (7, 5, 2)


# Beside other loads --------------------------------------------------------------------------


def test_two_loads_at_once_load_each_waiting_row_once(
    shop: Database, load: Callable[..., LoadResult], tmp_path: Path
) -> None:
    load("0,1,1", *(f"{n},8,1" for n in range(1, 201)))
    come(shop, 8)
    barrier = threading.Barrier(2, timeout=30)

    def at_once(number: int) -> LoadResult:
        def on_step(step: str) -> None:
            if step == "record":
                barrier.wait()  # both have seen what waits

        frame = pl.DataFrame({"order_id": [number], "customer_id": [1]})
        return load_table(shop.url, frame, "orders", on_step=on_step)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(at_once, [1001, 1002]))
    assert sum(one.waited.inserted for one in results) == 200
    assert sum(one.waited.tried for one in results) == 200
    assert ask(shop, "select count(*), count(distinct order_id) from orders") == [(203, 203)]
    assert ask(shop, "select status, count(*) from penstock.rejects group by 1") == [
        ("replayed", 200)
    ]


def test_rows_that_a_person_replays_just_now_are_left_to_them(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6", "3,8,7")
    come(shop, 8)
    with psycopg.connect(shop.url) as person:
        person.execute("select from penstock.rejects where reject_id = 1 for update")
        result = load("4,1,1", name="b")
        assert result.waited == Waited(tried=1, inserted=1)
    assert replay_rejects(shop.url, table="orders").replayed == 1
    assert [row[0] for row in orders(shop)] == [1, 2, 3, 4]


def test_a_replay_in_which_the_parent_is_missing_still_lets_it_wait(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6")
    assert replay_rejects(shop.url, table="orders").waiting == 1
    assert rejects(shop) == [("2", "waiting", True, 2)]
    come(shop, 8)
    assert load("3,1,1", name="b").waited == Waited(tried=1, inserted=1)


def test_a_waiting_row_whose_columns_are_gone_does_not_stop_loads(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6")
    with shop.connect() as connection:
        connection.execute("alter table orders drop amount")
    frame = pl.DataFrame({"order_id": [3], "customer_id": [1]})
    result = load_table(shop.url, frame, "orders")
    assert result.inserted == 1
    assert [one for one in result.warnings if "could not be tried again" in one]
    assert rejects(shop) == [("2", "waiting", True, 1)]


def test_a_load_of_groups_is_run_again_while_other_rows_wait(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    grouped: dict[str, Any] = {"group": "amount", "orphans": {}}
    load("1,1,5", "2,1,5", name="a", **grouped)
    load("3,1,6", "4,8,7", name="b")
    come(shop, 8)
    again = load("1,1,5", "2,1,5", name="a", **grouped)
    assert (again.read, again.waited) == (0, Waited(tried=1, inserted=1))
    assert len(again.skipped) == 1


@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_a_load_that_brings_the_row_wins_over_one_that_tries_it_again(
    shop: Database, load: Callable[..., LoadResult], tmp_path: Path, mode: str
) -> None:
    with shop.connect() as connection:
        connection.execute(
            "create function hold() returns trigger language plpgsql as $$ begin "
            "if new.order_id = 30 then perform pg_advisory_xact_lock(30); end if; return new; "
            "end $$; create trigger hold before insert on orders for each row "
            "execute function hold()"
        )
    load("1,1,1", "10,8,6", mode=mode)
    come(shop, 8)
    held = "select from pg_locks where locktype = 'advisory' and objid = 30 and not granted"
    with psycopg.connect(shop.url) as gate, ThreadPoolExecutor(2) as pool:
        gate.execute("select pg_advisory_xact_lock(30)")
        person = pool.submit(load, "10,1,777", "30,1,1", name="person", mode=mode)
        until(lambda: person.done() or bool(ask(shop, held)))
        by_itself = pool.submit(load, "20,1,1", name="other", mode=mode)
        told = by_itself.result(timeout=30).warnings[-1]  # it gives up while the other one goes on
        gate.rollback()
        assert person.result(timeout=30).waited == Waited(superseded=1)
        assert told == (
            "1 row that waits could not be tried again: another session is writing the same rows"
        )
    assert orders(shop) == [(1, 1, 1), (10, 1, 777), (20, 1, 1), (30, 1, 1)]
    assert rejects(shop) == [("10", "resolved", True, 1)]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline


def test_rows_that_the_table_refuses_only_together_wait_on_and_the_load_goes_on(
    shop: Database, load: Callable[..., LoadResult]
) -> None:
    load("1,1,5", "2,8,6", "3,8,7")
    come(shop, 8)
    with shop.connect() as connection:
        connection.execute(
            "create function one() returns trigger language plpgsql as $$ begin "
            "if (select count(*) from new_rows) > 1 then raise 'one at a time'; end if; "
            "return null; end $$; create trigger one after insert on orders "
            "referencing new table as new_rows for each statement execute function one()"
        )
    result = load("4,1,1", name="b")
    assert (result.inserted, result.waited) == (1, Waited())
    assert result.warnings[-1] == "2 rows that wait could not be tried again: one at a time"
    assert [row[1:] for row in rejects(shop)] == [("waiting", True, 1), ("waiting", True, 1)]
    assert ask(shop, "select status, error, read from penstock.loads order by started_at")[1:] == [
        ("succeeded", None, 1),
        ("failed", "2 rows that wait could not be tried again: one at a time", 0),
    ]
    with shop.connect() as connection:
        connection.execute("drop trigger one on orders")
    assert load("5,1,1", name="c").waited == Waited(tried=2, inserted=2)
    assert [row[0] for row in orders(shop)] == [1, 2, 3, 4, 5]


def test_a_role_that_may_not_read_what_is_looked_up_loads_all_the_same(shop: Database) -> None:
    with shop.connect() as connection:
        connection.execute("alter table customers add no text unique")
        connection.execute("update customers set no = 'A'")
    looked_up = pl.DataFrame({"order_id": ["1", "2"], "customer_id": ["A", "B"]})
    load_table(
        shop.url, looked_up, "orders", lookups={"customer_id": "customers.no"}, orphans=WAIT,
        max_rejects="all",
    )  # fmt: skip
    clerk = shop.role("clerk")
    with shop.connect() as connection:
        connection.execute(
            f'grant usage on schema penstock to "{clerk.name}";'
            f'grant select, insert, update on all tables in schema penstock to "{clerk.name}";'
            f'grant select, insert, update on orders to "{clerk.name}"'.encode()
        )
    result = load_table(clerk.url, pl.DataFrame({"order_id": [3]}), "orders")
    assert result.inserted == 1
    assert result.warnings[-1].startswith("1 row that waits could not be tried again: ")
    assert rejects(shop) == [("2", "waiting", True, 1)]


# What people see -----------------------------------------------------------------------------


def test_the_command_line_tells_of_them(shop: Database, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("order_id,customer_id\n1,1\n2,8\n3,9\n")
    (tmp_path / "more.csv").write_text("order_id,customer_id\n4,1\n")
    words = ["--dsn", shop.url, "--orphans", "customer_id=wait", "--max-rejects", "all"]
    first = penstock(tmp_path, "load", str(tmp_path / "orders.csv"), *words)
    assert first.returncode == 3
    listed = penstock(tmp_path, "rejects", "list", "--dsn", shop.url)
    assert "orders: 2 rows waiting, 2 for their parents: later loads try again" in listed.stderr
    shown = penstock(tmp_path, "rejects", "show", "1", "--dsn", shop.url)
    assert "#1 orders, waiting for its parent: later loads try it again" in shown.stderr
    come(shop, 8)
    done = penstock(tmp_path, "load", str(tmp_path / "more.csv"), "orders", "--json", *words)
    assert done.returncode == 0, done.stderr
    assert "\n  rows that waited: 2 tried again, 1 inserted, 1 waits on\n" in done.stderr
    assert json.loads(done.stdout)["waited"] == {
        "tried": 2, "inserted": 1, "updated": 0, "unchanged": 0, "ignored": 0, "waiting": 1,
        "refused": 0, "superseded": 0,
    }  # fmt: skip
    gone = penstock(
        tmp_path, "rejects", "discard", "--id", "2", "--note", "no", "--yes", "--dsn", shop.url
    )
    assert gone.returncode == 0, gone.stderr
    assert [row[1] for row in rejects(shop)] == ["replayed", "discarded"]
    come(shop, 9)
    (tmp_path / "last.csv").write_text("order_id,customer_id\n5,1\n")
    last = penstock(tmp_path, "load", str(tmp_path / "last.csv"), "orders", "--json", *words)
    assert json.loads(last.stdout)["waited"]["tried"] == 0
    assert [row[0] for row in orders(shop)] == [1, 2, 4, 5]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ledger": False}, "rows wait in the ledger"),
        ({"mode": "scd2"}, "is not for the mode scd2"),
        ({"group": "customer_id"}, "do not go together"),
        ({"mode": "upsert", "duplicates": "max:amount"}, "--duplicates max:amount and"),
        ({"mode": "sync", "duplicates": "first"}, "do not go together"),
        ({"mode": "upsert", "duplicates": "reject"}, "upsert alone decides"),
    ],
)
def test_where_rows_cannot_wait_it_is_an_error(
    load: Callable[..., LoadResult], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        load("1,1,5", **options)
