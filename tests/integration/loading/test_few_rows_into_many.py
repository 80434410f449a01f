"""A few rows into a large table: their keys are looked up, the table is not read whole."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from penstock import load_table
from tests.fixtures.postgres import Database

PLAIN = "create table items (id int primary key, name text, price numeric(12,2));"
PARTED = """
create table items (id int, name text, price numeric(12,2), primary key (id, price))
partition by range (price);
create table items_low partition of items for values from (0) to (100000);
create table items_high partition of items for values from (100000) to (200001);
"""
FILL = "insert into items select n, 'name ' || n, n from generate_series(1, 200000) n"
READ = """
select coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::int
from pg_stat_user_tables where relname ~ '^items'
"""


@pytest.mark.parametrize("made", [PLAIN, PARTED])
def test_keys_of_a_few_rows_are_looked_up_in_a_large_table(
    database: Database, tmp_path: Path, made: str
) -> None:
    same = "".join(f"{n},name {n},{n}\n" for n in range(100, 200_000, 25))  # 7,996
    text = f"id,name,price\n7,seven,7\n{same}500000,new,200000\n"
    (tmp_path / "items.csv").write_text(text, encoding="utf-8")
    with database.connect() as connection:

        def read() -> int:
            row = connection.execute(READ).fetchone()
            assert row is not None
            return int(row[0])

        connection.execute(made + FILL)
        connection.execute("vacuum analyze items")
        connection.execute("select pg_stat_force_next_flush()")
        before, engine = read(), database.engine()
        found = load_table(engine, tmp_path / "items.csv", "items", mode="upsert")
        assert (found.inserted, found.updated, found.unchanged) == (1, 1, 7996)
        engine.dispose()  # a session tells what it has read at its end
        until = time.monotonic() + 10
        while (seen := read() - before) < 7_997 and time.monotonic() < until:
            time.sleep(0.02)
        assert 7_997 <= seen < 16_500, "each is looked up, and the table not read whole"
