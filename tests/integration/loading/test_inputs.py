"""Which files land where contents repeat, where tables were emptied, and from pipes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
import sqlalchemy

from penstock import LoadResult, TryAgain, UsageError, load_table
from tests.fixtures.postgres import Database

TABLE = "create table t (k int, v text)"


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(TABLE)
    return database


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def rows(
    database: Database, query: str = "select k, v from t order by 1"
) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def run(database: Database, statement: str) -> None:
    with database.connect() as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize("ledger", [True, False])
def test_a_content_that_two_files_of_an_append_have_lands_once(
    shop: Database, tmp_path: Path, ledger: bool
) -> None:
    write(tmp_path / "a.csv", "k,v\n1,a\n")
    write(tmp_path / "b.csv", "k,v\n1,a\n")
    write(tmp_path / "c.csv", "k,v\n2,c\n")  # of the same size
    result = load_table(shop.engine(), f"{tmp_path}/*.csv", "t", ledger=ledger)
    assert (result.read, result.inserted) == (2, 2)
    assert result.skipped == (f"{tmp_path}/b.csv (the same content as {tmp_path}/a.csv)",)
    assert rows(shop) == [(1, "a"), (2, "c")]


def test_again_and_truncate_load_equal_files_as_given(shop: Database, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "k,v\n1,a\n")
    write(tmp_path / "b.csv", "k,v\n1,a\n")
    for options in ({"again": True}, {"mode": "truncate"}):
        result = load_table(shop.engine(), f"{tmp_path}/*.csv", "t", **options)
        assert (result.inserted, result.skipped) == (2, ())


def test_part_files_with_a_header_alone_are_no_conflict(shop: Database, tmp_path: Path) -> None:
    write(tmp_path / "part-1.csv", "k,v\n")
    write(tmp_path / "part-2.csv", "k,v\n1,a\n")
    write(tmp_path / "part-3.csv", "k,v\n")
    result = load_table(shop.engine(), f"{tmp_path}/*.csv", "t")
    assert result.inserted == 1
    assert [text.partition(" ")[0] for text in result.skipped] == [f"{tmp_path}/part-3.csv"]


def test_one_file_by_two_paths_lands_once_in_every_mode(shop: Database, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    path = write(tmp_path / "s1.csv", "k,v\n1,a\n")
    (tmp_path / "link.csv").symlink_to(path)
    given = [path, tmp_path / "sub" / ".." / "s1.csv", tmp_path / "link.csv"]
    assert load_table(shop.engine(), given, "t", mode="truncate").inserted == 1
    assert load_table(shop.engine(), given, "t", again=True).inserted == 1


@pytest.mark.parametrize("emptied", ["drop table t; " + TABLE, "truncate t", "delete from t"])
def test_a_table_that_was_emptied_by_hand_takes_its_files_again(
    shop: Database, tmp_path: Path, emptied: str
) -> None:
    one = write(tmp_path / "a.csv", "k,v\n1,a\n")
    two = write(tmp_path / "b.csv", "k,v\n2,b\n")
    other = write(tmp_path / "c.csv", "k,v\n33,longer\n")
    engine = shop.engine()
    for path in (one, two):
        load_table(engine, path, "t")
    for statement in emptied.split("; "):
        run(shop, statement)
    # A new file first: what was in the table before is forgotten with the first load.
    for path in (other, one, two):
        result = load_table(engine, path, "t")
        assert (result.inserted, result.skipped) == (1, ())
    assert rows(shop) == [(1, "a"), (2, "b"), (33, "longer")]
    again = load_table(engine, [one, two, other], "t")
    assert (again.inserted, len(again.skipped)) == (0, 3)


def test_rows_that_the_role_cannot_see_keep_their_file(shop: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "k,v\n1,a\n")
    load_table(shop.engine(), path, "t")
    role = shop.role("clerk")
    name = role.name
    run(shop, f"grant select, insert on t to {name}")
    run(shop, f"grant usage on schema penstock to {name}")
    run(shop, f"grant select, insert, update on all tables in schema penstock to {name}")
    run(shop, "alter table t enable row level security")
    run(shop, f"create policy few on t to {name} using (k > 5) with check (true)")
    result = load_table(shop.engine(role), path, "t")
    assert (result.inserted, len(result.skipped)) == (0, 1)


def test_two_loads_into_a_table_emptied_by_hand_land_a_file_once(
    shop: Database, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.csv", "k,v\n1,a\n")
    load_table(shop.url, path, "t")
    run(shop, "truncate t")
    barrier = threading.Barrier(2, timeout=30)
    came: list[LoadResult | TryAgain] = []

    def on_step(step: str) -> None:
        if step == "copy":
            barrier.wait()  # both have seen that the table is empty

    def load() -> None:
        try:
            came.append(load_table(shop.url, path, "t", on_step=on_step))
        except TryAgain as error:
            came.append(error)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(type(one).__name__ for one in came) == ["LoadResult", "TryAgain"]
    assert rows(shop) == [(1, "a")]


def test_rows_come_through_pipes_and_their_rejects_are_read_again(
    shop: Database, tmp_path: Path
) -> None:
    pipe = tmp_path / "fifo.csv"
    os.mkfifo(pipe)
    run(shop, "alter table t add check (k < 9)")
    writer = threading.Thread(target=pipe.write_bytes, args=(b"k,v\n1,a\n9,b\n",))
    writer.start()
    result = load_table(shop.engine(), pipe, "t", max_rejects=1)
    writer.join(timeout=10)
    assert (result.inserted, result.quarantined) == (1, 1)
    kept = rows(shop, "select line, convert_from(raw, 'UTF8'), source from penstock.rejects")
    assert kept == [(3, "9,b", str(pipe))]


def test_a_failed_call_of_an_encoding_leaves_no_trace(shop: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "k,v\n1,a\n")
    with pytest.raises(UsageError, match="idna is not the encoding of a text file"):
        load_table(shop.engine(), path, "t", encoding="idna")
    with shop.engine().connect() as connection:
        runs = connection.execute(sqlalchemy.text("select count(*) from penstock.runs")).scalar()
    assert runs == 0
