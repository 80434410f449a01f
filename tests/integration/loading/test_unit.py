"""Several loads as one transaction, against a real server."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from penstock import LoadError, PenstockError, UsageError, load_star, unit
from tests.fixtures.postgres import Database

TABLES = """
create table orders (order_id int primary key, customer text);
create table lines (line_id int primary key, order_id int not null references orders, units int);
insert into orders values (1, 'old');
"""


def files(folder: Path) -> tuple[Path, Path]:
    orders, lines = folder / "orders.csv", folder / "lines.csv"
    orders.write_text("order_id,customer\n1,new\n2,two\n")
    lines.write_text("line_id,order_id,units\n10,1,5\n11,2,6\n12,3,7\n")
    return orders, lines


def count(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(query).fetchall()


def test_loads_of_a_unit_become_visible_together(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute(TABLES)
    orders, lines = files(tmp_path)
    with unit(database.engine(), max_rejects=1) as together:
        first = together.load(orders, mode="upsert")
        assert (first.inserted, first.updated) == (1, 1)
        assert count(database, "select customer from orders") == [("old",)]
        second = together.load(lines)
        assert (second.inserted, second.quarantined) == (2, 1)
    assert count(database, "select count(*) from lines") == [(2,)]
    assert [result.table for result in together.results] == ["orders", "lines"]
    found = count(
        database,
        "select r.kind, r.status, count(*), bool_and(l.status = 'succeeded')"
        " from penstock.runs r join penstock.loads l using (run_id) group by 1, 2",
    )
    assert found == [("unit", "succeeded", 2, True)]
    with pytest.raises(UsageError, match="over"):
        together.load(lines)


def test_an_error_within_rolls_everything_back_and_is_kept(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute(TABLES)
    orders, lines = files(tmp_path)

    def both() -> None:
        with unit(database.engine()) as together:
            together.load(orders, mode="upsert")
            together.load(lines)

    with pytest.raises(PenstockError, match="max-rejects"):
        both()
    assert count(database, "select order_id, customer from orders") == [(1, "old")]
    assert count(database, "select count(*) from lines") == [(0,)]
    kept = count(database, "select table_name, status, quarantined from penstock.loads")
    assert kept == [("lines", "failed", 1)]
    assert count(database, "select status, count(*) from penstock.rejects group by 1") == [
        ("void", 1)
    ]


def test_an_error_of_the_caller_rolls_everything_back(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute(TABLES)
    orders, _ = files(tmp_path)

    def stumble() -> None:
        with unit(database.url) as together:
            together.load(orders, mode="upsert")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()
    assert count(database, "select order_id, customer from orders") == [(1, "old")]


def test_a_connection_is_a_unit_already(database: Database) -> None:
    with (
        database.engine().connect() as connection,
        pytest.raises(UsageError, match="unit already"),
        unit(connection),  # type: ignore[arg-type]
    ):
        pass


def test_a_load_that_failed_and_was_caught_is_on_record_as_failed(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute(TABLES)
    orders, lines = files(tmp_path)
    with unit(database.engine()) as together:
        together.load(orders, mode="upsert")
        with pytest.raises(PenstockError, match="max-rejects"):
            together.load(lines)
    assert count(database, "select count(*) from orders") == [(2,)]
    assert count(
        database, "select table_name, status, quarantined from penstock.loads order by 1"
    ) == [("lines", "failed", 1), ("orders", "succeeded", 0)]
    assert count(database, "select status from penstock.rejects") == [("void",)]
    assert count(database, "select status from penstock.runs") == [("succeeded",)]


def test_a_statement_that_failed_and_was_caught_is_no_silent_rollback(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute(TABLES)
    orders, _ = files(tmp_path)

    def stumble() -> None:
        with unit(database.engine()) as together:
            together.load(orders, mode="upsert")
            with pytest.raises(psycopg.errors.DivisionByZero):
                together.connection.execute("select 1/0")

    with pytest.raises(LoadError, match="rolls all of it back"):
        stumble()
    assert count(database, "select order_id, customer from orders") == [(1, "old")]


def test_loads_that_were_not_reached_are_on_record_as_failed(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute(TABLES)
    orders, _ = files(tmp_path)
    orders.write_text("order_id,customer\nx,new\n2,two\n")
    with pytest.raises(PenstockError, match="max-rejects"):
        load_star(database.engine(), tmp_path)
    found = "select table_name, status, read, finished_at is not null, error from penstock.loads"
    (_, *first), (_, *second) = sorted(count(database, found), reverse=True)
    assert first[:3] == ["failed", 2, True]
    assert second[:3] == ["failed", 0, True]
    assert str(second[3]) == f"not reached before the load of another table failed: {first[3]}"
    assert count(database, "select status from penstock.runs") == [("failed",)]
