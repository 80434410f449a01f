"""Runs and loads looked up in the ledger after real loads."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from penstock import LoadError, load_star, load_table
from penstock.errors import TargetError, UsageError
from penstock.ledger import history, install
from penstock.ledger.runs import RunRecord, begin_load, begin_run
from penstock.model.table import TableName
from tests.fixtures.postgres import Database


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(
            "create schema sales; create table customers (customer_id int primary key);"
            "create table orders (order_id int primary key,"
            " customer_id int references customers, amount numeric(8,2));"
            "create table sales.lines (line_id int primary key)"
        )
    return database


def test_runs_come_newest_first_with_the_sums_of_their_loads(
    shop: Database, tmp_path: Path
) -> None:
    (tmp_path / "customers.csv").write_text("customer_id\n1\n2\n", "utf-8")
    (tmp_path / "orders.csv").write_text(
        "order_id,customer_id,amount\n1,1,1\n2,9,1\n3,1,x\n", "utf-8"
    )
    load_star(shop.url, tmp_path, max_rejects=2)
    (tmp_path / "lines.csv").write_text("line_id\nx\n", "utf-8")
    with pytest.raises(LoadError):
        load_table(shop.url, tmp_path / "lines.csv", "sales.lines")
    failed, star = history.runs(shop.connect())
    assert (star.kind, star.status, star.tables) == (
        "load-star",
        "succeeded",
        ["customers", "orders"],
    )
    assert (star.read, star.inserted, star.quarantined) == (5, 3, 2)
    assert star.seconds > 0
    assert (failed.kind, failed.status, failed.tables) == ("load", "failed", ["sales.lines"])
    assert failed.error is not None
    assert failed.error.startswith("sales.lines: ")
    assert "x is not an integer" in failed.error
    assert [past.run_id for past in history.runs(shop.connect(), limit=1)] == [failed.run_id]


def test_a_run_is_shown_with_each_loads_books_and_reasons(shop: Database, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text(
        "order_id,customer_id,amount\n1,,1\n2,9,1\n3,,x\n4,,1.234\n5,8,1\n\n", "utf-8"
    )
    result = load_table(shop.url, tmp_path / "orders.csv", max_rejects="all")
    connection = shop.connect()
    past = history.run(connection, result.run_id[:8])
    [load] = history.loads(connection, past)
    assert load.table == TableName("public", "orders")
    assert (load.mode, load.status) == ("append", "succeeded")
    assert load.counts["read"] == sum(
        load.counts[name]
        for name in ("inserted", "updated", "unchanged", "ignored", "filtered", "quarantined")
    )
    assert load.counts["quarantined"] == 4
    assert [(one.column, one.code, one.rows) for one in load.reasons] == [
        ("customer_id", "23503", 2),
        ("amount", "22P02", 1),
        ("amount", "scale", 1),
    ]
    assert load.reasons[0].line == 3
    assert load.strategy
    assert Path(load.sources[0]).name == "orders.csv"
    # The id of a load leads to its run.
    assert history.run(connection, load.load_id).run_id == result.run_id


def test_a_running_run_is_running_while_its_backend_lives_and_then_interrupted(
    shop: Database,
) -> None:
    install.ensure(shop.connect(), shop.url)
    working = shop.connect()
    run = RunRecord("load", "penstock load x.csv")
    begin_run(working, run, "me@here")
    orders = TableName("public", "orders")
    begin_load(working, run, str(uuid.uuid4()), table=orders, mode="append", sources=["x.csv"])
    looking = shop.connect()
    assert [past.status for past in history.runs(looking)] == ["running"]
    assert history.interrupted(looking) == []
    backend = working.info.backend_pid
    working.close()
    while looking.execute("select 1 from pg_stat_activity where pid = %s", [backend]).fetchone():
        pass
    past = history.run(looking, run.run_id)
    assert past.status == "interrupted"
    assert [load.status for load in history.loads(looking, past)] == ["interrupted"]
    assert [row[:2] for row in history.interrupted(looking)] == [(run.run_id, "load")]


def test_a_role_that_sees_less_of_other_sessions_still_sees_them_run(shop: Database) -> None:
    install.ensure(shop.connect(), shop.url)
    reader = shop.role("reader")
    with shop.connect() as connection:
        connection.execute(f'grant usage on schema penstock to "{reader.name}"'.encode())
        everything = f'grant select on all tables in schema penstock to "{reader.name}"'
        connection.execute(everything.encode())
    begin_run(shop.connect(), RunRecord("load"), "me@here")
    assert [past.status for past in history.runs(shop.connect(reader))] == ["running"]


def test_a_prefix_must_lead_to_one_run(shop: Database) -> None:
    connection = shop.connect()
    install.ensure(connection, shop.url)
    for last in ("1", "2"):
        begin_run(
            connection, RunRecord("load", run_id=f"abcdef00-0000-4000-8000-00000000000{last}"), ""
        )
    with pytest.raises(UsageError, match=r"several runs: abcdef00.*, abcdef00"):
        history.run(connection, "ABCDEF")
    found = history.run(connection, "abcdef00-0000-4000-8000-000000000002")
    assert found.run_id.endswith("2")
    with pytest.raises(UsageError, match="No run"):
        history.run(connection, "00")
    with pytest.raises(UsageError, match="not the beginning of an id"):
        history.run(connection, "%")


def test_without_a_ledger_or_rights_on_it_the_message_says_what_to_do(shop: Database) -> None:
    with pytest.raises(TargetError, match="penstock migrate"):
        history.require_ledger(shop.connect())
    install.ensure(shop.connect(), shop.url)
    with pytest.raises(TargetError, match="penstock roles --reader"):
        history.require_ledger(shop.connect(shop.role("stranger")))
