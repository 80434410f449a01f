"""SQLite as a source: its types belong to values, not to columns, and nothing is coerced."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from penstock.connectors.registry import connector
from penstock.connectors.sql import Sql
from penstock.errors import ConnectorError, SourceError, UsageError
from penstock.model.secret import Secret


def source(folder: Path, *statements: str) -> Sql:
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return Sql({"url": "sqlite:///shop.db"}, name="shop", root=folder)


def test_values_keep_their_types(tmp_path: Path) -> None:
    shop = source(
        tmp_path,
        "create table t (i integer, n numeric, x text, b blob, r real, empty)",
        "insert into t values (9223372036854775807, 1.5, '', x'00ff', 1, null), "
        "(null, 2.0, 'ä', null, 0.1, null), (-1, null, null, x'', 1e300, null)",
    )
    found = shop.extract("select * from t order by rowid", first=1).frame
    assert found.schema == {
        "i": pl.Int64, "n": pl.Float64, "x": pl.String, "b": pl.Binary, "r": pl.Float64,
        "empty": pl.String, "_row": pl.Int64,
    }  # fmt: skip
    assert found.drop("_row").rows() == [
        (2**63 - 1, 1.5, "", b"\x00\xff", 1.0, None),
        (None, 2.0, "ä", None, 0.1, None),
        (-1, None, None, b"", 1e300, None),
    ]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("1", "'z'", "Column x is a whole number, and a text in row 2: 'z'"),
        ("'z'", "1.5", "Column x is a text, and a floating-point number in row 2: '1.5'"),
        ("'z'", "x'00'", "Column x is a text, and binary in row 2"),
        ("9007199254740993", "0.5", "Column x is a whole number, and a floating-point number"),
        ("0.5", "9007199254740993", "Column x is a floating-point number, and a whole number"),
    ],
)
def test_mixed_values_are_an_error_that_says_how_to_read_them(
    tmp_path: Path, first: str, second: str, words: str
) -> None:
    shop = source(
        tmp_path, "create table t (x)", f"insert into t values ({first})",
        f"insert into t values ({second})",
    )  # fmt: skip
    with pytest.raises(SourceError, match=words):
        shop.extract("select x from t order by rowid", first=0)
    found = shop.extract("select cast(x as text) as x from t", first=0).frame
    assert found.schema["x"] == pl.String


def test_a_query_without_rows_takes_the_types_that_are_said(tmp_path: Path) -> None:
    shop = source(tmp_path, "create table t (amount, note)")
    found = shop.extract("select * from t", first=0, types={"amount": pl.Float64}).frame
    assert found.schema == {"amount": pl.Float64, "note": pl.String, "_row": pl.Int64}


def test_values_are_bound(tmp_path: Path) -> None:
    shop = source(tmp_path, "create table t (x text)", "insert into t values ('it''s'), ('b')")
    query = "select x from t where x = :x and rowid > :since"
    found = shop.extract(query, first=0, since=0, params={"x": "it's"}).frame
    assert found["x"].to_list() == ["it's"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select fro t", "no such column: fro"),
        ("select * from nowhere", "no such table: nowhere"),
        ("insert into t values (1) returning x", "readonly database"),
        ("delete from t", "readonly database"),
    ],
)
def test_what_it_refuses_is_told_in_its_words(tmp_path: Path, query: str, words: str) -> None:
    shop = source(tmp_path, "create table t (x)")
    with pytest.raises(ConnectorError, match=f"^shop: .*{words}"):
        shop.extract(query, first=0)


def test_names_must_be_their_own(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match='2 columns named "a"'):
        source(tmp_path).extract("select 1 a, 2 a", first=0)
    with pytest.raises(SourceError, match="must be a select"):
        source(tmp_path).extract("pragma query_only = on", first=0)


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    shop = Sql({"dialect": "sqlite", "database": "nope.db"}, name="shop", root=tmp_path)
    (failed,) = shop.check()
    assert not failed.ok
    assert "there is no file" in failed.says
    assert list(tmp_path.iterdir()) == []


def test_check_counts_tables(tmp_path: Path) -> None:
    (login, tables) = source(tmp_path).check()
    assert (login.ok, tables.ok) == (True, False), "there is no table yet"
    (login, tables) = source(tmp_path, "create table a (x)", "create view b as select 1").check()
    assert login.says.startswith("sqlite 3")
    assert tables.says == "2 tables and views"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "name the database by url, or by database and where it is"),
        ({"url": "nonsense"}, "the url cannot be read"),
        ({"url": "mysql+mysqldb://u:geheim@h/d"}, "mysql is read by the driver pymysql"),
        ({"database": "x", "tls": "maybe"}, "tls must be verify or none"),
    ],
)
def test_wrong_settings_are_told_before_anything_starts(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as said:
        Sql(settings)
    assert "geheim" not in said.value.message


@pytest.mark.parametrize(("scheme", "package"), [("mssql", "pyodbc"), ("oracle", "oracledb")])
def test_a_missing_driver_is_named(scheme: str, package: str) -> None:
    made = connector("erp", {"url": Secret(f"{scheme}://reader:geheim@localhost/shop")})
    (failed,) = made.check()
    assert failed.says == (
        f"erp: {scheme}+{package} needs the package {package}, which is not installed"
    )
    assert failed.advice == f"Install it: pip install {package}"
    assert made.where() == f"{scheme}://reader@localhost/shop"
