"""MariaDB as a source: exact types, what PostgreSQL has no form for, TLS, and what goes wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from penstock import Etl, Job
from penstock.connectors.sql import Sql
from penstock.errors import ConnectorError, SourceError
from penstock.project.environment import choose
from tests.fixtures.mariadb import PASSWORD, MariaDb
from tests.fixtures.postgres import Database

pytestmark = pytest.mark.system

TABLE = """
create or replace table everything (
    id bigint unsigned, n int, flag tinyint(1), bits bit(10), amount decimal(20,4),
    wide decimal(65,2), at_ datetime(6), moment timestamp(6) null, day date, span time(3),
    word varchar(20), doc json, raw blob, half double, born year, kind enum('a','b'))
"""
ROWS = """
insert into everything values
(18446744073709551615, -5, 1, b'1000000001', 1.2345,
 123456789012345678901234567890123456789012345678901234567890123.45, '2024-02-29 10:00:00.123456',
 '2024-02-29 10:00:00.123456', '2024-02-29', '-838:59:59.5', 'ä😀', '{"a": 1.10}', x'00ff', 0.1,
 2024, 'b'),
(1, null, 0, null, null, null, null, null, null, null, '', null, '', null, null, null)
"""


def source(mariadb: MariaDb, **more: Any) -> Sql:
    return Sql(mariadb.settings(**more), name="erp")


def read(mariadb: MariaDb, query: str, **options: Any) -> pl.DataFrame:
    return source(mariadb).extract(query, first=0, **options).frame.drop("_row")


def test_every_type_arrives_exactly(mariadb: MariaDb) -> None:
    mariadb.run(TABLE, ROWS)
    found = read(mariadb, "select * from everything order by id desc")
    moment = dt.datetime(2024, 2, 29, 10, 0, 0, 123456)  # noqa: DTZ001  without a zone, as is meant
    wide = "123456789012345678901234567890123456789012345678901234567890123.45"
    assert found.rows() == [
        (
            Decimal(2**64 - 1), -5, 1, 0b1000000001, Decimal("1.2345"), wide, moment,
            moment.replace(tzinfo=dt.UTC), dt.date(2024, 2, 29), "-838:59:59.500000", "ä😀",
            '{"a": 1.10}', b"\x00\xff", 0.1, 2024, "b",
        ),
        (1, None, 0, None, None, None, None, None, None, None, "", None, b"", None, None, None),
    ]  # fmt: skip
    assert found.schema["n"] == pl.Int64
    assert found.schema["at_"] == pl.Datetime("us")
    assert found.schema["moment"] == pl.Datetime("us", "UTC")


def test_a_query_without_rows_has_the_types_that_the_server_describes(mariadb: MariaDb) -> None:
    mariadb.run(TABLE)
    query = "select n, amount, at_, moment, day, half, word, raw from everything"
    found = read(mariadb, query, types={"raw": pl.Binary})
    assert list(found.schema.values()) == [
        pl.Int64, pl.Decimal(38, 4), pl.Datetime("us"), pl.Datetime("us", "UTC"), pl.Date,
        pl.Float64, pl.String, pl.Binary,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("day", "0000-00-00"),
        ("day", "2024-00-10"),
        ("at_", "0000-00-00 00:00:00.000000"),
        ("moment", "0000-00-00 00:00:00.000000"),
    ],
)
def test_a_date_that_is_none_is_an_error_that_says_what_to_write(
    mariadb: MariaDb, column: str, value: str
) -> None:
    mariadb.run(TABLE, f"insert into everything (id, {column}) values (1, '{value}')")
    with pytest.raises(SourceError) as said:
        read(mariadb, f"select {column} from everything")
    assert f"in row 1: '{value}'" in said.value.message
    assert f"nullif({column}, '{value}')" in said.value.message
    assert read(mariadb, f"select nullif({column}, '{value}') as x from everything")[
        "x"
    ].to_list() == [None]
    assert read(mariadb, f"select cast({column} as char) as x from everything")["x"].to_list() == [
        value
    ]


def test_values_are_bound_and_never_become_part_of_the_query(mariadb: MariaDb) -> None:
    evil = "x' or '1'='1"
    mariadb.run(TABLE, "insert into everything (id, word) values (1, 'x'), (2, 'y')")
    query = "select id from everything where word = :word and '%' = '%'"
    assert read(mariadb, query, params={"word": evil}).is_empty()
    assert read(mariadb, query, params={"word": "x"})["id"].to_list() == [1]


def test_rows_of_many_batches_are_all_there_in_their_order(mariadb: MariaDb) -> None:
    found = read(mariadb, "select seq, if(seq = 45000, null, seq / 10) as d from seq_1_to_50000")
    assert found["seq"].to_list() == list(range(1, 50001))
    assert found["d"].sum() == sum(map(Decimal, range(1, 50001))) / 10 - 4500


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("select fro everything", "1054", "Unknown column 'fro'"),
        ("select * from nothing", "1146", "'shop.nothing' doesn't exist"),
        ("select * from mysql.user", "1142", "SELECT command denied"),
        ("select * form everything", "1064", "error in your SQL syntax"),
        ("delete from everything", "1142", "DELETE command denied"),
        (
            "set statement max_statement_time = 0.1 for select sleep(1), count(*) "
            "from seq_1_to_100000000",
            "1969",
            "max_statement_time",
        ),
    ],
)
def test_what_the_server_refuses_is_told_in_its_words(
    mariadb: MariaDb, query: str, code: str, words: str
) -> None:
    mariadb.run(TABLE)
    with pytest.raises(ConnectorError, match=words) as said:
        read(mariadb, query)
    assert said.value.code == code
    assert PASSWORD not in said.value.message


def test_a_source_is_never_written_to(mariadb: MariaDb) -> None:
    mariadb.run(TABLE, "grant all on shop.* to reader")
    with pytest.raises(ConnectorError, match="READ ONLY") as said:
        read(mariadb, "insert into everything (id) values (1) returning id")
    assert said.value.advice.startswith("A source is read in a READ ONLY transaction")
    mariadb.run("revoke all on shop.* from reader", "grant select on shop.* to reader")


def test_check_says_the_server_and_whether_tls_is_verified(mariadb: MariaDb) -> None:
    mariadb.run(TABLE)
    plain, tables = source(mariadb, tls="none").check()
    assert plain.ok
    assert plain.says.startswith("MariaDB 1")
    assert plain.says.endswith("no TLS")
    assert (tables.ok, tables.says) == (True, "1 table or view")
    trusted, _ = source(mariadb, ca_file=str(mariadb.ca_file)).check()
    assert trusted.ok
    assert "TLSv1" in trusted.says
    unasked, _ = source(mariadb).check()
    assert "TLSv1" in unasked.says, "this machine is not verified, and asked for TLS all the same"
    (untrusted,) = source(mariadb, tls="verify").check()
    assert not untrusted.ok
    assert "certificate" in untrusted.says
    assert "ca_file" in untrusted.advice


@pytest.mark.parametrize(
    ("wrong", "words", "advice"),
    [
        ({"password": "not-it"}, "Access denied for user 'reader'", "Check user and password."),
        ({"database": "nope"}, "Access denied for user 'reader'", "Check the user's rights"),
        ({"port": 1}, "Can't connect", "Check host, port and firewall."),
    ],
)
def test_check_fails_for_the_reason_that_it_names(
    mariadb: MariaDb, wrong: dict[str, Any], words: str, advice: str
) -> None:
    (failed,) = source(mariadb, **wrong).check()
    assert not failed.ok
    assert words in failed.says
    assert advice in failed.advice
    assert "not-it" not in failed.says


@pytest.fixture
def flow(mariadb: MariaDb, database: Database, tmp_path: Path) -> Callable[[], Etl]:
    def make() -> Etl:
        env = {
            "project": "shop",
            "erp": mariadb.settings(),
            "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
        }
        return Etl(env=choose(env, "dev", tmp_path), say=lambda line: None)

    return make


def test_a_job_reads_what_is_new_and_loads_it(
    mariadb: MariaDb, database: Database, flow: Callable[[], Etl]
) -> None:
    table = "id int primary key, amount decimal(10,2), changed timestamp(6)"
    mariadb.run(f"create or replace table orders ({table})")
    with database.connect() as connection:
        connection.execute("create table orders (id int primary key, amount numeric(10,2))")
    reads: list[int] = []

    def orders(job: Job) -> None:
        rows = job.connect("erp").read(
            "select * from orders where changed > :since order by changed",
            since=job.cursor("orders", column="changed", initial="1970-01-02"),
        )
        reads.append(rows.height)
        job.connect("warehouse").load(rows.drop("changed"), "orders", mode="upsert")

    def run() -> None:
        etl = flow()
        etl.start()
        etl.run(orders)
        assert etl.end() == 0

    mariadb.run("insert into orders values (1, 1.10, '2024-01-01 10:00:00.000001')")
    run()
    run()
    mariadb.run(
        "insert into orders values (2, 2.20, '2024-01-01 10:00:00.000002')",
        "update orders set amount = 3.30, changed = '2024-01-02' where id = 1",
    )
    run()
    assert reads == [1, 0, 2]
    with database.connect() as connection:
        assert connection.execute("select * from orders order by id").fetchall() == [
            (1, Decimal("3.30")), (2, Decimal("2.20")),
        ]  # fmt: skip
