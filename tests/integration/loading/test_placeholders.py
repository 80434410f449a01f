"""Placeholder parents that the parent's own table refuses: the rows that need them wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import LoadResult, load_table
from tests.fixtures.postgres import Database

SHOP = """
create table customers (customer_id int primary key, region text,
    inferred boolean not null default false,
    constraint known_region check (customer_id < 100 or region is not null));
create table orders (order_id int primary key, customer_id int references customers,
    amount int check (amount >= 0));
insert into customers values (1, 'north', false), (500, 'south', false);
"""


def load(database: Database, folder: Path, lines: list[str], **options: object) -> LoadResult:
    path = folder / "orders.csv"
    path.write_text("\n".join(["order_id,customer_id,amount", *lines, ""]), encoding="utf-8")
    given = {"orphans": {"customer_id": "placeholder"}, "max_rejects": "all", **options}
    return load_table(database.engine(), path, "orders", **given)


def ask(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize("mode", ["append", "truncate"])
@pytest.mark.parametrize("more", [0, 2000], ids=["few", "many"])
def test_a_refused_placeholder_refuses_the_rows_that_need_it(
    database: Database, tmp_path: Path, mode: str, more: int
) -> None:
    with database.connect() as connection:
        connection.execute(SHOP)
    lines = ["1,1,5", "2,7,5", "3,700,5", "4,700,6", "5,800,5", "6,500,5", "7,9,-1", "8,,5"]
    lines += ["9,7,x"]
    lines += [f"{n},{n % 90},1" for n in range(1000, 1000 + more)]
    result = load(database, tmp_path, lines, mode=mode)
    places = len({n % 90 for n in range(1000, 1000 + more)} - {1} | {7})
    assert (result.read, result.inserted, result.quarantined) == (9 + more, 4 + more, 5)
    assert result.inferred == places
    assert ask(database, "select count(*) from customers where inferred") == [(places,)]
    assert ask(database, "select max(customer_id) from customers where inferred") == [
        (89 if more else 7,)
    ]
    reason = "customers takes no placeholder customer_id {}: violates known_region: CHECK ("
    kept = ask(
        database,
        "select record, columns[1], codes[1], bad_values[1], split_part(reasons[1], '(', 1) || '(' "
        "from penstock.rejects where codes[1] = '23514' and columns[1] = 'customer_id' order by 1",
    )
    assert kept == [
        (3, "customer_id", "23514", "700", reason.format(700)),
        (4, "customer_id", "23514", "700", reason.format(700)),
        (5, "customer_id", "23514", "800", reason.format(800)),
    ]
    assert ask(database, "select balanced from penstock.balance") == [(True,)]


def test_a_trigger_may_refuse_a_placeholder_too(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute(SHOP)
        connection.execute(
            "create function closed() returns trigger language plpgsql as $$ begin "
            "if new.customer_id = 9 then raise 'customer 9 is closed' using errcode = 'SH001'; "
            "end if; return new; end $$;"
            "create trigger closed before insert on customers for each row "
            "execute function closed()"
        )
    result = load(database, tmp_path, ["1,8,1", "2,9,1", "3,10,1"])
    assert (result.inserted, result.quarantined, result.inferred) == (2, 1, 2)
    (reason,) = result.reasons
    assert (reason.code, reason.samples[0][3]) == (
        "SH001",
        "customers takes no placeholder customer_id 9: customer 9 is closed",
    )


def test_a_parent_of_two_columns_is_named_by_both(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table customers (number int, code text, inferred boolean default false, "
            "primary key (code, number), constraint short check (length(code) < 3));"
            "create table orders (order_id int primary key, customer_id int, amount text, "
            "foreign key (amount, customer_id) references customers (code, number))"
        )
    result = load(
        database,
        tmp_path,
        ["1,1,ab", "2,1,abc", "3,,abcd"],
        orphans={"orders.amount": "placeholder"},
    )
    assert (result.inserted, result.inferred, result.quarantined) == (2, 1, 1)
    (reason,) = result.reasons
    assert (reason.column, reason.code) == ("amount, customer_id", "23514")
    assert reason.samples[0][3].startswith("customers takes no placeholder code, number abc, 1: ")
