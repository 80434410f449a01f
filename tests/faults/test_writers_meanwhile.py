"""`upsert` and `sync` while other sessions write the same rows."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

from penstock import LoadResult, load_table
from tests.fixtures.postgres import OwnCluster

MANY = 3000


def fresh(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop schema if exists penstock cascade")
        connection.execute("drop table if exists items")
        connection.execute("create table items (id int primary key, name text)")
        connection.execute("insert into items select n, 'old' from generate_series(1, 100) n")


def write(path: Path, rows: dict[int, str]) -> Path:
    path.write_text("id,name\n" + "".join(f"{n},{name}\n" for n, name in rows.items()))
    return path


def contents(url: str) -> dict[int, str]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute("select id, name from items").fetchall())


@pytest.mark.parametrize(
    ("other", "expected", "books"),
    [
        ("delete from items where id = 2", {2: "new 2"}, (2, 1, 1)),
        ("update items set name = 'new 2' where id = 2", {2: "new 2"}, (1, 1, 2)),
        ("update items set name = 'theirs' where id = 2", {2: "new 2"}, (1, 2, 1)),
        ("insert into items values (200, 'theirs')", {200: "new 200"}, (0, 3, 1)),
        ("insert into items values (200, 'new 200')", {200: "new 200"}, (0, 2, 2)),
    ],
)
def test_a_writer_between_difference_and_writing_is_noticed_and_counted(
    own_cluster: OwnCluster,
    tmp_path: Path,
    other: str,
    expected: dict[int, str],
    books: tuple[int, int, int],
) -> None:
    url = own_cluster.url
    fresh(url)
    path = write(tmp_path / "items.csv", {1: "new 1", 2: "new 2", 3: "old", 200: "new 200"})
    fired: list[str] = []

    def interfere(step: str) -> None:
        if step == "write" and not fired:
            with psycopg.connect(url, autocommit=True) as connection:
                assert connection.execute(other).rowcount == 1
            fired.append(step)

    result = load_table(url, path, "items", mode="upsert", on_step=interfere)
    assert fired
    assert (result.inserted, result.updated, result.unchanged) == books
    assert result.balanced
    found = contents(url)
    assert found | expected == found
    assert found[1] == "new 1"


def test_upserts_of_the_same_keys_in_opposite_order_both_succeed(
    own_cluster: OwnCluster, tmp_path: Path
) -> None:
    url = own_cluster.url
    fresh(url)
    up = {n: f"up {n}" for n in range(1, MANY + 1)}
    down = {n: f"down {n}" for n in range(MANY, 0, -1)}
    results: list[LoadResult] = []
    together = threading.Barrier(2)

    def one(name: str, rows: dict[int, str]) -> None:
        path = write(tmp_path / f"{name}.csv", rows)

        def wait(step: str) -> None:
            if step == "write" and not waited:
                waited.append(step)
                together.wait(timeout=60)

        waited: list[str] = []
        results.append(load_table(url, path, "items", mode="upsert", on_step=wait))

    threads = [
        threading.Thread(target=one, args=arguments) for arguments in (("up", up), ("down", down))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == 2
    assert sum(result.inserted for result in results) == MANY - 100
    assert sum(result.updated for result in results) == 100 + MANY
    assert contents(url) in (up, down)


def test_a_row_that_leaves_the_scope_while_sync_waits_for_it_stays(
    own_cluster: OwnCluster, tmp_path: Path
) -> None:
    url = own_cluster.url
    fresh(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("delete from items where id > 4")
    path = write(tmp_path / "items.csv", {1: "old", 2: "old", 3: "old"})
    results: list[LoadResult] = []
    with psycopg.connect(url) as other:
        other.execute("update items set name = 'moved' where id = 4")
        thread = threading.Thread(
            target=lambda: results.append(
                load_table(url, path, "items", mode="sync", within={"name": "old"})
            )
        )
        thread.start()
        with psycopg.connect(url, autocommit=True) as watcher:
            waiting = "select count(*) from pg_locks where not granted"
            while watcher.execute(waiting).fetchone() == (0,):
                assert thread.is_alive()
        other.commit()
    thread.join(60)
    assert results[0].deleted == 0
    assert contents(url) == {1: "old", 2: "old", 3: "old", 4: "moved"}
