"""Every row that a job reads is loaded, refused, left out by name or lost: also where jobs err."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from penstock import Etl, Job, Map
from penstock.errors import BudgetExceeded
from penstock.ledger.flows import JobRecord
from penstock.project.environment import choose
from tests.fixtures.postgres import Database

Ran = Callable[[Callable[[Job], Any]], JobRecord]
MAP = Map({"code": "CODE", "name": "NAME"})


@pytest.fixture
def ran(database: Database, tmp_path: Path) -> Ran:
    """Runs one job over the files in data/import."""
    with database.connect() as connection:
        connection.execute("create table items (code text primary key, name text not null)")
    (tmp_path / "data" / "import").mkdir(parents=True)
    env = {
        "project": "shop",
        "drops": {"kind": "files", "folder": "data/import"},
        "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
    }

    def run(job: Callable[[Job], Any]) -> JobRecord:
        etl = Etl(env=choose(env, "dev", tmp_path), say=lambda _: None)
        etl.start()
        (result,) = etl.run(job).results
        etl.backup()
        etl.end()
        return result.record

    return run


def drop(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / "data" / "import" / name
    path.write_bytes(content)
    return path


def read(job: Job, pattern: str = "items*.csv") -> pl.DataFrame:
    return job.connect("drops").read(pattern, delimiter=";")


def load(job: Job, rows: pl.DataFrame, **more: Any) -> Any:
    options = {"key": "code", "mode": "upsert", "max_rejects": "all"} | more
    return job.connect("warehouse").load(rows, "items", MAP, **options)


def test_records_that_never_became_rows_are_refused_by_the_load_that_succeeds(
    ran: Ran, tmp_path: Path
) -> None:
    drop(tmp_path, "items.csv", b"CODE;NAME\na;Axe\nb;Bow;x;y\nc;C\xff\n")

    def items(job: Job) -> None:
        rows = read(job)
        with pytest.raises(BudgetExceeded):
            load(job, rows, max_rejects=0)
        load(job, rows)

    record = ran(items)

    assert (record.extracted, record.loaded, record.rejected, record.dropped) == (3, 1, 2, 0)


def test_a_row_that_is_dropped_twice_counts_once_and_one_that_is_loaded_not_at_all(
    ran: Ran, tmp_path: Path
) -> None:
    drop(tmp_path, "items.csv", b"CODE;NAME\na;Axe\nb;Bow\nc;Cup\n")

    def items(job: Job) -> None:
        rows = read(job)
        job.drop(rows.head(2), because="old")
        job.drop(rows.head(2), because="odd")
        load(job, rows.tail(2))

    record = ran(items)

    assert (record.extracted, record.loaded, record.rejected, record.dropped) == (3, 2, 0, 1)
    assert record.details["dropped"] == {"old": 1}


def test_a_job_that_ends_for_a_missing_file_after_reading_another_has_failed(
    ran: Ran, tmp_path: Path
) -> None:
    path = drop(tmp_path, "items.csv", b"CODE;NAME\na;Axe\n")

    def items(job: Job) -> None:
        rows = read(job)
        prices = read(job, "prices*.csv")
        load(job, rows.join(prices, on="CODE"))

    record = ran(items)

    assert record.status == "failed"
    assert record.error is not None
    assert record.error.endswith(
        "is named prices*.csv, but 1 row that was read before it reached no load: load it first, "
        "or read first what may not be there"
    )
    assert path.exists()


def test_a_missing_file_ends_a_job_that_has_loaded_what_it_read(ran: Ran, tmp_path: Path) -> None:
    drop(tmp_path, "items.csv", b"CODE;NAME\na;Axe\n")

    def items(job: Job) -> None:
        load(job, read(job))
        load(job, read(job, "more*.csv"))

    record = ran(items)

    assert (record.status, record.extracted, record.loaded) == ("succeeded", 1, 1)


@pytest.mark.parametrize("wrong", [pl.lit("x"), pl.col("_row").cast(pl.Float64) + 0.5])
def test_a_row_number_that_is_none_any_more_is_refused_in_plain_words(
    ran: Ran, tmp_path: Path, wrong: pl.Expr
) -> None:
    drop(tmp_path, "items.csv", b"CODE;NAME\na;Axe\n")

    record = ran(lambda job: load(job, read(job).with_columns(_row=wrong)))

    assert record.status == "failed"
    assert record.error is not None
    assert record.error.startswith("items: _row is ")
    assert "Leave it as it is; or drop it" in record.error


@pytest.mark.parametrize("other", [pl.lit(None), pl.lit(2**62)])
def test_rows_with_numbers_that_were_not_read_count_as_made_of_all(
    ran: Ran, tmp_path: Path, other: pl.Expr
) -> None:
    drop(tmp_path, "items.csv", b"CODE;NAME\na;Axe\nb;\n")
    told: list[list[str]] = []

    def items(job: Job) -> None:
        loaded = load(job, read(job).with_columns(_row=other))
        told.append(loaded.responses()["outcome"].to_list())

    record = ran(items)

    assert (record.extracted, record.loaded, record.rejected, record.dropped) == (2, 1, 1, 0)
    assert record.details["notes"] == ["items: aggregated 2 -> 2"]
    assert told == [["loaded", "refused"]]


def test_rows_that_another_database_refused_are_told_with_where_they_wait(
    database: Database, tmp_path: Path
) -> None:
    other = f"{database.name}_archive"
    maintenance = database.connect()
    maintenance.execute(f"create database {other}".encode())
    archive = database.url.replace(f"/{database.name}", f"/{other}")
    with psycopg.connect(archive) as connection:
        connection.execute("create table items (code text primary key, name text not null)")
    (tmp_path / "data" / "import").mkdir(parents=True)
    drop(tmp_path, "items.csv", b"CODE;NAME\na;Axe\nb;\n")
    env = {
        "project": "shop",
        "drops": {"kind": "files", "folder": "data/import"},
        "ledger": "warehouse",
        "dev": {
            "warehouse": {"kind": "postgres", "url": database.url},
            "archive": {"kind": "postgres", "url": archive},
        },
    }
    said: list[str] = []

    def items(job: Job) -> None:
        rows = read(job)
        job.catch(job.connect("archive").load(rows, "items", MAP, max_rejects="all"))

    etl = Etl(env=choose(env, "dev", tmp_path), say=said.append)
    etl.start()
    etl.run(items)
    code = etl.end()

    assert code == 3
    (warning,) = [line for line in said if line.startswith("warning: ")]
    assert "items: 1 refused rows wait in " in warning
    maintenance.execute(f"drop database {other} with (force)".encode())
    assert f"/{other}, which does not keep this flow's books" in warning
