"""Rows that refer to rows of their own table, before or after them in the file, or in a ring.

Expected: what is there after the good rows were inserted in one statement, which PostgreSQL judges
as a whole. Not for: other parents (`test_targets`, `test_placeholders`).
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from penstock import LoadResult, UsageError, load_table
from tests.fixtures.postgres import Database

MODES = ["append", "truncate", "insert_new", "upsert", "sync"]
CHECK = """
create table staff (id int primary key, boss int references staff,
    name text constraint no_x check (name <> 'x' or length(name) > 1),
    inferred boolean not null default false);
"""
TRIGGER = """
create table staff (id int primary key, boss int references staff, name text,
    inferred boolean not null default false);
create function judge() returns trigger language plpgsql as $$ begin
    if new.name = 'x' then raise 'no x' using errcode = '23514'; end if; return new; end $$;
create trigger judge before insert or update on staff for each row execute function judge();
"""


def load(database: Database, folder: Path, rows: list[str], **options: object) -> LoadResult:
    path = folder / "staff.csv"
    path.write_text("id,boss,name\n" + "\n".join(rows) + "\n", encoding="utf-8")
    result = load_table(database.engine(), path, "staff", max_rejects="all", **options)
    assert result.balanced
    return result


def staff(database: Database, columns: str = "id, boss") -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(f"select {columns} from staff order by id".encode()).fetchall()


def run(database: Database, statements: str) -> None:
    with database.connect() as connection:
        connection.execute(statements.encode())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("schema", [CHECK, TRIGGER], ids=["check", "trigger"])
def test_children_may_come_before_their_parents_where_the_server_refuses_others(
    database: Database, tmp_path: Path, schema: str, mode: str
) -> None:
    run(database, schema)
    rows = [
        "1,2,a",
        "2,3,b",
        "3,,c",
        "4,,x",
        "5,4,d",
        "6,5,e",
        "7,8,f",
        "8,7,g",
        "9,9,h",
        "10,99,i",
    ]
    result = load(database, tmp_path, rows, mode=mode)
    expected = [(1, 2), (2, 3), (3, None), (7, 8), (8, 7), (9, 9)]
    assert staff(database) == expected
    codes = {(reason.code, reason.rows) for reason in result.reasons}
    assert codes == {("23514", 1), ("23503", 3)}
    with database.connect() as connection:
        reasons = connection.execute(
            "select line, reasons[1] from penstock.rejects where codes[1] = '23503' order by 1"
        ).fetchall()
    assert reasons == [
        (6, "4 is not in staff"),
        (7, "5 is not in staff"),
        (11, "99 is not in staff"),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_of_a_shuffled_tree_just_the_bad_rows_and_those_below_are_refused(
    database: Database, tmp_path: Path, seed: int
) -> None:
    run(database, CHECK)
    chance = random.Random(seed)
    boss = {n: chance.randrange(1, n) if n > 1 else None for n in range(1, 3001)}
    bad = set(chance.sample(range(1500, 3001), 20))
    lost: set[int] = set()
    for n in boss:  # a boss has a smaller number: decided before
        if n in bad or boss[n] in lost:
            lost.add(n)
    order = list(boss)
    chance.shuffle(order)
    rows = [f"{n},{boss[n] or ''},{'x' if n in bad else 'ok'}" for n in order]
    result = load(database, tmp_path, rows)
    assert [row[0] for row in staff(database, "id")] == sorted(set(boss) - lost)
    assert {r.code: r.rows for r in result.reasons} == {
        code: number
        for code, number in {"23514": len(bad), "23503": len(lost - bad)}.items()
        if number
    }


@pytest.mark.parametrize("mode", MODES[:-1])
@pytest.mark.parametrize("schema", [CHECK, TRIGGER], ids=["check", "trigger"])
def test_missing_bosses_are_made_and_marked_but_not_those_that_come(
    database: Database, tmp_path: Path, schema: str, mode: str
) -> None:
    run(database, schema)
    rows = ["1,2,a", "2,,b", "3,70,c", "4,70,d", "5,5,e", "6,,x", "7,6,f"]
    how = {"mode": mode, "orphans": {"boss": "placeholder"}}
    result = load(database, tmp_path, rows, **how)
    assert result.inferred == 2
    assert (result.quarantined, {reason.code for reason in result.reasons}) == (1, {"23514"})
    for turn in range(2):
        if turn and mode != "append":
            load(database, tmp_path, rows, **how)
        assert staff(database, "id, boss, inferred") == [
            (1, 2, False), (2, None, False), (3, 70, False), (4, 70, False), (5, 5, False),
            (6, None, True), (7, 6, False), (70, None, True),
        ]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_bosses_that_are_refused_are_nulled_where_that_is_said(
    database: Database, tmp_path: Path, mode: str
) -> None:
    run(database, CHECK)
    rows = ["1,2,a", "2,,b", "3,70,c", "6,,x", "7,6,f"]
    result = load(database, tmp_path, rows, mode=mode, orphans={"boss": "null"})
    assert staff(database) == [(1, 2), (2, None), (3, None), (7, None)]
    assert result.changes["orphans_nulled"] == 2
    assert {(reason.code, reason.rows) for reason in result.reasons} == {("23514", 1)}


def test_placeholders_of_the_table_itself_are_no_policy_for_sync(
    database: Database, tmp_path: Path
) -> None:
    run(database, CHECK)
    with pytest.raises(UsageError, match="sync would remove"):
        load(database, tmp_path, ["1,2,a"], mode="sync", orphans={"boss": "placeholder"})


def test_a_placeholder_of_the_table_itself_needs_a_mark(database: Database, tmp_path: Path) -> None:
    run(database, "create table staff (id int primary key, boss int references staff, name text)")
    with pytest.raises(UsageError, match="has no column that marks"):
        load(database, tmp_path, ["1,2,a"], orphans={"boss": "placeholder"})
