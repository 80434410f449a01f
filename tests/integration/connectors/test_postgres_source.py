"""PostgreSQL as a source: values survive the trip exactly, and nothing is written."""

from __future__ import annotations

import datetime as dt
import socket
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from penstock.connectors.postgres import Postgres
from penstock.connectors.sql import Sql
from penstock.errors import ConnectorError, SourceError, UsageError
from penstock.loading.inputs.traced import Traced
from penstock.loading.load import load_table
from tests.fixtures.postgres import Database

#: Each with its column's type in a frame.
VALUES: list[tuple[str, list[str | None], Any]] = [
    ("int8", ["9223372036854775807", "-9223372036854775808", None], pl.Int64),
    ("int2", ["-32768", None], pl.Int64),
    ("numeric(10,2)", ["12345678.90", "-0.01", None], pl.Decimal(10, 2)),
    ("numeric", ["1.5", "2.125", "-100", None], pl.Decimal(38, 3)),
    ("numeric", ["12345678901234567890123456789012345678901.5", "1", None], pl.String),
    ("numeric", ["NaN", "1.50"], pl.String),
    ("float8", ["0.1", "NaN", "Infinity", "-Infinity", "1e-300", None], pl.Float64),
    ("float4", ["1.1", "3.4028235e+38", None], pl.Float32),
    ("bool", ["true", "false", None], pl.Boolean),
    ("text", ["", "\\N", "a\\nb", "tab\tline\nreturn\r", "\ufeffmark", '"', "#", None], pl.String),
    ("char(4)", ["ab  ", None], pl.String),
    ("bytea", ["\\x", "\\x00ff5c", None], pl.Binary),
    ("date", ["2024-02-29", "0001-01-01", None], pl.Date),
    ("date", ["infinity", "0044-03-15 BC", "2024-02-29", None], pl.String),
    ("time", ["23:59:59.999999", "00:00:00", None], pl.Time),
    ("time", ["24:00:00", "10:00:00"], pl.String),
    ("timestamp", ["2024-02-29 10:00:00.000001", "1900-01-01 00:00:00"], pl.Datetime("us")),
    ("timestamp", ["-infinity", "2024-02-29 10:00:00.5"], pl.String),
    (
        "timestamptz",
        ["2024-02-29 10:00:00.5+02", "2024-03-31 02:30:00+00"],
        pl.Datetime("us", "UTC"),
    ),
    ("timestamptz", ["infinity", "2024-02-29 10:00:00+02"], pl.String),
    ("timetz", ["10:00:00+02"], pl.String),
    ("interval", ["1 mon -3 days +04:05:06.7", None], pl.String),
    ("uuid", ["0f0e0d0c-0b0a-0908-0706-050403020100"], pl.String),
    ("json", ['{"a":  1.10, "a": "\\u00e4"}'], pl.String),
    ("jsonb", ['{"n": 12345678901234567890.123}', None], pl.String),
    ("int4[]", ["{1,NULL,3}", "{}", None], pl.String),
    ("text[]", ['{"a,b","\\"",NULL,"NULL",""}'], pl.String),
    ("int4range", ["[1,5)", "empty", "(,)"], pl.String),
    ("inet", ["10.0.0.1/8"], pl.String),
]

#: As the type's own output function writes them; a cast of char(4) to text would cut blanks off.
_TEXTS = "select case when x is not null then format('%s', x) end from source"


@pytest.mark.parametrize(("kind", "values", "dtype"), VALUES)
def test_values_survive_the_trip_from_table_to_table(
    database: Database, kind: str, values: list[str | None], dtype: Any
) -> None:
    with database.connect() as connection:
        for more in ("", ", n int, note text"):  # alone, an empty text is an empty line of COPY
            connection.execute("drop table if exists source, target")
            connection.execute(f"create table source (x {kind}{more})")
            connection.execute("create table target (like source)")
            for value in values:
                connection.execute("insert into source (x) values (%s)", [value])
            found = Postgres({"url": database.url}).extract("select * from source", first=0).frame
            assert found.schema["x"] == dtype
            assert found.height == len(values)
            if dtype is pl.String:
                texts = connection.execute(_TEXTS).fetchall()
                assert [(one,) for one in found["x"]] == texts
                continue
            traced = Traced(frame=found, names={0: "source"})
            load_table(database.url, traced, "target", ledger=False)
            form = "x" if kind == "numeric" else "x::text"  # 1.5 and 1.500 are one number
            for side in ("source", "target"), ("target", "source"):
                query = f"select {form} from {{}} except all select {form} from {{}}"
                assert connection.execute(query.format(*side)).fetchall() == []


def test_settings_of_the_role_do_not_change_what_is_read(database: Database) -> None:
    settings = {"DateStyle": "German", "TimeZone": "Asia/Tokyo", "bytea_output": "escape"}
    role = database.role("odd", **settings, extra_float_digits="-15", IntervalStyle="iso_8601")
    query = (
        "select date '2024-02-29' d, timestamptz '2024-02-29 10:00+00' t, 0.1::float8 + 0.2 f, "
        "'\\x00ff'::bytea b, interval '1 month' i"
    )
    found = Postgres({"url": role.url}).extract(query, first=0).frame
    assert found.row(0) == (
        dt.date(2024, 2, 29),
        dt.datetime(2024, 2, 29, 10, tzinfo=dt.UTC),
        0.1 + 0.2,
        b"\x00\xff",
        "1 mon",
        1,
    )


def test_pieces_of_different_scale_become_one_column(database: Database) -> None:
    query = (
        "select g, case when g = 400000 then 0.125 else g end as x, repeat('x', 60) as filler "
        "from generate_series(1, 400000) g"
    )
    found = Postgres({"url": database.url}).extract(query, first=3).frame
    assert found.schema["x"] == pl.Decimal(38, 3)
    assert found["x"][0] == 1
    assert found["x"][-1] == Decimal("0.125")
    assert found["g"].sum() == 400000 * 400001 // 2
    assert found["_row"][-1] == (3 << 40) + 400000


def test_a_value_without_a_form_in_a_late_piece_makes_the_whole_column_text(
    database: Database,
) -> None:
    query = (
        "select case when g = 300000 then 'infinity' else date '2024-01-01' end as d, "
        "repeat('x', 60) as filler from generate_series(1, 300000) g"
    )
    found = Postgres({"url": database.url}).extract(query, first=0).frame
    assert found["d"].value_counts().sort("count").rows() == [
        ("infinity", 1),
        ("2024-01-01", 299999),
    ]


def test_a_query_without_rows_has_its_types(database: Database) -> None:
    found = Postgres({"url": database.url}).extract(
        "select 1 a, 'x' b, now() c where false;", first=0
    )
    assert found.frame.schema == {
        "a": pl.Int64, "b": pl.String, "c": pl.Datetime("us", "UTC"), "_row": pl.Int64,
    }  # fmt: skip


def test_values_are_bound_with_their_types(database: Database) -> None:
    moment = dt.datetime(2024, 2, 29, 10, tzinfo=dt.UTC)
    query = (
        "select cast(:a as int) as a, :b as b, :c as c, :d as d, '%' as e, '10:30' as f "
        "where :c <= timestamptz '2024-03-01' and 'x%' like '%'"
    )
    given = {"a": 1, "b": "it's \\ %s", "c": moment, "d": Decimal("1.10")}
    found = Postgres({"url": database.url}).extract(query, first=0, params=given).frame
    assert found.row(0) == (1, "it's \\ %s", moment, Decimal("1.10"), "%", "10:30", 1)


@pytest.mark.parametrize(
    ("query", "options", "words"),
    [
        ("select :x", {}, r"needs a value for :x: params=\{'x': ...\}"),
        ("select 1", {"params": {"x": 1}}, "the query has no :x"),
        ("select :x::int", {"params": {"x": 1}}, r"no :x; before :: write cast\(:x as type\)"),
        ("select 1", {"since": 1}, "the query has no :since"),
        ("select :since", {"since": 1, "params": {"since": 2}}, "given twice"),
    ],
)
def test_values_and_names_must_belong_together(
    database: Database, query: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        Postgres({"url": database.url}).extract(query, first=0, **options)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select 1 a, 2 a", '2 columns named "a": name each its own way with AS'),
        ("select 1 _row", 'named "_row"'),
        ("create table t ()", "must be a select"),
    ],
)
def test_columns_must_have_names_of_their_own(database: Database, query: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        Postgres({"url": database.url}).extract(query, first=0)


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("select * form t", "42601", 'syntax error at or near "form"'),
        ("select * from nothing", "42P01", 'relation "nothing" does not exist'),
        ("select 1/0 as x", "22012", "division by zero"),
        ("select 1; select 2", "42601", "multiple commands"),
        ("insert into t values (1) returning a", "25006", "read-only transaction"),
        ("select 1) to program 'true' --", "42601", "syntax error"),
    ],
)
@pytest.mark.parametrize("make", [Postgres, Sql])
def test_what_the_server_refuses_is_told_in_its_words(
    database: Database, make: Callable[..., Any], query: str, code: str, words: str
) -> None:
    with database.connect() as connection:
        connection.execute("create table t (a int)")
    with pytest.raises(ConnectorError, match=words) as said:
        make({"url": database.url}, name="erp").extract(query, first=0)
    assert said.value.code == code
    assert said.value.message.startswith("erp: ")


def test_sql_reads_postgresql_by_the_same_way(database: Database) -> None:
    url = database.url.replace("postgresql://", "postgresql+psycopg://", 1)
    source = Sql({"url": url}, name="erp")
    found = source.extract("select 1.50::numeric(4,2) as a where 1 < :since", first=0, since=2)
    assert found.frame.schema["a"] == pl.Decimal(4, 2)
    checks = list(source.check())
    assert all(one.ok for one in checks)
    assert checks[0].says.startswith("PostgreSQL ")


def test_a_wrong_password_is_told_without_it(database: Database) -> None:
    role = database.role("reader")
    wrong = role.url.replace(role.url.split(":")[2].split("@")[0], "hunter22")
    (failed,) = Sql({"url": wrong}, name="erp").check()
    assert not failed.ok
    assert "password authentication failed" in failed.says
    assert "hunter22" not in failed.says


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_wrong_port_is_told_with_host_and_port(host: str) -> None:
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        settings = {"host": host, "port": port, "database": "x", "user": "x"}
        with pytest.raises(ConnectorError, match=rf"127\.0\.0\.1:{port} refused the connection"):
            Postgres(settings).connect()
