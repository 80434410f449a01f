"""Jobs that fail by what is soon over, on a real database."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock import Etl, Job
from penstock.errors import ConnectorError, UsageError
from penstock.project.environment import choose
from tests.fixtures.mail import Mailbox
from tests.fixtures.postgres import Database

TABLES = """
create table customers (id int primary key, name text not null);
create table log (id int, name text);
"""
Flow = Callable[..., Etl]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def flow(database: Database, mailbox: Mailbox, tmp_path: Path, said: list[str]) -> Flow:
    with database.connect() as connection:
        connection.execute(TABLES)
    folder = tmp_path / "data" / "import"
    folder.mkdir(parents=True)
    (folder / "customers.csv").write_text("id,name\n1,Ann\n2,Bob\nx,Eve\n")

    def make(**more: Any) -> Etl:
        env = {
            "project": "shop",
            "backoff": 0.01,
            "drops": {"kind": "files", "folder": "data/import"},
            "mail": mailbox.settings,
            "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
        }
        etl = Etl(env=choose(env | more, "dev", tmp_path), say=said.append)
        etl.start()
        return etl

    return make


def failing(
    times: int, error: Callable[[], BaseException], table: str = "customers", mode: str = "upsert"
) -> Callable[[Job], None]:
    """A job that loads, and then fails so many times."""
    seen: list[int] = []

    def customers(job: Job) -> None:
        found = job.connect("drops").read("customers.csv")
        options: dict[str, Any] = {} if table == "log" else {"max_rejects": "all"}
        if table == "log":
            found = found.filter(found["id"] != "x")
        job.catch(job.connect("warehouse").load(found, table, mode=mode, **options))
        seen.append(1)
        if len(seen) <= times:
            raise error()

    return customers


def lost() -> ConnectorError:
    return ConnectorError("crm: the connection was lost", code="lost")


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(query).fetchall()


def test_a_job_is_tried_again_from_its_beginning(
    flow: Flow, database: Database, mailbox: Mailbox, said: list[str]
) -> None:
    etl = flow(retries=2)
    (result,) = etl.run(failing(2, lost)).results
    assert etl.end() == 3
    assert not result.failed
    assert len(result.loads) == len(result.runs) == 3, "each attempt has its books"
    told = [line for line in said if "attempt" in line]
    assert [re.sub(r"in [\d.]+ s", "in N s", line) for line in told] == [
        "customers: attempt 1 failed: crm: the connection was lost; again in N s",
        "customers: attempt 2 failed: crm: the connection was lost; again in N s",
        "  3 attempts",
    ]
    assert rows(
        database, "select job, status, attempts, extracted, loaded, rejected, error "
        "from penstock.jobs"
    ) == [("customers", "succeeded", 3, 3, 2, 1, None)]  # fmt: skip
    assert rows(database, "select id from customers order by 1") == [(1,), (2,)]
    assert rows(database, "select inserted, unchanged from penstock.loads order by started_at") == [
        (2, 0), (0, 2), (0, 2)
    ]  # fmt: skip
    assert rows(database, "select count(*) from penstock.runs where part_of is not null") == [(3,)]
    assert [one["Subject"] for one in mailbox.messages] == ["[shop/main dev] 1 row refused"]


def test_when_all_attempts_fail_the_job_has_failed(flow: Flow, database: Database) -> None:
    etl = flow(retries=1)
    (result,) = etl.run(failing(9, lost)).results
    assert etl.end() == 1
    assert result.record.error == "crm: the connection was lost"
    assert rows(database, "select status, attempts from penstock.jobs") == [("failed", 2)]


@pytest.mark.parametrize("error", [ValueError, lambda: UsageError("wrong")])
def test_what_will_not_pass_is_not_tried_again(
    flow: Flow, database: Database, error: Callable[[], BaseException]
) -> None:
    etl = flow(retries=3)
    etl.run(failing(1, error))
    assert etl.end() == 1
    assert rows(database, "select status, attempts from penstock.jobs") == [("failed", 1)]


def test_a_job_whose_append_is_committed_is_not_begun_anew(
    flow: Flow, database: Database, said: list[str]
) -> None:
    etl = flow(retries=3)
    etl.run(failing(1, lost, table="log", mode="append"))
    assert etl.end() == 1
    assert rows(database, "select id from log order by 1") == [(1,), (2,)], "and not twice"
    assert rows(database, "select status, attempts from penstock.jobs") == [("failed", 1)]
    assert "  not tried again: rows that it appended would be there twice" in said


def test_the_books_get_over_a_server_that_cuts_every_connection(
    flow: Flow, database: Database
) -> None:
    cut: list[int] = []

    def customers(job: Job) -> None:
        found = job.connect("drops").read("customers.csv")
        with database.connect() as other, psycopg.connect(database.url) as own:
            if not cut:
                gone = other.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                ).fetchall()
                cut.append(len(gone))
            own.execute("select 1")
        job.connect("warehouse").load(found, "customers", mode="upsert", max_rejects="all")

    etl = flow(retries=1)
    (result,) = etl.run(customers).results
    assert cut[0] >= 2, "the job's and the ledger's"
    assert not result.failed, result.record.error
    assert etl.end() == 3
    assert rows(database, "select status, attempts from penstock.jobs") == [("succeeded", 2)]
    assert rows(database, "select status from penstock.runs where kind = 'flow'") == [
        ("succeeded",)
    ]
    assert rows(database, "select id from customers order by 1") == [(1,), (2,)]
