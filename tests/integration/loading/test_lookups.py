"""Natural keys that become surrogate keys, against a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock import LoadResult, PenstockError, load_table
from tests.fixtures.postgres import Database

STAR = """
create table dim_customers (
    customer_id int primary key, customer_no int, name text, is_current boolean not null
);
insert into dim_customers values (-1, null, 'unknown', true), (10, 7, 'old', false),
    (11, 7, 'new', true), (12, 8, 'eight', true);
create table dim_shops (shop_id smallint primary key, code text not null unique);
insert into dim_shops values (1, 'N-1'), (2, 'S-1');
create table sales (
    sale_id int primary key, customer_id int references dim_customers,
    shop_id smallint not null references dim_shops
);
"""
LOOKUPS = {"customer_id": "dim_customers.customer_no", "shop_id": "dim_shops.code"}


@pytest.fixture
def star(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(STAR)
    return database


def load(star: Database, tmp_path: Path, text: str, **options: Any) -> LoadResult:
    path = tmp_path / "sales.csv"
    path.write_text(text, encoding="utf-8")
    given = {"lookups": LOOKUPS, "max_rejects": "all", **options}
    result = load_table(star.engine(), path, "sales", **given)
    assert result.balanced
    return result


def sales(star: Database) -> list[tuple[Any, ...]]:
    with star.connect() as connection:
        return connection.execute("select * from sales order by 1").fetchall()


def test_natural_keys_become_the_surrogate_keys_of_the_current_rows(
    star: Database, tmp_path: Path
) -> None:
    text = "sale_id,customer_no,code\n1,7,N-1\n2, 008 ,S-1\n3,,S-1\n"
    assert load(star, tmp_path, text).inserted == 3
    assert sales(star) == [(1, 11, 1), (2, 12, 2), (3, None, 2)]


def test_the_input_may_call_the_column_as_the_table_does(star: Database, tmp_path: Path) -> None:
    assert load(star, tmp_path, "sale_id,customer_id,shop_id\n1,8,S-1\n").inserted == 1
    assert sales(star) == [(1, 12, 2)]


def test_what_is_not_there_waits_with_its_natural_key(star: Database, tmp_path: Path) -> None:
    text = "sale_id,customer_no,code\n1,9,N-1\n2,x,n-1\n3,8,N-1\n"
    result = load(star, tmp_path, text)
    assert (result.inserted, result.quarantined) == (1, 2)
    said = {(r.column, r.code): r.samples[0][2:4] for r in result.reasons}
    assert said[("customer_id", "23503")] == ("9", "9 is no customer_no of dim_customers")
    assert said[("shop_id", "23503")] == ("n-1", "n-1 is no code of dim_shops")
    assert said[("customer_id", "22P02")][0] == "x"
    assert sales(star) == [(3, 12, 1)]


def test_the_unknown_member_is_taken_where_that_is_declared_and_counted(
    star: Database, tmp_path: Path
) -> None:
    text = "sale_id,customer_no,code\n1,9,N-1\n2,,N-1\n3,x,N-1\n4,7,N-1\n"
    result = load(star, tmp_path, text, orphans={"customer_id": "unknown"})
    assert (result.inserted, result.quarantined) == (4, 0)
    assert result.changes == {"unknown_member": 3}
    assert sales(star) == [(1, -1, 1), (2, -1, 1), (3, -1, 1), (4, 11, 1)]


def test_a_missing_member_may_leave_null_and_is_counted(star: Database, tmp_path: Path) -> None:
    text = "sale_id,customer_no,code\n1,9,N-1\n2,8,N-1\n3,x,N-1\n"
    result = load(star, tmp_path, text, orphans={"customer_id": "null"})
    assert (result.inserted, result.quarantined) == (2, 1)
    assert result.changes == {"orphans_nulled": 1}
    assert sales(star) == [(1, None, 1), (2, 12, 1)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lookups": {"customer_id": "customer_no"}}, "TABLE.KEY"),
        ({"lookups": {"nope": "dim_shops.code"}}, "no column nope"),
        ({"lookups": {"shop_id": "dim_shops.nope"}}, "no column nope"),
        ({"lookups": {"shop_id": "dim_shop.code"}}, "dim_shop"),
        (
            {
                "lookups": {"customer_id": "dim_customers.name"},
                "orphans": {"customer_id": "placeholder"},
            },
            "does not go",
        ),
        ({"orphans": {"shop_id": "unknown"}}, "no member with the shop_id -1"),
        ({"orphans": {"shop_id": "null"}}, "NOT NULL"),
        ({"lookups": {}, "orphans": {"shop_id": "unknown"}}, "goes with --lookup"),
    ],
)
def test_lookups_that_make_no_sense_are_refused(
    star: Database, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(PenstockError, match=said):
        load(star, tmp_path, "sale_id,customer_id,shop_id\n1,8,S-1\n", **options)


def test_a_dimension_with_several_rows_for_a_key_is_refused(star: Database, tmp_path: Path) -> None:
    with star.connect() as connection:
        connection.execute("update dim_customers set is_current = true")
    with pytest.raises(PenstockError, match="several rows with the customer_no 7"):
        load(star, tmp_path, "sale_id,customer_no,code\n1,8,S-1\n")
