"""`append` and `truncate` as a library user meets them, on a real server."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import psycopg
import pytest
import sqlalchemy

from penstock import (
    BudgetExceeded,
    ShrinkRefused,
    SourceError,
    TargetError,
    UsageError,
    clear_tables,
    load_star,
    load_table,
)
from tests.fixtures.postgres import Database

SHOP = """
create table customers (customer_id int primary key, name text not null, region varchar(5));
create table orders (
    order_id bigint primary key, customer_id int references customers,
    ordered date not null, amount numeric(8,2) check (amount >= 0));
"""


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(SHOP)
    return database


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def test_append_inserts_every_row_and_keeps_those_there(shop: Database, tmp_path: Path) -> None:
    engine = shop.engine()
    one = write(tmp_path / "one.csv", "customer_id,name,region\n1,Ann,N\n2,Bob,\n")
    two = write(tmp_path / "two.csv", "customer_id,name,region\n3,Cat,S\n")
    first = load_table(engine, one, "customers")
    second = load_table(engine, two, "customers")
    assert (first.read, first.inserted, second.inserted) == (2, 2, 1)
    assert first.balanced
    assert rows(shop, "select * from customers order by 1") == [
        (1, "Ann", "N"),
        (2, "Bob", None),
        (3, "Cat", "S"),
    ]


def test_the_same_content_is_appended_once(shop: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "customer_id,name\n1,Ann\n")
    load_table(shop.engine(), path, "customers")
    copy = write(tmp_path / "other-name.csv", "customer_id,name\n1,Ann\n")
    again = load_table(shop.engine(), copy, "customers")
    assert again.read == 0
    assert len(again.skipped) == 1
    assert "other-name.csv" in again.skipped[0]
    clear_tables(shop.engine(), ["customers", "orders"])
    assert load_table(shop.engine(), copy, "customers").inserted == 1


def test_truncate_replaces_the_rows(shop: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "o.csv", "order_id,customer_id,ordered,amount\n1,,2024-01-05,9.50\n")
    load_table(shop.engine(), path, "orders", mode="truncate")
    again = load_table(shop.engine(), path, "orders", mode="truncate")
    assert (again.inserted, again.deleted) == (1, 1)
    assert rows(shop, "select count(*) from orders") == [(1,)]


def test_truncate_refuses_to_lose_more_than_half(shop: Database, tmp_path: Path) -> None:
    many = "".join(f"{i},,2024-01-05,1\n" for i in range(10))
    load_table(
        shop.engine(),
        write(tmp_path / "a.csv", "order_id,customer_id,ordered,amount\n" + many),
        "orders",
        mode="truncate",
    )
    few = write(tmp_path / "b.csv", "order_id,customer_id,ordered,amount\n1,,2024-01-05,1\n")
    with pytest.raises(ShrinkRefused, match="--allow-shrink"):
        load_table(shop.engine(), few, "orders", mode="truncate")
    assert rows(shop, "select count(*) from orders") == [(10,)]
    result = load_table(shop.engine(), few, "orders", mode="truncate", allow_shrink=True)
    assert result.deleted == 10


def test_a_table_that_others_refer_to_is_not_emptied_alone(shop: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "customer_id,name\n1,Ann\n")
    with pytest.raises(TargetError, match="orders refers to it"):
        load_table(shop.engine(), path, "customers", mode="truncate")


def test_every_kind_of_refusal_is_counted_and_named(shop: Database, tmp_path: Path) -> None:
    load_table(shop.engine(), write(tmp_path / "c.csv", "customer_id,name\n1,Ann\n"), "customers")
    good = "".join(f"{i},1,2024-01-05,1.00\n" for i in range(100, 150))
    bad = (
        "1,1,2024-02-30,1\n"  # no such day
        "2,7,2024-01-01,1\n"  # orphan
        "3,1,2024-01-01,-1\n"  # CHECK: only the server knows
        "4,1,2024-01-01,1.234\n"  # too many decimals
        "100,1,2024-01-05,2.00\n"  # conflicting duplicate of a row above
        "101,1,2024-01-05,1.00\n"  # exact copy: ignored
        "5,1,2024-01-01\n"  # ragged
        "x,9,,y\n"  # three faults in one row
    )
    path = write(tmp_path / "o.csv", "order_id,customer_id,ordered,amount\n" + good + bad)
    result = load_table(shop.engine(), path, "orders", max_rejects="20%")
    assert (result.read, result.inserted, result.ignored, result.quarantined) == (58, 50, 1, 7)
    assert result.balanced
    found = {(reason.column, reason.code): reason.rows for reason in result.reasons}
    assert found == {
        ("ordered", "22008"): 1,
        ("customer_id", "23503"): 1,
        ("amount", "23514"): 1,
        ("amount", "scale"): 1,
        ("order_id", "23505"): 1,
        ("", "ragged"): 1,
        ("order_id", "22P02"): 1,
        ("ordered", "23502"): 1,
        ("amount", "22P02"): 1,
    }
    kept = rows(
        shop, "select line, convert_from(raw, 'UTF8'), status from penstock.rejects order by line"
    )
    assert [row[0] for row in kept] == [52, 53, 54, 55, 56, 58, 59]
    assert kept[0] == (52, "1,1,2024-02-30,1", "waiting")
    assert rows(shop, "select bool_and(balanced) from penstock.balance") == [(True,)]


def test_over_the_budget_nothing_changes_and_rejects_are_kept_void(
    shop: Database, tmp_path: Path
) -> None:
    path = write(tmp_path / "c.csv", "customer_id,name\n1,Ann\nx,Bob\n")
    with pytest.raises(BudgetExceeded, match="--max-rejects"):
        load_table(shop.engine(), path, "customers")
    assert rows(shop, "select count(*) from customers") == [(0,)]
    assert rows(shop, "select status, count(*) from penstock.rejects group by 1") == [("void", 1)]
    assert rows(shop, "select status, read, quarantined from penstock.loads") == [("failed", 2, 1)]


def test_all_refused_fails_whatever_the_budget(shop: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "customer_id,name\nx,Bob\n")
    with pytest.raises(BudgetExceeded, match="every row was refused"):
        load_table(shop.engine(), path, "customers", max_rejects="all")


def test_a_recurring_reject_counts_up_and_a_refilled_table_resolves_it(
    shop: Database, tmp_path: Path
) -> None:
    head = "order_id,customer_id,ordered,amount\n"
    path = write(tmp_path / "o.csv", head + "1,,2024-01-05,1\n2,,2024-02-30,1\n")
    for _ in range(2):
        load_table(shop.engine(), path, "orders", mode="truncate", max_rejects=1)
    assert rows(shop, "select status, times from penstock.rejects") == [("waiting", 2)]
    write(path, head + "1,,2024-01-05,1\n2,,2024-02-28,1\n")
    load_table(shop.engine(), path, "orders", mode="truncate")
    assert rows(shop, "select status, times from penstock.rejects") == [("resolved", 2)]


def test_a_dry_run_reports_the_same_and_changes_nothing(shop: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "customer_id,name\n1,Ann\nx,Bob\n")
    result = load_table(shop.engine(), path, "customers", max_rejects=1, dry_run=True)
    assert (result.inserted, result.quarantined, result.dry_run) == (1, 1, True)
    assert rows(shop, "select count(*) from customers") == [(0,)]
    assert rows(shop, "select status from penstock.runs") == [("dry_run",)]
    assert rows(shop, "select count(*) from penstock.rejects") == [(0,)]


def test_a_connection_is_joined_and_not_committed(shop: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "customer_id,name\n1,Ann\n")
    with shop.engine().connect() as connection:
        connection.execute(sqlalchemy.text("insert into customers values (9, 'Zoe')"))
        assert load_table(connection, path, "customers").inserted == 1
        assert rows(shop, "select count(*) from customers") == [(0,)]
        connection.commit()
    assert rows(shop, "select count(*) from customers") == [(2,)]


def test_a_failed_load_leaves_the_callers_transaction_usable(
    shop: Database, tmp_path: Path
) -> None:
    path = write(tmp_path / "c.csv", "customer_id,name\nx,Ann\n")
    with shop.engine().begin() as connection:
        connection.execute(sqlalchemy.text("insert into customers values (9, 'Zoe')"))
        with pytest.raises(BudgetExceeded):
            load_table(connection, path, "customers")
        connection.execute(sqlalchemy.text("insert into customers values (8, 'Yan')"))
    assert rows(shop, "select customer_id from customers order by 1") == [(8,), (9,)]


def test_frames_are_loaded_and_their_refused_rows_named_by_index(shop: Database) -> None:
    frame = pl.DataFrame({"customer_id": [1, 2], "name": ["Ann", None], "region": ["N", "S"]})
    result = load_table(shop.engine(), frame, "customers", max_rejects=1)
    assert (result.inserted, result.quarantined) == (1, 1)
    assert rows(shop, "select source, record, line from penstock.rejects") == [("frame", 2, 0)]


def test_a_star_loads_parents_first_and_says_whose_parent_was_refused(
    shop: Database, tmp_path: Path
) -> None:
    write(
        tmp_path / "orders.csv",
        "order_id,customer_id,ordered,amount\n"
        "1,1,2024-01-05,1\n2,2,2024-01-05,1\n3,3,2024-01-05,1\n",
    )
    write(tmp_path / "customers.csv", "customer_id,name\n1,Ann\n2,\n")
    results = load_star(shop.engine(), tmp_path, max_rejects=2)
    assert [result.table for result in results] == ["customers", "orders"]
    assert {(r.code, r.rows) for r in results[1].reasons} == {("parent_refused", 1), ("23503", 1)}
    assert results[1].inserted == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("customer_id,nome\n1,Ann\n", "Did you mean name"),
        ("customer_id\n1\n", "name of customers is missing"),
        ("customer_id,name,name\n1,a,b\n", "name"),
    ],
)
def test_columns_that_do_not_fit_are_named(
    shop: Database, tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(SourceError, match=said):
        load_table(shop.engine(), write(tmp_path / "c.csv", text), "customers")


def test_a_mistyped_table_is_answered_with_the_nearest(shop: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "customer_id,name\n1,Ann\n")
    with pytest.raises(UsageError, match="Did you mean customers"):
        load_table(shop.engine(), path, "custommers")


def test_clear_names_what_hangs_on_the_table_before_it_empties_it(shop: Database) -> None:
    with psycopg.connect(shop.url) as connection:
        connection.execute("insert into customers values (1, 'Ann')")
        connection.execute("insert into orders values (1, 1, '2024-01-01', 1)")
    with pytest.raises(TargetError, match="orders refers to customers"):
        clear_tables(shop.engine(), ["customers"])
    cleared = clear_tables(shop.engine(), ["customers"], cascade=True)
    assert [(c.table, c.rows, c.named) for c in cleared] == [
        ("customers", 1, True),
        ("orders", 1, False),
    ]


def test_a_later_append_that_brings_the_row_resolves_its_reject(
    shop: Database, tmp_path: Path
) -> None:
    head = "order_id,customer_id,ordered,amount\n"
    first = write(tmp_path / "a.csv", head + "1,,2024-01-05,1\n2,,2024-02-30,1\n1,,2024-01-06,1\n")
    load_table(shop.engine(), first, "orders", max_rejects=2)
    unrelated = write(tmp_path / "b.csv", head + "7,,2024-01-05,1\n")
    load_table(shop.engine(), unrelated, "orders")
    by_status = "select status, count(*) from penstock.rejects group by 1 order by 1"
    assert rows(shop, by_status) == [("waiting", 2)]
    corrected = write(tmp_path / "c.csv", head + "2,,2024-02-28,1\n")
    load_table(shop.engine(), corrected, "orders")
    # The conflicting duplicate of key 1 still waits: no later load brought that row.
    assert rows(shop, by_status) == [("resolved", 1), ("waiting", 1)]


def test_a_frame_with_a_nul_byte_loses_that_row_only(shop: Database) -> None:
    frame = pl.DataFrame({"customer_id": [1, 2, 3], "name": ["Ann", "B\0b", None]})
    result = load_table(shop.engine(), frame, "customers", max_rejects=2)
    assert (result.inserted, result.quarantined) == (1, 2)
    assert {(r.column, r.code) for r in result.reasons} == {("", "nul"), ("name", "23502")}
    kept = rows(shop, "select record, convert_from(raw, 'UTF8') from penstock.rejects order by 1")
    assert [record for record, _ in kept] == [2, 3]
    assert "B\\u0000b" in str(kept[0][1])


def test_frames_given_one_by_one_are_loaded_and_read_again_where_needed(shop: Database) -> None:
    with shop.connect() as connection:
        connection.execute("alter table customers add check (name <> 'Bad')")
    frames = (
        pl.DataFrame({"customer_id": [n, n + 1], "name": ["Ann", "Bad" if n == 3 else "Bob"]})
        for n in (1, 3, 5)
    )
    result = load_table(shop.engine(), frames, "customers", max_rejects=1)
    assert (result.read, result.inserted, result.quarantined) == (6, 5, 1)
    assert rows(shop, "select record, raw_values ->> 'name' from penstock.rejects") == [(4, "Bad")]


def test_an_open_file_is_loaded(shop: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", "customer_id,name\n1,Ann\n")
    with path.open("rb") as file:
        assert load_table(shop.engine(), file, "customers").inserted == 1
