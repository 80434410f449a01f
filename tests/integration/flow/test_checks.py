"""Quality checks of a job's loads: a failed one fails the job, or is told in the flow's log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from penstock import Etl, Job, Map, quality
from penstock.project.environment import choose
from penstock.quality.declared import Check
from tests.fixtures.postgres import Database

ROWS = pl.DataFrame({"NO": ["1", "2"], "KIND": ["a", None]})


@pytest.fixture
def ran(ledger_database: Database, tmp_path: Path) -> Callable[[Check], tuple[int, str]]:
    """Runs a job with a check; gives the rows of its table, and what the flow said."""
    with ledger_database.connect() as connection:
        connection.execute("create table orders (order_no int primary key, kind text)")

    def run(check: Check) -> tuple[int, str]:
        url, said = ledger_database.url, list[str]()
        env = {"project": "orders", "dev": {"warehouse": {"kind": "postgres", "url": url}}}
        etl = Etl(env=choose(env, "dev", tmp_path), say=said.append)
        etl.start()

        def orders(job: Job) -> None:
            made = Map({"order_no": "NO", "kind": "KIND"})
            job.connect("warehouse").load(ROWS, "orders", made, quality=[check])

        etl.run(orders)
        etl.end()
        with ledger_database.connect() as connection:
            row = connection.execute("select count(*) from orders").fetchone()
        assert row is not None
        return row[0], "\n".join(said)

    return run


def test_a_check_that_stops_the_load_fails_its_job(
    ran: Callable[[Check], tuple[int, str]],
) -> None:
    rows, said = ran(quality.not_null("kind"))
    assert rows == 0
    assert "orders: failed: orders: not_null(kind) failed, 1 of 2 rows has no value" in said


def test_a_check_that_marks_the_load_is_told_with_its_job(
    ran: Callable[[Check], tuple[int, str]],
) -> None:
    rows, said = ran(quality.not_null("kind", stops=False))
    assert rows == 2
    assert "orders: not_null(kind) failed: 1 of 2 rows has no value, such as " in said
