"""Refused rows that are loaded again: exported, corrected, replayed. Counted by SQL.

Files are corrected by the csv module, and sheets by the reader and writer of sheets.
"""

from __future__ import annotations

import csv
import signal
import threading
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import xlsxwriter

from penstock import ReplayResult, load_table, replay_rejects
from penstock.errors import SourceError, TargetError, UsageError
from penstock.ledger.quarantine import Selection
from penstock.loading.export import export_rejects
from penstock.loading.steps import Step
from tests.fixtures import programs
from tests.fixtures.postgres import Database
from tests.integration.cli.program import environment

SHOP = """
create table customers (customer_id int primary key, name text not null);
create table orders (order_id int primary key, customer_id int references customers,
    amount numeric(8,2) not null check (amount >= 0), day date, note text default 'none');
insert into customers values (1, 'Ann');
"""
HEAD = "order_id,customer_id,amount,day"
LINES = ["1,1,5.00,2024-01-01", "2,1,-7.50,2024-01-02", "3,9,1,2024-01-03", "4,1,x,2024-13-01"]

Row = dict[str, str]


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(SHOP)
    return database


def load(shop: Database, folder: Path, lines: list[str], **options: object) -> None:
    path = folder / "orders.csv"
    path.write_text("\n".join([HEAD, *lines, ""]), encoding="utf-8")
    load_table(shop.url, path, "orders", **{"max_rejects": "all", **options})


def ask(shop: Database, query: str) -> list[tuple[object, ...]]:
    with shop.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def statuses(shop: Database) -> list[tuple[object, ...]]:
    return ask(shop, "select reject_id, status, times from penstock.rejects order by 1")


def books(shop: Database) -> list[tuple[object, ...]]:
    columns = "mode, read, inserted, updated, ignored, quarantined, balanced"
    return ask(shop, f"select {columns} from penstock.balance order by finished_at")


def export(shop: Database, path: Path) -> Path:
    with psycopg.connect(shop.url, autocommit=True) as connection:
        export_rejects(connection, path, Selection())
    return path


def rows_of(path: Path) -> list[Row]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    sheet = pl.read_excel(path, infer_schema_length=0)
    return [{k: v or "" for k, v in row.items()} for row in sheet.iter_rows(named=True)]


def write(path: Path, rows: list[Row]) -> None:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, list(rows[0]))
        for place, row in enumerate(rows, start=1):
            for column, cell in enumerate(row.values()):
                if cell:
                    sheet.write_string(place, column, cell)


def correct(path: Path, change: Callable[[Row], Row | None]) -> Path:
    write(path, [row for one in rows_of(path) if (row := change(one)) is not None])
    return path


def corrected(row: Row) -> Row:
    """Everything that is wrong in `LINES`."""
    return (
        row
        | {
            "2": {"amount": "7.50"},
            "3": {"customer_id": "1"},
            "4": {"amount": "4", "day": "2024-12-01"},
        }[row["order_id"]]
    )


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_what_is_exported_and_corrected_is_loaded_and_closed_once(
    shop: Database, tmp_path: Path, kind: str
) -> None:
    load(shop, tmp_path, LINES)
    path = correct(export(shop, tmp_path / f"wrong.{kind}"), corrected)
    result = replay_rejects(shop.url, path)
    assert (result.replayed, result.waiting, dict(result.skipped)) == (3, 0, {})
    rows = ask(shop, "select order_id, amount::text, day::text, note from orders order by 1")
    assert rows == [
        (1, "5.00", "2024-01-01", "none"),
        (2, "7.50", "2024-01-02", "none"),
        (3, "1.00", "2024-01-03", "none"),
        (4, "4.00", "2024-12-01", "none"),
    ]
    assert statuses(shop) == [(n, "replayed", 1) for n in (1, 2, 3)]
    (load_id,) = {one.load_id for one in result.loads}
    assert ask(shop, "select distinct closed_by::text from penstock.rejects") == [(load_id,)]
    assert books(shop) == [("append", 4, 1, 0, 0, 3, True), ("append", 3, 3, 0, 0, 0, True)]
    assert ask(shop, "select kind from penstock.runs order by started_at") == [
        ("load",),
        ("replay",),
    ]
    again = replay_rejects(shop.url, path)
    assert (again.loads, again.replayed) == ((), 0)
    assert dict(again.skipped) == {1: "replayed", 2: "replayed", 3: "replayed"}
    assert ask(shop, "select count(*) from orders") == [(4,)]
    assert len(books(shop)) == 2


def test_what_is_left_out_waits_and_what_is_refused_again_too(
    shop: Database, tmp_path: Path
) -> None:
    load(shop, tmp_path, LINES)

    def some(row: Row) -> Row | None:
        if row["order_id"] == "3":
            return None
        return row | {"amount": "8" if row["order_id"] == "2" else "yy"}

    path = correct(export(shop, tmp_path / "wrong.csv"), some)
    result = replay_rejects(shop.url, path)
    assert (result.replayed, result.waiting) == (1, 1)
    found = ask(
        shop,
        "select raw_values->>'order_id', status, times, bad_values, raw_values->>'amount', "
        "convert_from(raw, 'UTF8') from penstock.rejects order by 1",
    )
    assert found == [
        ("2", "replayed", 1, ["-7.50"], "-7.50", LINES[1]),
        ("3", "waiting", 1, ["9"], "1", LINES[2]),
        ("4", "waiting", 2, ["yy", "2024-13-01"], "x", LINES[3]),
    ]
    (load_id,) = [one.load_id for one in result.loads]
    assert ask(
        shop, f"select raw_values->>'order_id' from penstock.rejects where last_load = '{load_id}'"
    ) == [("4",)]
    assert books(shop)[-1] == ("append", 2, 1, 0, 0, 1, True)


def test_rows_that_are_all_refused_again_wait_with_their_new_reason(
    shop: Database, tmp_path: Path
) -> None:
    load(shop, tmp_path, LINES[:2])
    result = replay_rejects(shop.url, ids=[1])
    assert (result.replayed, result.waiting) == (0, 1)
    assert statuses(shop) == [(1, "waiting", 2)]
    assert books(shop)[-1] == ("append", 1, 0, 0, 0, 1, True)


def test_rows_are_replayed_as_they_came_once_their_parent_is_there(
    shop: Database, tmp_path: Path
) -> None:
    load(shop, tmp_path, LINES)
    with shop.connect() as connection:
        connection.execute("insert into customers values (9, 'Bob')")
    result = replay_rejects(shop.url, table="orders", code="23503", column="customer_id")
    assert (result.replayed, result.waiting) == (1, 0)
    assert ask(shop, "select order_id, customer_id from orders order by 1") == [(1, 1), (3, 9)]
    (closed,) = [row[0] for row in statuses(shop) if row[1] == "replayed"]
    result = replay_rejects(shop.url, ids=[int(str(closed)), 77])
    assert (result.replayed, dict(result.skipped)) == (0, {closed: "replayed", 77: "unknown"})


def test_values_are_read_as_the_load_was_told_unless_it_is_said_anew(
    shop: Database, tmp_path: Path
) -> None:
    path = tmp_path / "bestellt.csv"
    text = "Nr;customer_id;Betrag;day;Extra\n1;1;5,00;31.01.2024;a\n2;1;-7,50;01.02.2024;b\n"
    path.write_text(text + "3;1;NA;NA;c\n", encoding="utf-8")
    options = {
        "columns": {"Nr": "order_id", "Betrag": "amount"},
        "ignore_extra": True,
        "dates": "DD.MM.YYYY",
        "numbers": "1.234,56",
        "null": "NA",
    }
    load_table(shop.url, path, "orders", max_rejects="all", **options)
    wrong = export(shop, tmp_path / "wrong.csv")
    first = correct(wrong, lambda row: row | {"Betrag": "7,50"} if row["Nr"] == "2" else None)
    assert replay_rejects(shop.url, first).replayed == 1
    second = correct(export(shop, wrong), lambda row: row | {"Betrag": "1.5", "day": "2024-03-01"})
    assert replay_rejects(shop.url, second).waiting == 1
    anew = replay_rejects(shop.url, second, dates="YYYY-MM-DD", numbers="1234.56")
    assert anew.replayed == 1
    assert ask(shop, "select order_id, amount::text, day::text from orders order by 1") == [
        (1, "5.00", "2024-01-31"),
        (2, "7.50", "2024-02-01"),
        (3, "1.50", "2024-03-01"),
    ]


def test_cells_of_a_sheet_are_read_as_its_texts_are_written(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, ["1,1,5,31.01.2024", "2,1,x,32.01.2024"], dates="DD.MM.YYYY")
    load_options = {"dates": "DD.MM.YYYY", "numbers": "1.234,56"}
    (tmp_path / "more.csv").write_text(HEAD.replace(",", ";") + "\n3;9;1,5;30.01.2024\n4;1;1;\n")
    load_table(shop.url, tmp_path / "more.csv", "orders", max_rejects="all", **load_options)
    with xlsxwriter.Workbook(tmp_path / "wrong.xlsx") as book:
        sheet = book.add_worksheet("rejects 1")
        sheet.write_row(0, 0, ["_id", *HEAD.split(",")])
        sheet.write_row(1, 0, [2, 3, 1, 2.5])
        day = book.add_format({"num_format": "dd.mm.yyyy"})
        sheet.write_datetime(1, 4, date(2024, 1, 29), day)
        book.add_worksheet("notes").write(0, 0, "done by Ann")
    assert replay_rejects(shop.url, tmp_path / "wrong.xlsx").replayed == 1
    assert ask(shop, "select amount::text, day::text from orders where order_id = 3") == [
        ("2.50", "2024-01-29")
    ]


def test_natural_keys_are_looked_up_again(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "named.csv"
    path.write_text("order_id,name,amount\n1,Ann,1\n2,Bob,2\n", encoding="utf-8")
    lookups = {"customer_id": "customers.name"}
    load_table(shop.url, path, "orders", max_rejects="all", lookups=lookups)
    with shop.connect() as connection:
        connection.execute("insert into customers values (5, 'Bob')")
    assert replay_rejects(shop.url, table="orders").replayed == 1
    assert ask(shop, "select order_id, customer_id from orders order by 1") == [(1, 1), (2, 5)]


def test_rejects_of_several_tables_are_one_transaction_parents_first(
    shop: Database, tmp_path: Path
) -> None:
    load(shop, tmp_path, ["1,1,1,", "2,7,2,"])
    path = tmp_path / "customers.csv"
    path.write_text("customer_id,name\n2,Bob\n7,\n", encoding="utf-8")
    load_table(shop.url, path, "customers", max_rejects="all")
    wrong = correct(
        export(shop, tmp_path / "wrong.csv"),
        lambda row: row | ({"name": "Eve"} if row["_table"] == "customers" else {}),
    )
    result = replay_rejects(shop.url, wrong)
    assert [(one.table, one.inserted) for one in result.loads] == [("customers", 1), ("orders", 1)]
    assert ask(shop, "select count(distinct run_id) from penstock.runs where kind = 'replay'") == [
        (1,)
    ]
    assert ask(shop, "select customer_id from orders order by 1") == [(1,), (7,)]


def test_a_column_that_a_row_had_not_is_left_to_its_default(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, ["1,1,1,", "2,7,2,"])
    path = tmp_path / "noted.csv"
    path.write_text("order_id,customer_id,amount,note\n3,7,3,hi\n4,1,4,\n", encoding="utf-8")
    load_table(shop.url, path, "orders", max_rejects="all")
    wrong = correct(export(shop, tmp_path / "wrong.csv"), lambda row: row | {"customer_id": "1"})
    result = replay_rejects(shop.url, wrong)
    assert result.replayed == 2
    assert ask(shop, "select order_id, note from orders order by 1") == [
        (1, "none"),
        (2, "none"),
        (3, "hi"),
        (4, None),
    ]


def test_what_a_sheet_cannot_show_is_not_lost(shop: Database, tmp_path: Path) -> None:
    long = "x" * 40_000
    with shop.connect() as connection:
        connection.execute("create table texts (id int primary key, a text, b text, n int)")
    path = tmp_path / "texts.csv"
    path.write_text(f'id,a,b,n\n1,{long},"",y\n2,=1+1,-5,y\n3,,\'+q,1\n', encoding="utf-8")
    load_table(shop.url, path, "texts", max_rejects="all")
    for kind, number in (("csv", "2"), ("xlsx", "1")):

        def one(row: Row, number: str = number) -> Row | None:
            return row | {"n": "7"} if row["id"] == number else None

        wrong = correct(export(shop, tmp_path / f"wrong.{kind}"), one)
        assert replay_rejects(shop.url, wrong).replayed == 1
    assert ask(shop, "select id, length(a), a = '=1+1', b, n from texts order by id") == [
        (1, 40_000, False, "", 7),
        (2, 4, True, "-5", 7),
        (3, None, None, "'+q", 1),
    ]


def test_a_record_that_could_not_be_split_is_filled_in(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, ["1,1,1,", "2,1,2,2024-01-01,more,fields", "3,9,1,"])
    assert replay_rejects(shop.url, table="orders", code="ragged").skipped == {1: "unsplit"}
    wrong = export(shop, tmp_path / "wrong.csv")
    assert replay_rejects(shop.url, wrong).skipped == {1: "unsplit"}
    filled = {"order_id": "2", "customer_id": "1", "amount": "2"}
    done = correct(wrong, lambda row: row | filled if row["_raw"] else None)
    assert replay_rejects(shop.url, done).replayed == 1
    assert ask(shop, "select order_id from orders order by 1") == [(1,), (2,)]


def test_a_spreadsheet_may_save_the_file_with_semicolons_and_a_mark(
    shop: Database, tmp_path: Path
) -> None:
    load(shop, tmp_path, LINES)
    wrong = correct(export(shop, tmp_path / "wrong.csv"), corrected)
    rows = rows_of(wrong)
    with wrong.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert replay_rejects(shop.url, wrong).replayed == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("_id,order_id\n1,2\n1,3\n", "reject 1 stands twice, in line 2 and line 3"),
        ("order_id,amount\n1,2\n", "there is no column _id"),
        ("_id,order_id\n1,2\n,3\n", "line 3: there is no number in _id"),
        ("_id,order_id\nx,2\n", 'line 2: "x" is not the number of a reject'),
        ("_id,order_id\n1,2,3\n", "line 2"),
    ],
)
def test_a_file_that_cannot_be_meant_is_an_error_and_changes_nothing(
    shop: Database, tmp_path: Path, text: str, said: str
) -> None:
    load(shop, tmp_path, LINES)
    path = tmp_path / "wrong.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError) as told:
        replay_rejects(shop.url, path)
    assert said in told.value.message
    assert statuses(shop) == [(n, "waiting", 1) for n in (1, 2, 3)]


def test_a_replay_must_say_what_and_may_take_nothing_away(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, LINES)
    wrongs: list[Mapping[str, Any]] = [
        {},
        {"file": "x.csv", "ids": [1]},
        {"file": "x.csv", "code": "1"},
    ]
    for wrong in wrongs:
        with pytest.raises(UsageError):
            replay_rejects(shop.url, **wrong)
    for mode in ("truncate", "sync", "scd2"):
        with pytest.raises(UsageError, match="only some of a table"):
            replay_rejects(shop.url, ids=[1], mode=mode)
    with pytest.raises(UsageError, match="ledger"):
        replay_rejects(shop.url, ids=[1], ledger=False)


def test_without_a_ledger_there_is_nothing_to_replay(shop: Database) -> None:
    with pytest.raises(TargetError, match="ledger"):
        replay_rejects(shop.url, ids=[1])


def test_a_dry_run_changes_nothing(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, LINES)
    wrong = correct(export(shop, tmp_path / "wrong.csv"), corrected)
    result = replay_rejects(shop.url, wrong, dry_run=True)
    assert (result.replayed, result.loads[0].dry_run) == (3, True)
    assert statuses(shop) == [(n, "waiting", 1) for n in (1, 2, 3)]
    assert ask(shop, "select count(*) from orders") == [(1,)]


def test_a_replay_joins_a_transaction(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, LINES)
    wrong = correct(export(shop, tmp_path / "wrong.csv"), corrected)
    with shop.engine().connect() as connection:
        assert replay_rejects(connection, wrong).replayed == 3
        connection.rollback()
    assert statuses(shop) == [(n, "waiting", 1) for n in (1, 2, 3)]
    with shop.engine().begin() as connection:
        assert replay_rejects(connection, wrong).replayed == 3
    assert statuses(shop) == [(n, "replayed", 1) for n in (1, 2, 3)]


def test_a_replay_may_update_what_is_there(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, ["1,1,1,", "1,1,2,", "2,1,2,"])
    assert replay_rejects(shop.url, table="orders").waiting == 1
    result = replay_rejects(shop.url, table="orders", mode="upsert")
    assert (result.replayed, result.loads[0].updated) == (1, 1)
    assert ask(shop, "select order_id, amount::text from orders order by 1") == [
        (1, "2.00"),
        (2, "2.00"),
    ]
    assert books(shop)[-1] == ("upsert", 1, 0, 1, 0, 0, True)


def test_two_replays_at_once_load_each_row_once(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, [f"{n},{1 if n == 0 else 9},1," for n in range(40)])
    with shop.connect() as connection:
        connection.execute("alter table orders drop constraint orders_pkey")
    path = tmp_path / "wrong.csv"
    wrong = correct(export(shop, path), lambda row: row | {"customer_id": "1"})
    results: list[ReplayResult] = []
    meet = threading.Barrier(2)

    def on_step(step: str) -> None:
        if step == Step.RECORD:
            meet.wait(20)  # both have read what waits, and neither has begun

    def replay() -> None:
        results.append(replay_rejects(shop.url, wrong, on_step=on_step))

    threads = [threading.Thread(target=replay) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(one.replayed for one in results) == [0, 39]
    late = next(one for one in results if not one.replayed)
    assert set(late.skipped.values()) == {"closed"}
    assert ask(shop, "select count(*), count(distinct order_id) from orders") == [(40, 40)]
    assert ask(shop, "select status, count(*) from penstock.rejects group by 1") == [
        ("replayed", 39)
    ]
    assert {row[-1] for row in books(shop)} == {True}


_KILLED = """
import os, signal, sys
from penstock import replay_rejects
def on_step(step):
    if step == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
replay_rejects(sys.argv[1], sys.argv[2], on_step=on_step)
"""


@pytest.mark.parametrize(
    "step",
    [Step.PLAN, Step.RECORD, Step.COPY, Step.VERIFY, Step.REJECTS, Step.COMMIT, Step.COMMITTED],
)
def test_a_killed_replay_can_be_run_again(shop: Database, tmp_path: Path, step: Step) -> None:
    load(shop, tmp_path, LINES)

    def fixed(row: Row) -> Row:
        return corrected(row) if row["order_id"] != "4" else row

    wrong = correct(export(shop, tmp_path / "wrong.csv"), fixed)
    (tmp_path / "replays.py").write_text(_KILLED)
    words = ("replays.py", shop.url, str(wrong), step.value)
    killed = programs.run(*words, folder=tmp_path, variables=environment())
    assert killed.returncode == -signal.SIGKILL
    replay_rejects(shop.url, wrong)
    assert ask(shop, "select order_id from orders order by 1") == [(1,), (2,), (3,)]
    assert ask(shop, "select status from penstock.rejects order by 1") == [
        ("replayed",),
        ("replayed",),
        ("waiting",),
    ]
    assert {row[-1] for row in books(shop)} == {True}


def test_a_later_load_that_brings_the_row_closes_the_reject_too(
    shop: Database, tmp_path: Path
) -> None:
    load(shop, tmp_path, LINES)
    wrong = correct(export(shop, tmp_path / "wrong.csv"), corrected)
    load(shop, tmp_path, ["2,1,7.50,"])
    result = replay_rejects(shop.url, wrong)
    assert result.replayed == 2
    assert list(result.skipped.values()) == ["resolved"]


def test_the_table_is_named_as_postgresql_stores_it(shop: Database, tmp_path: Path) -> None:
    with shop.connect() as connection:
        connection.execute('create schema "My ""S"; create table "My ""S"."T.1" (a int, b int)')
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,1\nx,2\n", encoding="utf-8")
    load_table(shop.url, path, '"My ""S"."T.1"', max_rejects="all")
    assert ask(shop, "select table_name from penstock.rejects") == [("T.1",)]
    wrong = correct(export(shop, tmp_path / "w.csv"), lambda row: row | {"a": "3"})
    assert replay_rejects(shop.url, wrong).replayed == 1
