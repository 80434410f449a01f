"""Cursors of jobs: they move when what was read is loaded, and only then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from penstock import Etl, Job
from penstock.errors import PenstockError
from penstock.project.environment import choose
from tests.fixtures.postgres import Database

TABLES = """
create schema erp;
create table erp.accounts (id int primary key, name text not null, changed timestamptz not null);
create table accounts (id int primary key, name text not null);
insert into erp.accounts values (1, 'Ann', '2024-01-01 10:00:00.000001+00'),
    (2, 'Bob', '2024-01-01 12:00:00.000002+02');
"""
LAST = {"type": "timestamptz", "value": "2024-01-01T10:00:00.000002+00:00"}


class Shop:
    """A flow whose one job reads what is new; `broken` is raised after its load.

    Attributes:
        reads: Names that each run has read.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self.reads: list[list[str]] = []
        self.broken: Exception | None = None
        self.loads = True
        self.overlap: str | None = None
        self.along = False
        self._database = database
        self._env = {
            "project": "shop",
            "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
        }
        self._folder = folder

    def accounts(self, job: Job) -> None:
        warehouse = job.connect("warehouse")
        since = job.cursor("accounts", column="changed", initial="-infinity", overlap=self.overlap)
        rows = warehouse.read(
            "select id, name, changed from erp.accounts where changed > :since order by changed",
            since=since,
        )
        self.reads.append(rows["name"].to_list())
        if self.loads:
            more: dict[str, Any] = {"moves": since} if self.along else {}
            warehouse.load(rows.drop("changed"), "accounts", mode="upsert", max_rejects=0, **more)
        if self.broken is not None:
            raise self.broken

    def run(self, **more: Any) -> int:
        settings = {**self._env, **more.pop("env", {})}
        etl = Etl(env=choose(settings, "dev", self._folder), say=lambda line: None, **more)
        etl.start()
        etl.run(self.accounts)
        return etl.end()

    def cursor(self) -> Any:
        with self._database.connect() as connection:
            row = connection.execute("select value from penstock.cursors").fetchone()
        return None if row is None else row[0]

    def change(self, statement: str) -> None:
        with self._database.connect() as connection:
            connection.execute(statement)


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Shop:
    made = Shop(database, tmp_path)
    made.change(TABLES)
    return made


def test_each_run_reads_what_is_new_to_the_microsecond(shop: Shop) -> None:
    assert shop.run() == 0
    assert shop.cursor() == LAST
    assert shop.run() == 0
    shop.change("insert into erp.accounts values (3, 'Eve', '2024-01-01 10:00:00.000003+00')")
    assert shop.run() == 0
    assert shop.reads == [["Ann", "Bob"], [], ["Eve"]]


def test_an_overlap_reads_rows_that_were_committed_late(shop: Shop) -> None:
    shop.overlap = "5m"
    shop.run()
    shop.change("insert into erp.accounts values (3, 'Late', '2024-01-01 09:59:00+00')")
    assert shop.run() == 0
    assert shop.reads[1] == ["Late", "Ann", "Bob"]
    assert shop.cursor() == LAST, "it does not go back"


def _breaks(shop: Shop) -> dict[str, Any]:
    shop.broken = ValueError("the wheel came off")
    return {}


def _refuses(shop: Shop) -> dict[str, Any]:
    shop.change("alter table accounts add check (name <> 'Bob')")
    return {}


def _is_dry(shop: Shop) -> dict[str, Any]:
    return {"dry_run": True}


def _loses_rows(shop: Shop) -> dict[str, Any]:
    shop.loads = False
    return {"env": {"strict": True}}


@pytest.mark.parametrize(
    ("spoil", "code"), [(_breaks, 1), (_refuses, 1), (_is_dry, 0), (_loses_rows, 1)]
)
def test_it_stays_where_it_is_unless_the_job_succeeded(
    shop: Shop, spoil: Callable[[Shop], dict[str, Any]], code: int
) -> None:
    assert shop.run(**spoil(shop)) == code
    assert shop.reads == [["Ann", "Bob"]], "it did read"
    assert shop.cursor() is None
    shop.broken, shop.loads = None, True
    shop.change("alter table accounts drop constraint if exists accounts_name_check")
    assert shop.run() == 0
    assert shop.reads[1] == ["Ann", "Bob"]
    assert shop.cursor() == LAST


def test_with_its_load_it_moves_in_one_transaction(shop: Shop) -> None:
    shop.along = True
    shop.broken = ValueError("after the load was committed")
    assert shop.run() == 1
    assert shop.cursor() == LAST, "what it stands for is loaded"
    shop.broken = None
    assert shop.run() == 0
    assert shop.reads == [["Ann", "Bob"], []]


@pytest.mark.parametrize(("spoil", "code"), [(_refuses, 1), (_is_dry, 0)])
def test_with_its_load_it_stays_when_that_is_rolled_back(
    shop: Shop, spoil: Callable[[Shop], dict[str, Any]], code: int
) -> None:
    shop.along = True
    assert shop.run(**spoil(shop)) == code
    assert shop.reads == [["Ann", "Bob"]]
    assert shop.cursor() is None


def _fails(job: Job, rows: pl.DataFrame, more: dict[str, Any]) -> None:
    warehouse = job.connect("warehouse")
    with pytest.raises(PenstockError, match="every row was refused"):
        warehouse.load(rows.with_columns(name=pl.lit(None)), "accounts", mode="upsert", **more)


def _in_a_unit(job: Job, rows: pl.DataFrame, more: dict[str, Any]) -> None:
    warehouse = job.connect("warehouse")
    with suppress(ArithmeticError), warehouse.unit():
        warehouse.load(rows, "accounts", mode="upsert", **more)
        raise ArithmeticError("the wheel came off")


@pytest.mark.parametrize("attempt", [_fails, _in_a_unit])
@pytest.mark.parametrize("along", [True, False])
def test_it_stays_when_a_job_goes_on_after_a_load_that_was_rolled_back(
    shop: Shop, attempt: Callable[..., None], along: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    again: list[bool] = []

    def accounts(job: Job) -> None:
        warehouse = job.connect("warehouse")
        since = job.cursor("accounts", column="changed", initial="-infinity")
        query = "select id, name, changed from erp.accounts where changed > :since"
        rows = warehouse.read(query, since=since)
        more: dict[str, Any] = {"moves": since} if along else {}
        attempt(job, rows.drop("changed"), more)
        if again:  # it has a second way to load them
            warehouse.load(rows.drop("changed"), "accounts", mode="upsert", **more)

    monkeypatch.setattr(shop, "accounts", accounts)
    assert shop.run() == 0
    assert shop.cursor() is None, "its rows are in no table"
    again.append(True)
    assert shop.run() == 0
    assert shop.cursor() == LAST
