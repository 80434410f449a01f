"""Rejects that a later load resolves by bringing their row, and those that it must leave open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import sqlalchemy

from penstock import LoadResult, TargetError, load_table, replay_rejects
from penstock.ledger import install
from penstock.ledger.history import require_ledger
from tests.fixtures.postgres import Database

SHOP = """
create table goods (code text primary key, made date, price numeric(8,2));
insert into goods values ('A', '2024-01-01', 1), ('B', '2024-01-01', 2), ('C', '2024-01-01', 3);
"""


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(SHOP)
    return database


def load(shop: Database, folder: Path, *lines: str, **options: Any) -> LoadResult:
    path = folder / "goods.csv"
    path.write_text("\n".join(["code,made,price", *lines, ""]), encoding="utf-8")
    return load_table(shop.url, path, **{"mode": "upsert", "max_rejects": "all", **options})


def statuses(shop: Database) -> list[tuple[Any, ...]]:
    with shop.connect() as connection:
        return connection.execute(
            "select raw_values ->> 'code', status from penstock.rejects order by reject_id"
        ).fetchall()


def test_a_row_that_updates_or_is_found_equal_resolves_the_reject_with_its_key(
    shop: Database, tmp_path: Path
) -> None:
    load(shop, tmp_path, "A,2024-01-01,x", "B,2024-01-01,y", "C,2024-01-01,z", "D,2024-01-01,4")
    load(shop, tmp_path, "A,2024-01-01,1.5", "B,2024-01-01,2")  # changed, and equal
    assert statuses(shop) == [("A", "resolved"), ("B", "resolved"), ("C", "waiting")]


def test_a_sync_and_a_replaced_range_resolve_too(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, "A,2024-01-01,x", "B,2024-01-01,y", "D,2024-01-01,4")
    within = {"code": "A"}
    load(shop, tmp_path, "A,2024-01-01,1", mode="replace_range", within=within)
    assert statuses(shop) == [("A", "resolved"), ("B", "waiting")]
    load(shop, tmp_path, "B,2024-01-01,2", "C,2024-01-01,3", mode="sync", max_deletes="all")
    assert statuses(shop) == [("A", "resolved"), ("B", "resolved")]


def test_a_key_that_comes_and_is_refused_again_stays_open(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, "A,2024-01-01,x", "D,2024-01-01,4")
    load(shop, tmp_path, "A,2024-13-01,1", "B,2024-01-01,9")
    assert statuses(shop) == [("A", "waiting"), ("A", "waiting")]


def test_a_row_refused_beside_a_good_one_with_its_key_stays_open(
    shop: Database, tmp_path: Path
) -> None:
    load(shop, tmp_path, "A,2024-01-01,5", "A,2024-01-01,x")
    assert statuses(shop) == [("A", "waiting")]


def test_insert_new_leaves_open_what_it_leaves_alone(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, "A,2024-01-01,x", "D,2024-01-01,4")
    load(shop, tmp_path, "A,2024-01-01,1", mode="insert_new")
    assert statuses(shop) == [("A", "waiting")]


def test_a_text_that_meant_something_else_is_not_taken_for_a_key(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table dim (id int primary key, no text); insert into dim values (1, '7');"
            "create table fact (id int references dim, day date, primary key (id, day), n int);"
            "create table words (w text primary key, n int)"
        )

    def loaded(table: str, text: str, **options: Any) -> LoadResult:
        path = tmp_path / f"{table}.csv"
        path.write_text(text, encoding="utf-8")
        told = {"mode": "upsert", "max_rejects": "all", **options}
        return load_table(database.url, path, table, **told)

    looked_up = {"lookups": {"id": "dim.no"}}
    loaded("fact", "id,day,n\n7,2024-01-02,1\n7,2024-03-04,x\n", **looked_up)
    with database.connect() as connection:
        connection.execute("insert into dim values (7, '8')")  # 7 is another row's number
    loaded("fact", "id,day,n\n7,2024-03-04,1\n")
    loaded("fact", "id,day,n\n1,2024/09/08,1\n1,2024/06/05,x\n", dates="YYYY/DD/MM")
    loaded("words", "w,n\nNA,1\na,1\n b,x\n", null="NA", trim=True)
    loaded("words", "w,n\nNA,1\n b,1\n")
    with database.connect() as connection:
        found = connection.execute("select key, status from penstock.rejects").fetchall()
    assert found == [(None, "waiting")] * 4


def test_a_replay_of_an_older_row_leaves_newer_ones_open(database: Database) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table c (id int primary key); insert into c values (1);"
            "create table o (id int primary key, c int references c, n int);"
            "insert into o values (5, 1, 0)"
        )

    def loaded(rows: list[tuple[str, str, str]]) -> LoadResult:
        frame = pl.DataFrame(rows, schema=["id", "c", "n"], orient="row")
        told: dict[str, Any] = {"mode": "upsert", "max_rejects": "all", "orphans": {"c": "wait"}}
        return load_table(database.url, frame, "o", **told)

    loaded([("5", "1", "x"), ("1", "1", "1")])  # older: to be corrected
    loaded([("5", "8", "2"), ("1", "1", "1")])  # newer: waits for its parent
    with database.connect() as connection:
        connection.execute("alter table o alter n type text")
    assert replay_rejects(database.url, ids=[1], mode="upsert").replayed == 1
    with database.connect() as connection:
        connection.execute("insert into c values (8)")
    loaded([("1", "1", "1")])
    with database.connect() as connection:
        assert connection.execute("select c, n from o where id = 5").fetchall() == [(8, "2")]


# The ledger of an older Penstock ---------------------------------------------------------------


def older(shop: Database) -> None:
    """The ledger as the first revision had it, with a reject."""
    with shop.connect() as connection:
        connection.execute(
            "drop view penstock.event_status, penstock.event_balance; "
            "drop table penstock.sources, penstock.chunks, penstock.events, penstock.event_ids, "
            "penstock.batches, penstock.event_states, penstock.event_targets, "
            "penstock.event_keys, penstock.drops, penstock.drop_names, penstock.archive_files, "
            "penstock.archived, penstock.checks, penstock.users, penstock.sessions, "
            "penstock.sign_ins, penstock.audit cascade; drop index penstock.by_name; "
            "drop function penstock.payload, penstock.provide_event_days, "
            "penstock.restore_event_day, penstock.drop_event_day; "
            "drop table penstock.jobs, penstock.cursors, penstock.flow_locks, penstock.outbox, "
            "penstock.incidents, penstock.sent, penstock.fetched, penstock.schedules; "
            "alter table penstock.rejects drop column mailed_at, drop column mailed_to, "
            "drop column supplied; "
            "alter table penstock.runs drop column part_of, drop column job"
        )
        connection.execute("alter table penstock.rejects drop column awaits_parent cascade")
        connection.execute("update penstock.alembic_version set version_num = '0001'")
        connection.execute(
            "create index patterns on penstock.rejects (schema_name, table_name, status, pattern)"
        )


def test_a_load_brings_an_older_ledger_up_to_date(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, "A,2024-01-01,x", "D,2024-01-01,4")
    older(shop)
    with shop.connect() as connection:
        with pytest.raises(TargetError, match="penstock migrate"):
            require_ledger(connection)
        with (
            sqlalchemy_of(connection) as joined,
            pytest.raises(TargetError, match="at revision 0001"),
        ):
            load_table(joined, tmp_path / "goods.csv")
    load(shop, tmp_path, "A,2024-01-01,1")
    assert statuses(shop) == [("A", "resolved")]
    with shop.connect() as connection:
        assert install.revision(connection)["revision"] == install.HEAD


def sqlalchemy_of(connection: psycopg.Connection[Any]) -> sqlalchemy.Connection:
    """A Connection of SQLAlchemy to the same database."""
    info = connection.info
    url = sqlalchemy.URL.create(
        "postgresql+psycopg", info.user, info.password, info.host, info.port, info.dbname
    )
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).connect()
