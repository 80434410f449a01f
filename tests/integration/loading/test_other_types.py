"""Types without a grammar of their own: the server's input function judges, and nothing is cut."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
import pytest
from psycopg import sql

from penstock import load_table
from penstock.errors import PenstockError, TargetError
from penstock.loading.types.registry import refuse_unjudged
from penstock.postgres.catalog import read_table
from tests.fixtures.postgres import Database

TABLE = """
create domain price as numeric(6,2) check (value >= 0);
create domain code as varchar(3);
create type mood as enum ('good', 'bad');
create table things (
    id int primary key, at time(0), many numeric(5,2)[], cost price, short code, how mood,
    address inet, tag name, cash money);
"""
GOOD = ["1", "12:00:01", '"{1.50,2}"', "10.50", "abc", "good", "10.0.0.1", "x", "1.25"]


def load(database: Database, tmp_path: Path, changes: dict[int, str]) -> dict[str, str]:
    with database.connect() as connection:
        connection.execute(TABLE)
    lines = ["id,at,many,cost,short,how,address,tag,cash", ",".join(GOOD)]
    for number, (place, text) in enumerate(changes.items(), start=2):
        fields = [str(number), *GOOD[1:]]
        fields[place] = text
        lines.append(",".join(fields))
    path = tmp_path / "things.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = load_table(database.engine(), path, "things", max_rejects="all")
    found = {reason.column: reason.code for reason in result.reasons}
    assert result.balanced
    assert result.inserted == 1, found
    return found


def test_what_the_server_would_round_or_cut_is_refused(database: Database, tmp_path: Path) -> None:
    changes = {
        1: "12:00:00.6",
        2: '"{1.555}"',
        3: "1.234",
        4: "abcd",
        7: "n" * 64,
        8: "1.005",
    }
    assert load(database, tmp_path, changes) == {
        "at": "scale",
        "many": "scale",
        "cost": "scale",
        "short": "22001",
        "tag": "altered",
        "cash": "scale",
    }


def test_what_the_server_does_not_take_is_refused_by_its_column(
    database: Database, tmp_path: Path
) -> None:
    changes = {1: "25:99", 2: "{x}", 5: "great", 6: "10.0.0.400"}
    assert load(database, tmp_path, changes) == {
        "at": "22008",
        "many": "22P02",
        "how": "22P02",
        "address": "22P02",
    }


def test_a_domains_check_is_isolated(database: Database, tmp_path: Path) -> None:
    assert load(database, tmp_path, {3: "-1"}) == {"cost": "23514"}


CUT_TABLE = """
create extension hstore;
create domain three as bit(3);
create domain clock as time(0);
"""
#: Type -> texts that it keeps as they are, and texts that it must not take changed.
CUT = {
    "bit(3)": (["101"], ["10111", "10"]),
    "three": (["101"], ["10111", "1"]),
    "bit(3)[]": (["{101,NULL}", "{}"], ["{10111}", "{101,10}"]),
    "bit varying(3)": (["101", "1", ""], ["1011"]),
    "character(3)[]": (["{abc,a}"], ["{abcd}", "{abc,abcd}", '{"abc "}', '{a,"b   "}']),
    "character varying(3)[]": (["{abc,a}"], ["{abcd}", '{"abc "}']),
    "hstore": (['a=>1, "b c"=>NULL'], ["a=>1,a=>2", 'a=>1,"a"=>1', "a=>1,b=>2,a=>1"]),
    "tsvector": (["b a:2,1", "'it''s':3A"], ["a a", "a:1 a:2", "a:1,1", "a:20000"]),
    "macaddr8": (["08:00:2b:01:02:03:04:05"], ["08:00:2b:01:02:03"]),
    "numeric(5,2)[]": (["{1.5,2.500}"], ["{1.555}"]),
    '"char"': (["a", "Z", ""], ["abc", "é", " a"]),
    "name": (["n" * 63], ["n" * 64]),
    "money": (
        ["1234.56", "-1.5", "+2", ".5", "3.", "1.500"],
        ["$1.50", "1,50", "1,234.56", "(1.50)", "-$2", "1.005"],
    ),
    "clock": (["12:00:01", "8:26"], ["12:00:01.5", "24:00"]),
    "interval": (
        [
            "1 day 02:03:04.123456", "25:10:00", "1.5 years", "0.25 years", "1.234 ms", "5 us",
            "P1DT2.5S", "0.123456 hours", "00:00:01.1000000", "1 mon -1.5 days -2 hours",
            "1.5 mils", "0.5 dec", "-00:00:01.7 -1 day",
        ],
        [
            "00:00:01.1234567", "0.0000001 s", "1.2345 ms", "1.2345 milliseconds", "1.5 us",
            "0.1 years", "P0.1Y", "P0001.1-01-01", "0.123 centuries", "PT1e-7S",
            "PT1234567890123.123456S", "1 day 0.1 year",
        ],
    ),
    "interval second(2)": (["1.25", "1 day 00:00:01.5"], ["1.255", "00:00:01.001"]),
    "interval day": (["3 days"], ["3 days 04:00"]),
}  # fmt: skip


@pytest.mark.parametrize("type_sql", CUT)
def test_no_value_is_cut_or_rounded(database: Database, tmp_path: Path, type_sql: str) -> None:
    kept, refused = CUT[type_sql]
    with database.connect() as connection:
        connection.execute(CUT_TABLE)
        connection.execute(sql.SQL("create table t (n int, v {})").format(sql.SQL(type_sql)))
    path = tmp_path / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(
            [["n", "v"], *enumerate([*kept, *refused])]
        )
    result = load_table(database.engine(), path, "t", max_rejects="all")
    query = sql.SQL("select v = (%s::{})::text::{} from t where n = %s").format(
        sql.SQL(type_sql), sql.SQL(type_sql)
    )
    with database.connect() as connection:
        found = [row[0] for row in connection.execute("select n from t order by n").fetchall()]
        same = [connection.execute(query, [text, n]).fetchone() for n, text in enumerate(kept)]
    assert found == list(range(len(kept)))
    assert result.balanced
    assert same == [(True,)] * len(kept)


UNJUDGED = """
create domain cents as numeric(6,2);
create domain whole as int;
create domain day as date;
create domain days as date[];
create type pair as (a int, b int);
create type refers as (a int, b oid);
create type cents_range as range (subtype = cents);
create type day_range as range (subtype = date);
"""
NOT_TAKEN = {
    "pair[]": "pair",
    "refers": "oid",
    "refers[]": "refers",
    "cents_range": "numeric(6,2)",
    "day_range[]": "date",
    "oid": "oid",
    "oid[]": "oid",
    "xid": "xid",
    "regclass": "regclass",
    "regtype[]": "regtype",
    '"char"[]': '"char"',
    "name[]": "name",
    "interval(0)[]": "interval(0)",
}


@pytest.mark.parametrize("type_sql", NOT_TAKEN)
def test_what_cannot_be_judged_is_refused_as_a_target(database: Database, type_sql: str) -> None:
    with database.connect() as connection:
        connection.execute(UNJUDGED)
        connection.execute(sql.SQL("create table t (n int, v {})").format(sql.SQL(type_sql)))
        columns = read_table(connection, "t").columns
    assert columns[1].unjudged == NOT_TAKEN[type_sql]
    with pytest.raises(TargetError, match=r"v is .*without a word") as caught:
        refuse_unjudged(columns)
    assert caught.value.code == "altered"
    refuse_unjudged(columns[:1])


def test_all_other_types_can_be_judged(database: Database) -> None:
    with database.connect() as connection:
        connection.execute(UNJUDGED)
        connection.execute(
            "create domain flags as bit(3)[]; create type mood as enum ('good');"
            "create table t (a int[], b text[], c numeric(5,2)[], d numeric[], e inet, f mood, "
            "g bytea, h xml, i uuid[], j int4range, k int8multirange, l whole[], m mood[], "
            "n cents, o day, p time(2), q interval, r jsonb, s point, t flags, u char(3)[], "
            'v "char", w name, x money, y numrange, aa timestamp[], ab timestamptz(3)[], '
            "ac interval[], ad day[], ae days, af daterange, ag tsrange[], ah tstzmultirange, "
            "ai cents[], aj money[], ak jsonb[], al tsvector, am pair)"
        )
        columns = read_table(connection, "t").columns
    assert {column.name: column.unjudged for column in columns if column.unjudged} == {}
    refuse_unjudged(columns)


def test_the_list_columns_of_a_frame_fill_arrays(database: Database) -> None:
    with database.connect() as connection:
        connection.execute(
            "create table t (n int, a int[], b text[], c date[], d numeric(5,2)[], e bool[][])"
        )
    frame = pl.DataFrame(
        {
            "n": [1, 2],
            "a": [[1, None, 3], []],
            "b": [['a "b"', "c,d", ""], [None, "NULL"]],
            "c": [[date(2024, 2, 29)], None],
            "d": [[Decimal("1.50")], [Decimal("999.99"), None]],
            "e": [[[True], [False]], [[None, True]]],
        }
    )
    assert load_table(database.engine(), frame, "t").inserted == 2
    with database.connect() as connection:
        assert connection.execute("select * from t order by n").fetchall() == frame.rows()


#: Texts of xml, and whether the server takes them as content.
XML = {
    "<a/>": True,
    " <a b='1'>x &amp; y</a>\r\n": True,
    "<?xml version='1.0' encoding='latin1'?><a>é</a>": True,
    "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>": True,
    "plain": True,
    "<a/><b/>": True,
    "<a></b>": False,
    "<a b='1' b='2'/>": False,
    "&nbsp;": False,
    "<a>\x01</a>": False,
}


def test_xml_is_kept_as_it_is_written_or_said_to_be_unsupported(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["n", "v"], *enumerate(XML)])
    with database.connect() as connection:
        connection.execute("create table t (n int, v xml)")
    try:
        with database.connect() as connection:
            connection.execute("select '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:  # the embedded 18 was built without libxml
        with pytest.raises(PenstockError, match="unsupported XML feature"):
            load_table(database.engine(), path, "t", max_rejects="all")
        return
    result = load_table(database.engine(), path, "t", max_rejects="all")
    with database.connect() as connection:
        found = connection.execute("select n, v::text from t order by n").fetchall()
        refused = connection.execute("select record - 1, codes from penstock.rejects").fetchall()
    assert result.balanced
    assert found == [(n, text) for n, (text, taken) in enumerate(XML.items()) if taken]
    assert refused == [(n, ["2200N"]) for n, taken in enumerate(XML.values()) if not taken]
