"""A shop of two tables, and a folder with a file for each; order 12 has no customer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.postgres import Database

SHOP = """
create table customers (customer_id int primary key, name text not null);
create table orders (
    order_id int primary key, customer_id int references customers, amount numeric(8,2));
"""


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(SHOP)
    return database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "customers.csv").write_text("customer_id,name\n1,Ann\n2,Bob\n", encoding="utf-8")
    (tmp_path / "orders.csv").write_text(
        "order_id,customer_id,amount\n10,1,9.50\n11,2,1\n12,7,2\n", encoding="utf-8"
    )
    return tmp_path
