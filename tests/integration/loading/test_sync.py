"""`sync` where removing rows touches others, or where rows have no key; against a real server.

Not for: what it removes and what not (`test_keyed_modes`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock import LoadResult, load_table
from penstock.errors import TargetError
from tests.fixtures.postgres import Database

FOUR = """
create table t (id int primary key, n text, gone boolean not null default false);
insert into t values (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd');
"""
ACTS = """
create function act() returns trigger language plpgsql as $$begin {act}; return null; end$$;
create trigger act after {on} on t for each row when ({when}) execute function act();
"""


def run(database: Database, statements: str) -> None:
    with database.connect() as connection:
        connection.execute(statements.encode())


def rows(database: Database, columns: str = "id, n") -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(f"select {columns} from t order by 1".encode()).fetchall()


def sync(database: Database, tmp_path: Path, lines: list[str], **options: Any) -> LoadResult:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = load_table(
        database.engine(), path, "t", mode="sync", **{"max_rejects": "all", **options}
    )
    assert result.balanced
    return result


def counts(result: LoadResult) -> dict[str, int]:
    names = ("inserted", "updated", "unchanged", "ignored", "quarantined", "deleted")
    return {name: getattr(result, name) for name in names if getattr(result, name)}


KEEP = ["id,n", "2,b", "3,c", "4,d"]
REMOVES = "delete from t where id = old.id + 1 and id < 3"
CHANGES = "update t set n = 'touched' where id = old.id + 1"


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (REMOVES, {"inserted": 1, "unchanged": 2, "deleted": 1}),
        (CHANGES, {"updated": 1, "unchanged": 2, "deleted": 1}),
    ],
    ids=["removes", "changes"],
)
def test_rows_that_stay_and_a_trigger_touches_are_as_the_input_has_them(
    database: Database, tmp_path: Path, act: str, expected: dict[str, int]
) -> None:
    run(database, FOUR + ACTS.format(act=act, on="delete", when="true"))
    assert counts(sync(database, tmp_path, KEEP)) == expected
    assert rows(database) == [(2, "b"), (3, "c"), (4, "d")]


def test_rows_that_stay_and_a_trigger_touches_when_others_are_marked_too(
    database: Database, tmp_path: Path
) -> None:
    run(database, FOUR + ACTS.format(act=CHANGES, on="update", when="new.gone"))
    result = sync(database, tmp_path, KEEP, missing={"gone": True})
    assert counts(result) == {"updated": 1, "unchanged": 2, "deleted": 1}
    assert rows(database, "id, n, gone") == [
        (1, "a", True),
        (2, "b", False),
        (3, "c", False),
        (4, "d", False),
    ]


def test_triggers_of_a_partition_count_too(database: Database, tmp_path: Path) -> None:
    run(
        database,
        "create table t (id int primary key, n text) partition by range (id);"
        "create table t_low partition of t for values from (0) to (100);"
        "insert into t values (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd');"
        + ACTS.format(act=REMOVES, on="delete", when="true").replace(" on t ", " on t_low "),
    )
    result = sync(database, tmp_path, KEEP)
    assert counts(result) == {"inserted": 1, "unchanged": 2, "deleted": 1}
    assert rows(database) == [(2, "b"), (3, "c"), (4, "d")]


@pytest.mark.parametrize("options", [{}, {"max_deletes": "all"}, {"within": {"region": "EU"}}])
def test_rows_of_the_table_without_a_key_are_not_gone_and_stay(
    database: Database, tmp_path: Path, options: dict[str, Any]
) -> None:
    run(
        database,
        "create table t (id int generated always as identity, code text unique, n text,"
        " region text default 'EU');"
        "insert into t (code, n) values ('a', '1'), ('b', '2'), ('c', '3'),"
        " (null, '4'), (null, '5')",
    )
    lines = ["code,n,region", "a,1,EU", "b,2!,EU"]
    result = sync(database, tmp_path, lines, key="code", **options)
    assert counts(result) == {"updated": 1, "unchanged": 1, "deleted": 1}
    assert rows(database, "n, code") == [("1", "a"), ("2!", "b"), ("4", None), ("5", None)]
    assert "2 rows of the table have no code and stay" in result.warnings


TREE = """
create table t (id int primary key, boss int references t, n text unique);
insert into t values (1, null, 'a'), (2, 1, 'b'), (3, 2, 'c'), (4, null, 'd');
"""


@pytest.mark.parametrize(
    "lines",
    [
        ["2,,b", "3,4,c", "4,,d"],  # 1 goes, 2 was below it
        ["2,,b", "3,4,c", "4,,e"],
        ["3,5,c", "4,,d", "5,4,f"],  # 1 and 2 go; 3 goes below a row that comes
    ],
)
def test_a_tree_becomes_as_the_input_has_it_where_what_stays_was_below_what_goes(
    database: Database, tmp_path: Path, lines: list[str]
) -> None:
    run(database, TREE)
    result = sync(database, tmp_path, ["id,boss,n", *lines], max_deletes="all")
    expected = [
        (int(number), int(boss) if boss else None, name)
        for number, boss, name in (line.split(",") for line in lines)
    ]
    assert rows(database, "id, boss, n") == expected
    there = {(1, None, "a"), (2, 1, "b"), (3, 2, "c"), (4, None, "d")}
    keys = {row[0] for row in expected}
    assert result.deleted == sum(row[0] not in keys for row in there)
    assert result.unchanged == len(there & set(expected))
    assert result.inserted == len(keys - {1, 2, 3, 4})


def test_values_that_a_leaf_frees_go_to_other_rows_of_the_tree(
    database: Database, tmp_path: Path
) -> None:
    run(database, TREE)
    result = sync(database, tmp_path, ["id,boss,n", "1,,a", "2,1,b", "4,,c"])
    assert counts(result) == {"updated": 1, "unchanged": 2, "deleted": 1}
    assert rows(database, "id, boss, n") == [(1, None, "a"), (2, 1, "b"), (4, None, "c")]


def test_rows_that_stay_below_what_goes_are_told_apart_from_other_tables(
    database: Database, tmp_path: Path
) -> None:
    run(database, TREE)
    with pytest.raises(TargetError, match="by an upsert") as caught:
        sync(database, tmp_path, ["id,boss,n", "2,1,b", "3,2,c", "4,,d"])
    assert "(id)=(1)" in caught.value.message
    assert len(rows(database)) == 4
