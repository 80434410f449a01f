"""Databases that are not in UTF8: what their encoding lacks is a reject, the rest is loaded.

What a database can hold is asked of PostgreSQL itself.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from penstock import load_table
from penstock.ledger import quarantine
from penstock.ledger.quarantine import Selection
from penstock.loading.export import export_rejects
from penstock.postgres.encodings import encoding_of, missing, named_encoding
from tests.fixtures.postgres import Database
from tests.fixtures.server import Server
from tests.integration.cli.program import penstock

#: Those for which Python has the same characters.
CHECKED = [
    *[f"LATIN{n}" for n in range(1, 11)],
    *[f"ISO_8859_{n}" for n in range(5, 9)],
    *[f"WIN{n}" for n in range(1250, 1259)],
    *["WIN866", "WIN874", "KOI8R", "KOI8U", "EUC_CN"],
]


@pytest.fixture
def latin1(postgres_server: Server) -> Iterator[Database]:
    made = Database(postgres_server, "LATIN1")
    yield made
    made.drop()


@pytest.fixture
def ascii_only(postgres_server: Server) -> Iterator[Database]:
    made = Database(postgres_server, "SQL_ASCII")
    yield made
    made.drop()


def utf8(database: Database) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(database.url, autocommit=True, client_encoding="UTF8")


def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    with utf8(database) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize("big", [False, True], ids=["direct", "after others"])
@pytest.mark.parametrize("truncate", [False, True])
def test_a_character_that_latin1_lacks_refuses_its_row_only(
    latin1: Database, tmp_path: Path, *, big: bool, truncate: bool
) -> None:
    with latin1.connect() as connection:
        connection.execute("create table t (id int primary key, name varchar(20), note text)")
    lines = ["1,Köln,é", "2,10 €,x", "3,Łódź,日本", "4,plain,", "5,\x85ÿ,¤", "x,€,"]
    extra = [f"{n},ü,n" for n in range(10, 3000)] if big else []
    path = tmp_path / "preis €.csv"
    path.write_text("\n".join(["id,name,note", *extra, *lines]) + "\n", encoding="utf-8")
    mode = "truncate" if truncate else "append"
    result = load_table(latin1.url, path, "t", max_rejects="all", mode=mode)
    assert (result.read, result.inserted, result.quarantined) == (len(extra) + 6, len(extra) + 3, 3)
    assert rows(latin1, "select * from t where id < 10 order by id") == [
        (1, "Köln", "é"),
        (4, "plain", None),
        (5, "\x85ÿ", "¤"),
    ]
    kept = rows(
        latin1,
        "select columns, codes, bad_values, raw_values::text from penstock.rejects order by record",
    )
    assert [(*row[:3], json.loads(str(row[3]))["id"]) for row in kept] == [
        (["name"], ["22P05"], [r"10 \u20ac"], "2"),
        (["name", "note"], ["22P05", "22P05"], [r"\u0141ód\u017a", r"\u65e5\u672c"], "3"),
        (["id", "name"], ["22P02", "22P05"], ["x", r"\u20ac"], "x"),
    ]
    reasons = rows(latin1, "select reasons[1] from penstock.rejects order by record limit 1")
    assert reasons == [
        (
            r"the database's encoding LATIN1 has no " + '"\\u20ac" (U+20AC): replace it in the '
            "input, or load into a database in UTF8",
        )
    ]
    assert result.reasons[0].samples[0][2] == "10 €"
    assert rows(latin1, "select balanced from penstock.balance") == [(True,)]


def test_what_latin1_lacks_comes_back_whole_in_an_export(latin1: Database, tmp_path: Path) -> None:
    with latin1.connect() as connection:
        connection.execute("create table t (id int primary key, name text)")
    path = tmp_path / "t.csv"
    path.write_text('id,name,"€ \\u20ac 😀"\n1,ok,\n2,€😀é,\\€\n', encoding="utf-8")
    load_table(latin1.url, path, ignore_extra=True, max_rejects="all")
    with utf8(latin1) as connection:
        (stored,) = quarantine.find(connection, Selection())
        assert json.loads(stored.raw_values or "") == {
            "id": "2",
            "name": "€😀é",
            "€ \\u20ac 😀": "\\€",
        }
        export_rejects(connection, tmp_path / "out.csv", Selection())
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = list(csv.DictReader(file))
    assert (row["id"], row["name"], row["€ \\u20ac 😀"]) == ("2", "€😀é", "\\€")


def test_jsonb_cannot_hold_an_escaped_character_either(latin1: Database, tmp_path: Path) -> None:
    with latin1.connect() as connection:
        connection.execute("create table t (id int primary key, b jsonb, j json)")
    values = [r'{"a": "\u20ac"}', r'{"a": "\u00e9"}', r'{"a": "\\u20ac"}', r'"\ud83d\ude00"']
    with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "b", "j"])
        writer.writerows([place, value, value] for place, value in enumerate(values))
    result = load_table(latin1.url, tmp_path / "t.csv", max_rejects="all")
    assert rows(latin1, "select id from t order by id") == [(1,), (2,)]
    assert [(one.column, one.code, one.rows) for one in result.reasons] == [("b", "22P05", 2)]


def test_sql_ascii_takes_every_text(ascii_only: Database, tmp_path: Path) -> None:
    with ascii_only.connect() as connection:
        connection.execute("create table t (id int primary key, name text, b jsonb)")
    path = tmp_path / "t.csv"
    path.write_text('id,name,b\n1,10 €,1\n2,日本,"""\\u00e9"""\n3,x,"""é"""\n', encoding="utf-8")
    result = load_table(ascii_only.url, path, max_rejects="all")
    assert [(one.column, one.code, one.rows) for one in result.reasons] == [("b", "22P05", 1)]
    assert rows(ascii_only, "select id, name from t order by id") == [(1, "10 €"), (3, "x")]


def test_the_command_line_shows_what_latin1_lacks(latin1: Database, tmp_path: Path) -> None:
    with latin1.connect() as connection:
        connection.execute("create table t (id int primary key, name text)")
    (tmp_path / "t.csv").write_text("id,name\n1,é\n2,€\n", encoding="utf-8")
    variables = {"PENSTOCK_DSN": latin1.url, "PYTHONIOENCODING": "utf-8"}
    done = penstock(tmp_path, "load", "t.csv", "--max-rejects", "all", **variables)
    assert done.returncode == 3
    assert 'LATIN1 has no "€" (U+20AC)' in " ".join(done.stderr.split())
    listed = penstock(tmp_path, "rejects", "list", "--json", **variables)
    (group,) = json.loads(listed.stdout)["groups"]
    assert (group["code"], group["rows"], group["column"]) == ("22P05", 1, "name")


@pytest.mark.parametrize("name", CHECKED)
def test_an_encoding_has_the_characters_that_postgresql_converts(
    database: Database, name: str
) -> None:
    with database.connect() as connection:
        connection.execute(
            "create function pg_temp.held(encoding text) returns int[] language plpgsql as $$"
            "declare held int[] := '{}'; code int;"
            "begin for code in select c from generate_series(161, 65533, 7) c "
            "where c not between 55296 and 57343 loop "
            "begin perform convert(convert_to(chr(code), 'UTF8'), 'UTF8', encoding); "
            "held := held || code; exception when untranslatable_character then null; end; "
            "end loop; return held; end $$"
        )
        row = connection.execute(sql.SQL("select pg_temp.held({})").format(name)).fetchone()
    assert row is not None
    asked = [code for code in range(161, 65534, 7) if not 0xD800 <= code <= 0xDFFF]
    encoding = named_encoding(name)
    codec = None if encoding is None else encoding.of_texts
    assert codec is not None
    assert [code for code in asked if not missing(chr(code), codec)] == row[0]


def test_utf8_has_every_character(database: Database) -> None:
    with database.connect() as connection:
        assert encoding_of(connection) is None
