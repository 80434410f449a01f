"""Keys under a nondeterministic collation: `a` and `A` are one key, in the file and in the table.

On the system's PostgreSQL: the servers that come along have no ICU. Expected values by hand, as for
citext: two writings of one key are one key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock import LoadResult, load_table
from penstock.errors import TargetError
from penstock.postgres.embedded import Cluster

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
pytestmark = pytest.mark.system

SETUP = """
drop table if exists people, children cascade; drop schema if exists penstock cascade;
drop collation if exists nocase;
create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
"""
PEOPLE = """
create table people (k {type} collate nocase primary key, n int);
insert into people values ('A', 1), ('b', 9), ('Z', 1);
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert (PROGRAMS / "initdb").is_file(), f"{PROGRAMS} has no server: apt install postgresql-15"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_PG_BIN", str(PROGRAMS))
        cluster = Cluster(tmp_path_factory.mktemp("icu") / "pg")
        cluster.start()
        try:
            yield cluster.url
        finally:
            cluster.remove()


def run(url: str, statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statements.encode())


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def load(url: str, folder: Path, text: str, table: str = "people", **options: Any) -> LoadResult:
    path = folder / "rows.csv"
    path.write_text(text, encoding="utf-8")
    result = load_table(url, path, table, max_rejects="all", **options)
    assert result.balanced
    return result


@pytest.mark.parametrize("kind", ["text", "varchar(10)"])
@pytest.mark.parametrize(
    ("mode", "rows", "counts"),
    [
        ("append", [("a", 1), ("b", 2)], (2, 0, 2)),
        ("truncate", [("a", 1), ("b", 2)], (2, 0, 2)),
        ("insert_new", [("a", 1), ("b", 2)], (2, 2, 0)),
        ("upsert", [("A", 1), ("B", 3)], (2, 2, 0)),
        ("sync", [("A", 1), ("B", 3)], (2, 2, 0)),
    ],
)
def test_two_writings_of_a_key_in_one_file_are_one_key(
    url: str, tmp_path: Path, mode: str, rows: list[Any], counts: tuple[int, int, int], kind: str
) -> None:
    run(url, SETUP + PEOPLE.format(type=kind) + "truncate people;")
    result = load(url, tmp_path, "k,n\na,1\nA,1\nb,2\nB,3\n", mode=mode)
    assert (result.inserted, result.ignored, result.quarantined) == counts
    assert ask(url, "select k, n from people order by k") == rows


@pytest.mark.parametrize(
    ("mode", "rows", "counts"),
    [
        ("append", [("A", 1), ("b", 9), ("c", 3), ("Z", 1)], (1, 0, 0, 0, 2)),
        ("insert_new", [("A", 1), ("b", 9), ("c", 3), ("Z", 1)], (1, 0, 0, 2, 0)),
        ("upsert", [("A", 1), ("b", 3), ("c", 3), ("Z", 1)], (1, 1, 1, 0, 0)),
        ("sync", [("A", 1), ("b", 3), ("c", 3)], (1, 1, 1, 0, 0)),
    ],
)
def test_another_writing_of_a_key_in_the_table_is_that_key(
    url: str, tmp_path: Path, mode: str, rows: list[Any], counts: tuple[int, ...]
) -> None:
    run(url, SETUP + PEOPLE.format(type="text"))
    result = load(url, tmp_path, "k,n\na,1\nB,3\nc,3\n", mode=mode)
    found = (result.inserted, result.updated, result.unchanged, result.ignored, result.quarantined)
    assert found == counts
    assert ask(url, "select k, n from people order by k") == rows


def test_versions_of_two_writings_are_versions_of_one_key(url: str, tmp_path: Path) -> None:
    run(
        url,
        SETUP + "create table people (k text collate nocase, n int, valid_from date, "
        "valid_to date, is_current boolean not null, primary key (k, valid_from));"
        "insert into people values ('A', 1, '2024-01-01', null, true);",
    )
    for inserted in (2, 0):
        result = load(
            url, tmp_path, "k,n,valid_from\na,2,2024-02-01\nB,5,2024-02-01\nb,6,2024-02-01\n",
            mode="scd2", key="k",
        )  # fmt: skip
        assert (result.inserted, result.ignored) == (inserted, 1)
    found = ask(url, "select k, n, valid_to::text, is_current from people order by k, valid_from")
    assert found == [
        ("A", 1, "2024-02-01", False), ("a", 2, None, True), ("b", 6, None, True),
    ]  # fmt: skip


@pytest.mark.parametrize("more", [0, 20_000])
def test_parents_are_found_in_another_writing(url: str, tmp_path: Path, more: int) -> None:
    run(
        url,
        SETUP + "create table people (k text collate nocase primary key); "
        "create table children (id int primary key, k text collate nocase references people); "
        f"insert into people values ('a'), ('b'); "
        f"insert into people select 'k' || n from generate_series(1, {more}) n",
    )
    text = "id,k\n-1,A\n-2,b\n-3,none\n" + "".join(f"{n},K{n}\n" for n in range(1, more + 1))
    result = load(url, tmp_path, text, "children")
    assert (result.inserted, result.quarantined) == (more + 2, 1)


def test_a_range_is_the_same_for_the_file_and_the_table(url: str, tmp_path: Path) -> None:
    run(url, SETUP + "create table people (k text collate nocase, n int);")
    run(url, "insert into people values ('A', 1), ('b', 2)")
    result = load(url, tmp_path, "k,n\na,5\nA,6\n", mode="replace_range", within={"k": "a"})
    assert (result.inserted, result.deleted, result.quarantined) == (2, 1, 0)
    assert ask(url, "select k, n from people order by n") == [("b", 2), ("a", 5), ("A", 6)]


def test_a_lookup_by_such_a_key_is_refused_by_the_name_of_the_collation(
    url: str, tmp_path: Path
) -> None:
    run(url, SETUP + PEOPLE.format(type="text"))
    run(url, "create table children (id int primary key, n int)")
    with pytest.raises(TargetError, match=r"keys under public\.nocase, which is not deterministic"):
        load(url, tmp_path, "id,k\n1,a\n", "children", lookups={"n": "people.k"})
