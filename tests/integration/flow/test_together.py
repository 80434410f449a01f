"""Several tables in one load of a job, and what a file of refused rows has of a field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from penstock import Etl, Field, Job, Map
from penstock.errors import UsageError
from penstock.loading.replay import replay_rejects
from penstock.project.environment import choose
from tests.fixtures.postgres import Database

Project = Callable[..., Etl]
TABLES = """
create table orders (order_no int primary key, day date not null);
create table lines (
    order_no int not null references orders, line_no int not null,
    units int not null check (units > 0), primary key (order_no, line_no));
create table notes (note_no int primary key, day date);
"""
ORDERS = pl.DataFrame({"NO": ["1", "2", "3", "4"], "DAY": ["01.02.2025"] * 2 + ["31.02.2025"] * 2})
LINES = pl.DataFrame({"NO": ["1", "1", "2", "2", "3"], "L": list("12121"), "U": list("52701")})
ORDER = Map({"order_no": "NO", "day": Field("DAY", dates="DD.MM.YYYY", required=True)})
LINE = Map({"order_no": "NO", "line_no": "L", "units": "U"})


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Project:
    with database.connect() as connection:
        connection.execute(TABLES)

    def make(**more: Any) -> Etl:
        env = {
            "project": "orders",
            "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
        }
        etl = Etl(env=choose(env, "dev", tmp_path), say=lambda _: None, **more)
        etl.start()
        return etl

    return make


def asked(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def load(job: Job) -> tuple[Any, ...]:
    return job.connect("warehouse").load_together(
        (ORDERS, "orders", ORDER), (LINES, "lines", LINE), group="order_no", max_rejects="all"
    )


def test_an_order_is_loaded_with_all_of_its_lines_or_not_at_all(
    project: Project, database: Database
) -> None:
    said: list[Any] = []

    def orders(job: Job) -> None:
        said.extend(load(job))
        job.catch(*said)

    etl = project()
    outcome = etl.run(orders)
    etl.end()
    assert asked(database, "select order_no from orders") == [(1,)]
    assert asked(database, "select order_no, line_no from lines") == [(1, 1), (1, 2)]
    assert [one.table for one in said] == ["orders", "lines"]
    assert [(one.result.read, one.result.quarantined) for one in said] == [(4, 3), (5, 3)]
    assert said[1].responses()["outcome"].to_list() == ["loaded"] * 2 + ["refused"] * 3
    assert {one.table: one.rows for one in outcome.error_files} == {"orders": 3, "lines": 3}


def test_a_dry_run_takes_all_tables_back(project: Project, database: Database) -> None:
    etl = project(dry_run=True)
    outcome = etl.run(load)
    etl.end()
    assert not outcome.failed
    assert asked(database, "select count(*) from orders") == [(0,)]


def test_it_is_a_transaction_of_its_own(project: Project) -> None:
    def orders(job: Job) -> None:
        with job.connect("warehouse").unit():
            load(job)

    etl = project()
    (result,) = etl.run(orders).results
    etl.end()
    assert (
        result.record.error
        == UsageError("load_together() is a transaction of its own: not within a unit").message
    )


def test_a_field_that_could_not_be_made_is_not_null_when_its_row_is_loaded_again(
    project: Project, database: Database
) -> None:
    rows = pl.DataFrame({"NO": ["1", "2"], "DAY": ["31.02.2025", "01.02.2025"]})
    transform = Map({"note_no": "NO", "day": Field("DAY", dates="DD.MM.YYYY")})

    def notes(job: Job) -> None:
        job.connect("warehouse").load(rows, "notes", transform, max_rejects="all")

    etl = project()
    etl.run(notes)
    etl.end()
    kept = asked(
        database, "select raw_values ->> 'note_no', raw_values ->> 'day' from penstock.rejects"
    )
    assert kept == [("1", "31.02.2025")]
    result = replay_rejects(database.url, table="notes")
    assert (result.replayed, result.waiting) == (0, 1)
    assert asked(database, "select note_no from notes") == [(2,)]
