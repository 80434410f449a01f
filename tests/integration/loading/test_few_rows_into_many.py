"""A few rows into a large table: their keys are looked up, the table is not read whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock import load_table
from tests.fixtures.postgres import Database

PLAIN = "create table items (id int primary key, name text, price numeric(12,2));"
PARTED = """
create table items (id int, name text, price numeric(12,2), primary key (id, price))
partition by range (price);
create table items_low partition of items for values from (0) to (20000);
create table items_high partition of items for values from (20000) to (40001);
"""
FILL = "insert into items select n, 'name ' || n, n from generate_series(1, 40000) n"
READ = (
    "select coalesce(sum(seq_tup_read), 0)::int from pg_stat_user_tables where relname ~ '^items'"
)


@pytest.mark.parametrize("made", [PLAIN, PARTED])
def test_keys_of_a_few_rows_are_looked_up_in_a_large_table(
    database: Database, tmp_path: Path, made: str
) -> None:
    (tmp_path / "items.csv").write_text(
        "id,name,price\n7,seven,7\n30000,name 30000,30000\n50000,new,40000\n", encoding="utf-8"
    )
    with database.connect() as connection:
        connection.execute(made + FILL)
        connection.execute("vacuum analyze items")
        connection.execute("select pg_stat_force_next_flush()")
        before = connection.execute(READ).fetchone()
        found = load_table(database.engine(), tmp_path / "items.csv", "items", mode="upsert")
        assert (found.inserted, found.updated, found.unchanged) == (1, 1, 1)
        assert connection.execute(READ).fetchone() == before, "the table was read whole"
        connection.execute("select count(*) from items where name = 'seven'")
        connection.execute("select pg_stat_force_next_flush()")
        row = connection.execute(READ).fetchone()
        assert row is not None
        assert before is not None
        assert row[0] - before[0] >= 40_000, "what is read is counted"
