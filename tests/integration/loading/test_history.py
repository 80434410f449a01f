"""`scd2`: versions of rows, against a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock import LoadResult, load_table
from penstock.errors import BalanceError, UsageError
from tests.fixtures.postgres import Database

TABLE = """
create table customers (
    customer_id bigint generated always as identity primary key,
    no int not null, city text, tier text, phone text,
    valid_from date not null, valid_to date, is_current boolean not null,
    unique (no, valid_from), check (tier <> 'forbidden')
);
create unique index on customers (no) where is_current;
"""
VERSIONS = "no, city, tier, phone, valid_from::text, valid_to::text, is_current"
Row = tuple[Any, ...]


def load(database: Database, tmp_path: Path, lines: list[str], **options: Any) -> LoadResult:
    path = tmp_path / "customers.csv"
    head = "no,city,tier,phone,valid_from"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    result = load_table(
        database.engine(), path, "customers", mode="scd2", key="no", max_rejects="all", **options
    )
    assert result.balanced
    no_overlaps(database)
    return result


def no_overlaps(database: Database) -> None:
    """Of every key one version a day at most, and the open one is the current one."""
    with database.connect() as connection:
        overlapping = connection.execute(
            "select a.no from customers a join customers b on a.no = b.no"
            " and a.customer_id < b.customer_id"
            " and daterange(a.valid_from, a.valid_to) && daterange(b.valid_from, b.valid_to)"
        ).fetchall()
        odd = connection.execute(
            "select no from customers where is_current <> (valid_to is null)"
        ).fetchall()
    assert overlapping == odd == []


def versions(database: Database) -> list[Row]:
    with database.connect() as connection:
        return connection.execute(
            f"select {VERSIONS} from customers order by no, valid_from"
        ).fetchall()


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> Database:
    with database.connect() as connection:
        connection.execute(TABLE)
    first = load(
        database,
        tmp_path,
        ["1,Bonn,gold,1,2024-01-01", "2,Ulm,,2,2024-01-01", "3,Kiel,,3,2024-01-01"],
    )
    assert first.inserted == 3
    return database


def test_a_change_ends_the_old_version_and_begins_a_new_one(
    filled: Database, tmp_path: Path
) -> None:
    lines = ["1,Bonn,gold,1,2024-03-01", "2,Trier,,2,2024-03-01"]
    result = load(filled, tmp_path, lines)
    assert (result.inserted, result.updated, result.unchanged) == (1, 0, 1)
    assert versions(filled) == [
        (1, "Bonn", "gold", "1", "2024-01-01", None, True),
        (2, "Ulm", None, "2", "2024-01-01", "2024-03-01", False),
        (2, "Trier", None, "2", "2024-03-01", None, True),
        (3, "Kiel", None, "3", "2024-01-01", None, True),
    ]
    before = versions(filled)
    again = load(filled, tmp_path, lines)
    assert again.unchanged == 2
    assert versions(filled) == before


def test_several_versions_of_a_key_may_come_in_one_file_in_any_order(
    filled: Database, tmp_path: Path
) -> None:
    lines = ["1,Mainz,gold,1,2024-05-01", "1,Bonn,gold,1,2024-04-01", "1,Bonn,silver,1,2024-03-01"]
    result = load(filled, tmp_path, lines)
    assert (result.inserted, result.unchanged) == (3, 0)
    assert versions(filled)[:4] == [
        (1, "Bonn", "gold", "1", "2024-01-01", "2024-03-01", False),
        (1, "Bonn", "silver", "1", "2024-03-01", "2024-04-01", False),
        (1, "Bonn", "gold", "1", "2024-04-01", "2024-05-01", False),
        (1, "Mainz", "gold", "1", "2024-05-01", None, True),
    ]
    assert load(filled, tmp_path, lines).unchanged == 3


def test_a_late_row_goes_between_the_versions_that_are_there(
    filled: Database, tmp_path: Path
) -> None:
    load(filled, tmp_path, ["2,Trier,,2,2024-06-01"])
    result = load(filled, tmp_path, ["2,Celle,,2,2024-03-01", "3,Jena,,3,2023-06-01"])
    assert result.inserted == 2
    assert versions(filled)[1:] == [
        (2, "Ulm", None, "2", "2024-01-01", "2024-03-01", False),
        (2, "Celle", None, "2", "2024-03-01", "2024-06-01", False),
        (2, "Trier", None, "2", "2024-06-01", None, True),
        (3, "Jena", None, "3", "2023-06-01", "2024-01-01", False),
        (3, "Kiel", None, "3", "2024-01-01", None, True),
    ]


def test_a_row_with_the_date_of_a_version_corrects_it(filled: Database, tmp_path: Path) -> None:
    result = load(filled, tmp_path, ["1,Bonn,silver,1,2024-01-01"])
    assert (result.inserted, result.updated) == (0, 1)
    assert versions(filled)[0] == (1, "Bonn", "silver", "1", "2024-01-01", None, True)


def test_type_1_columns_are_overwritten_in_all_versions(filled: Database, tmp_path: Path) -> None:
    load(filled, tmp_path, ["1,Bonn,silver,1,2024-02-01"])
    result = load(
        filled, tmp_path, ["1,Bonn,silver,99,2024-03-01", "2,Trier,,77,2024-03-01"], type1="phone"
    )
    assert (result.inserted, result.updated) == (1, 1)
    assert [row[3] for row in versions(filled)] == ["99", "99", "77", "77", "3"]
    late = load(filled, tmp_path, ["1,Bonn,gold,00,2024-01-15"], type1="phone")
    assert late.quarantined == 0
    assert versions(filled)[0][3] == "99", "a late row changes no newer version"


def test_a_key_that_had_ended_begins_again(filled: Database, tmp_path: Path) -> None:
    with filled.connect() as connection:
        connection.execute(
            "update customers set valid_to = '2024-02-01', is_current = false where no = 3"
        )
    result = load(filled, tmp_path, ["3,Kiel,,3,2024-05-01"])
    assert result.inserted == 1
    assert versions(filled)[2:] == [
        (3, "Kiel", None, "3", "2024-01-01", "2024-02-01", False),
        (3, "Kiel", None, "3", "2024-05-01", None, True),
    ]


def test_what_the_server_refuses_is_isolated(filled: Database, tmp_path: Path) -> None:
    result = load(
        filled,
        tmp_path,
        ["1,Bonn,forbidden,1,2024-02-01", "2,Celle,,2,2024-02-01", "x,y,,1,2024-02-01"],
    )
    assert (result.inserted, result.quarantined) == (1, 2)
    assert {reason.code for reason in result.reasons} == {"23514", "22P02"}


def test_without_a_date_the_day_of_the_load_counts(filled: Database, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("no,city,tier,phone\n1,Bonn,gold,1\n2,Celle,,2\n", encoding="utf-8")
    for inserted in (1, 0):
        result = load_table(filled.engine(), path, "customers", mode="scd2", key="no")
        assert (result.inserted, result.unchanged) == (inserted, 2 - inserted)
    with filled.connect() as connection:
        (today,) = connection.execute(
            "select valid_from = (now() at time zone 'UTC')::date from customers"
            " where no = 2 and is_current"
        ).fetchone() or (None,)
    assert today is True
    no_overlaps(filled)


@pytest.mark.parametrize(
    ("head", "options", "said"),
    [
        ("no,city", {"key": "no"}, "would lose tier, phone"),
        ("no,city,tier,phone", {}, "--key customer_no"),
        ("no,city,tier,phone,is_current", {"key": "no"}, "leave it out"),
        ("no,city,tier,phone", {"key": "no", "type1": "fax"}, "no column fax"),
    ],
)
def test_what_cannot_be_versioned_is_said_before_anything_is_done(
    filled: Database, tmp_path: Path, head: str, options: dict[str, Any], said: str
) -> None:
    path = tmp_path / "customers.csv"
    path.write_text(f"{head}\n{',' * head.count(',')}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        load_table(filled.engine(), path, "customers", mode="scd2", **options)


def test_loading_versions_with_type_1_columns_again_changes_nothing(
    filled: Database, tmp_path: Path
) -> None:
    lines = ["1,Bonn,gold,5,2024-01-01", "1,Trier,gold,6,2024-03-01"]
    assert load(filled, tmp_path, lines, type1="phone").inserted == 1
    before = versions(filled)
    assert [row[3] for row in before[:2]] == ["6", "6"]
    assert load(filled, tmp_path, lines, type1="phone").unchanged == 2
    assert versions(filled) == before


def test_a_row_that_corrects_and_overwrites_is_counted_once(
    filled: Database, tmp_path: Path
) -> None:
    result = load(filled, tmp_path, ["1,Trier,gold,7,2024-01-01"], type1="phone")
    assert (result.inserted, result.updated, result.unchanged) == (0, 1, 0)
    assert versions(filled)[0] == (1, "Trier", "gold", "7", "2024-01-01", None, True)


def test_what_ended_stays_ended_and_what_comes_later_begins_anew(
    filled: Database, tmp_path: Path
) -> None:
    with filled.connect() as connection:
        connection.execute("update customers set valid_to = '2024-02-01', is_current = false")
    lines = [
        "1,Bonn,gold,1,2024-02-01",
        "2,Ulm,,2,2024-01-15",
        "2,Ulm,,2,2024-03-01",
        "3,Jena,,3,2024-01-15",
    ]
    result = load(filled, tmp_path, lines)
    assert (result.inserted, result.unchanged) == (3, 1)
    assert [(row[0], row[1], *row[4:]) for row in versions(filled)] == [
        (1, "Bonn", "2024-01-01", "2024-02-01", False),
        (1, "Bonn", "2024-02-01", None, True),
        (2, "Ulm", "2024-01-01", "2024-02-01", False),
        (2, "Ulm", "2024-03-01", None, True),
        (3, "Kiel", "2024-01-01", "2024-01-15", False),
        (3, "Jena", "2024-01-15", "2024-02-01", False),
    ]
    assert load(filled, tmp_path, lines).unchanged == 4


def test_a_row_without_its_date_is_refused(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute(TABLE.replace("valid_from date not null", "valid_from date"))
    result = load(database, tmp_path, ["1,Bonn,gold,1,2024-01-01", "2,Ulm,,2,"])
    assert (result.inserted, result.quarantined) == (1, 1)
    assert result.reasons[0].code == "null_key"


def test_a_table_that_could_have_two_versions_of_one_date_is_refused(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute(TABLE.replace("unique (no, valid_from), ", ""))
    with pytest.raises(UsageError, match="ADD UNIQUE"):
        load(database, tmp_path, ["1,Bonn,gold,1,2024-01-01"])


@pytest.mark.parametrize(
    ("event", "line"),
    [("insert", "1,Bern,gold,1,2024-06-01"), ("update", "1,Bern,gold,1,2024-01-01")],
    ids=["version", "correction"],
)
def test_rows_that_a_trigger_swallows_are_not_said_to_be_unchanged(
    filled: Database, tmp_path: Path, event: str, line: str
) -> None:
    with filled.connect() as connection:
        connection.execute(
            "create function swallow() returns trigger language plpgsql as"
            " 'begin return null; end';"
            f"create trigger swallow before {event} on customers for each row"
            " when (new.city = 'Bern') execute function swallow()"
        )
    before = versions(filled)
    with pytest.raises(BalanceError, match="accounted for"):
        load(filled, tmp_path, [line])
    assert versions(filled) == before
