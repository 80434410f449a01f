"""Keys of domains, enums, citext, ranges and the like: exact copies are ignored as for any key."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from penstock import load_table
from tests.fixtures.postgres import Database

SETUP = """
create extension citext; create extension hstore;
create domain code as varchar(5) check (value <> 'no');
create domain cents as numeric(6,2);
create type mood as enum ('good', 'bad', 'odd');
"""
#: Type -> a key and another one, each twice; then one that conflicts in another writing, or None.
KEYS = {
    "code": ("a", "b", None),
    "cents": ("1.5", "2", "1.50"),
    "mood": ("good", "bad", None),
    "citext": ("Ann", "Bob", "ANN"),
    "interval": ("1 day", "2 days", "24:00:00"),
    "int4range": ("[1,2]", "[5,6]", "[1,3)"),
    "integer[]": ("{1,2}", "{3}", "{ 1, 2 }"),
    "inet": ("10.0.0.1", "10.0.0.2", "10.0.0.1/32"),
    "bytea": ("\\x00", "\\x01", None),
    "money": ("1.50", "2", "1.5"),
    "hstore": ("a=>1", "b=>1", None),
    "macaddr": ("08:00:2b:01:02:03", "08:00:2b:01:02:04", "08-00-2b-01-02-03"),
}
#: Another writing of the same value: an exact copy where the value alone is what is stored.
_SAME_VALUE = {"cents", "int4range", "integer[]", "inet", "money", "macaddr"}


@pytest.mark.parametrize("type_sql", KEYS)
@pytest.mark.parametrize("begins", ["direct", "staged"])
def test_exact_copies_are_ignored_and_conflicts_are_not(
    database: Database, tmp_path: Path, type_sql: str, begins: str
) -> None:
    one, two, alike = KEYS[type_sql]
    with database.connect() as connection:
        connection.execute(SETUP)
        connection.execute(f"create table t (k {type_sql} primary key, n int, v name)".encode())
    rows = [(one, 1), (two, 2), (one, 1), (two, 3), (two, 2)]
    if alike is not None:
        rows.append((alike, 1))
    # A name is staged always: only the server knows what it keeps.
    header = ["k", "n", "v"] if begins == "staged" else ["k", "n"]
    path = tmp_path / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *((*row, "x")[: len(header)] for row in rows)])
    result = load_table(database.engine(), path, "t", max_rejects="all")
    same = alike is not None and type_sql in _SAME_VALUE
    conflicts = 1 if alike is None or same else 2
    assert result.balanced
    assert (result.inserted, result.ignored, result.quarantined) == (2, 2 + same, conflicts)
    assert {reason.code for reason in result.reasons} == {"23505"}


@pytest.mark.parametrize("type_sql", KEYS)
def test_upsert_finds_rows_by_such_keys_and_leaves_equal_ones(
    database: Database, tmp_path: Path, type_sql: str
) -> None:
    one, two, _ = KEYS[type_sql]
    with database.connect() as connection:
        connection.execute(SETUP)
        connection.execute(f"create table t (k {type_sql} primary key, n int)".encode())
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    for path, number in ((first, 1), (second, 2)):
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["k", "n"], [one, 1], [two, number]])
    load_table(database.engine(), first, "t")
    result = load_table(database.engine(), second, "t", mode="upsert")
    assert (result.inserted, result.updated, result.unchanged) == (0, 1, 1)


def test_a_domains_check_is_found_by_set_and_does_not_stop_the_copies(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute(SETUP)
        connection.execute("create table t (k code primary key, n int)")
    path = tmp_path / "t.csv"
    path.write_text("k,n\na,1\nno,2\na,1\nno,2\nabcdef,3\n", encoding="utf-8")
    result = load_table(database.engine(), path, "t", max_rejects="all")
    assert (result.inserted, result.ignored, result.quarantined) == (1, 1, 3)
    assert {(reason.column, reason.code) for reason in result.reasons} == {
        ("k", "23514"),
        ("k", "22001"),
    }


def test_tables_with_such_types_are_loaded_directly(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute(SETUP)
        connection.execute(
            "create table t (n int primary key, a code, b mood, c int[], d daterange, e interval, "
            "f bytea, g inet, h money, i citext, j hstore, k json, l cents[])"
        )
    path = tmp_path / "t.csv"
    path.write_text(
        'n,a,b,c,d,e,f,g,h,i,j,k,l\n1,a,odd,"{1,2}","[2024-01-01,)",1 day,\\x00,::1,1.5,A,a=>1,'
        '"{""a"": 1, ""a"": 2}",{1.5}\n',
        encoding="utf-8",
    )
    result = load_table(database.engine(), path, "t")
    assert result.strategy.startswith("direct; CSV COPY")
    with database.connect() as connection:
        found = connection.execute("select * from (select t::text as row from t) r").fetchone()
    assert found == (
        '(1,a,odd,"{1,2}","[2024-01-01,)","1 day","\\\\x00",::1,$1.50,A,"""a""=>""1""",'
        '"{""a"": 1, ""a"": 2}",{1.50})',
    )
