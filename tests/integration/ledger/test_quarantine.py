"""Rejects in the ledger: what waits, found by its traits, closed and purged.

Written with the ledger's own writer; expected numbers are counted by hand.
"""

from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path

import polars as pl
import psycopg
import pytest
from psycopg.rows import TupleRow

from penstock import load_table
from penstock.errors import TargetError, UsageError
from penstock.ledger import quarantine
from penstock.ledger.quarantine import Selection
from penstock.loading.export import export_rejects
from penstock.model.table import TableName
from tests.fixtures.postgres import Database

ORDERS = TableName("public", "orders")
CUSTOMERS = TableName("public", "customers")
HEAD = "order_id,customer_id,amount\n"


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(
            "create table customers (customer_id int primary key, name text not null);"
            "create table orders (order_id int primary key, customer_id int references customers,"
            " amount numeric(8,2) not null)"
        )
    return database


def load(shop: Database, folder: Path, name: str, text: str, table: str = "orders") -> str:
    """Load a file, whatever is refused; gives the id of the load."""
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return load_table(shop.url, path, table, max_rejects="all").load_id


@pytest.fixture
def filled(shop: Database, tmp_path: Path) -> Database:
    """Rejects 1 to 5 of orders (two columns at fault in 3, unsplit 4), 6 of customers."""
    load(
        shop,
        tmp_path,
        "one.csv",
        HEAD + "100,,1\n1,,x\n2,7,1\n3,z,y\n4,\n5,,\n",
    )
    load(shop, tmp_path, "customers.csv", "customer_id,name\n1,Ann\n2,\n", "customers")
    return shop


def ids(connection: psycopg.Connection[TupleRow], what: Selection) -> list[int]:
    return [one.reject_id for one in quarantine.find(connection, what)]


def test_groups_name_table_column_code_and_how_many_rows(filled: Database) -> None:
    found = quarantine.groups(filled.connect())
    assert [(str(g.table), g.column, g.code, g.rows, g.table_rows) for g in found] == [
        ("customers", "name", "23502", 1, 1),
        ("orders", "amount", "22P02", 2, 5),
        ("orders", "", "ragged", 1, 5),
        ("orders", "amount", "23502", 1, 5),
        ("orders", "customer_id", "22P02", 1, 5),
        ("orders", "customer_id", "23503", 1, 5),
    ]
    sample = found[1]
    assert Path(sample.source).name == "one.csv"
    assert (sample.record, sample.line, sample.value) == (4, 5, "y")
    assert sample.reject_id == 3
    assert "y" in sample.reason
    assert sample.first_seen <= sample.last_seen
    only = quarantine.groups(filled.connect(), CUSTOMERS)
    assert [group.table for group in only] == [CUSTOMERS]
    assert quarantine.groups(filled.connect(), statuses=["void"]) == []


def test_a_row_with_the_same_fault_twice_counts_once(shop: Database, tmp_path: Path) -> None:
    with shop.connect() as connection:
        connection.execute("create table wide (a int not null, b int not null)")
    load(shop, tmp_path, "wide.csv", "a,b\n1,1\n,1\nx,\n", "wide")
    with shop.connect() as connection:
        # As a trigger's faults stand: twice the whole row.
        connection.execute(
            "update penstock.rejects set columns = '{\"\",\"\"}', codes = '{P0001,P0001}' "
            "where record = 2"
        )
        found = {(g.column, g.code): g.rows for g in quarantine.groups(connection)}
    assert found == {("", "P0001"): 1, ("a", "22P02"): 1, ("b", "23502"): 1}


def test_rejects_are_found_by_each_trait(filled: Database) -> None:
    connection = filled.connect()
    assert ids(connection, Selection()) == [1, 2, 3, 4, 5, 6]
    assert ids(connection, Selection(table=CUSTOMERS)) == [6]
    assert ids(connection, Selection(code="22P02")) == [1, 3]
    assert ids(connection, Selection(column="customer_id")) == [2, 3]
    assert ids(connection, Selection(column="customer_id", code="22P02")) == [3]
    # 3 has both the column and, of another fault, a code; not of one and the same.
    assert ids(connection, Selection(column="amount", code="23503")) == []
    assert ids(connection, Selection(column="")) == [4]
    assert ids(connection, Selection(ids=(5, 2, 99))) == [2, 5]
    assert ids(connection, Selection(statuses=("void", "discarded"))) == []
    assert quarantine.number(connection, Selection(table=ORDERS)) == 5
    first = quarantine.find(connection, Selection(), limit=2)
    assert [one.reject_id for one in first] == [1, 2]


def test_rejects_are_found_by_the_load_that_met_them_first_or_last(
    shop: Database, tmp_path: Path
) -> None:
    first = load(shop, tmp_path, "a.csv", HEAD + "100,,1\n1,,x\n2,,x\n")
    second = load(shop, tmp_path, "b.csv", HEAD + "101,,1\n1,,x\n3,,x\n")
    connection = shop.connect()
    assert ids(connection, Selection(loads=(first,))) == [1, 2]
    by_second = quarantine.find(connection, Selection(loads=(second,)))
    assert [(one.times, one.raw) for one in by_second] == [(2, b"1,,x"), (1, b"3,,x")]
    assert quarantine.loads_of(connection, second[:13].upper()) == (second,)
    run_id = connection.execute(
        "select run_id::text from penstock.loads where load_id = %s", [first]
    ).fetchall()[0][0]
    assert quarantine.loads_of(connection, run_id) == (first,)
    with pytest.raises(UsageError, match="No load or run"):
        quarantine.loads_of(connection, "ffffffff-ffff")
    with pytest.raises(UsageError, match="not the beginning of an id"):
        quarantine.loads_of(connection, "100%")


def test_the_raw_row_keeps_every_text_in_the_order_of_the_source(
    shop: Database, tmp_path: Path
) -> None:
    # Longer names first: jsonb would sort them. A backslash before what looks like a NUL.
    odd = 'ab\\u0000"\u00e9'
    frame = pl.DataFrame({"order_id": [1, 2], "customer_id": [None, None], "amount": ["1", odd]})
    load_table(shop.url, frame, "orders", max_rejects=1)
    [one] = quarantine.find(shop.connect(), Selection())
    assert one.raw_values is not None
    assert list(json.loads(one.raw_values).items()) == [
        ("order_id", "2"),
        ("customer_id", None),
        ("amount", odd),
    ]
    assert one.bad_values == [odd]
    assert export_rejects(shop.connect(), tmp_path / "r.csv", Selection()) == 1
    assert (
        (tmp_path / "r.csv")
        .read_text("utf-8-sig")
        .startswith("_id,_column,_reason,_value,_of,order_id,customer_id,amount\n")
    )


def test_discarding_closes_only_what_waits_and_says_who_and_why(filled: Database) -> None:
    connection = filled.connect()
    which = Selection(table=ORDERS, code="22P02")
    assert quarantine.discard(connection, which, note="test orders", who="ann@desk") == 2
    assert quarantine.discard(connection, which, note="again") == 0
    everything = Selection(statuses=None)
    closed = {one.reject_id: one for one in quarantine.find(connection, everything)}[3]
    user = connection.info.user
    assert (closed.status, closed.note) == ("discarded", "test orders")
    assert closed.discarded_by == f"{user} (ann@desk)"
    assert closed.closed_at is not None
    assert quarantine.counts(connection) == {
        CUSTOMERS: {"waiting": 1},
        ORDERS: {"discarded": 2, "waiting": 3},
    }
    assert quarantine.counts(connection, ["discarded"]) == {ORDERS: {"discarded": 2}}


def test_a_row_that_comes_back_after_it_was_discarded_waits_anew(
    shop: Database, tmp_path: Path
) -> None:
    load(shop, tmp_path, "a.csv", HEAD + "100,,1\n1,,x\n")
    quarantine.discard(shop.connect(), Selection(), note="")
    load(shop, tmp_path, "b.csv", HEAD + "101,,1\n1,,x\n")
    assert quarantine.counts(shop.connect()) == {ORDERS: {"discarded": 1, "waiting": 1}}


def test_purging_counts_from_the_day_of_closing_and_keeps_what_waits(filled: Database) -> None:
    connection = filled.connect()
    quarantine.discard(connection, Selection(ids=(1, 2)), note="")
    connection.execute("update penstock.rejects set status = 'void' where reject_id in (3, 4)")
    connection.execute("update penstock.rejects set last_seen = now() - interval '91 days'")
    connection.execute(
        "update penstock.rejects set closed_at = now() - interval '91 days' where reject_id = 1"
    )
    connection.execute("update penstock.rejects set last_seen = now() where reject_id = 4")
    assert quarantine.purge(connection) == 2
    assert ids(connection, Selection(statuses=None)) == [2, 4, 5, 6]
    assert quarantine.purge(connection, days=0) == 2
    assert ids(connection, Selection(statuses=None)) == [5, 6]


def test_only_the_owner_may_purge(filled: Database) -> None:
    role = filled.role("etl")
    with filled.connect() as connection:
        connection.execute(f'grant usage on schema penstock to "{role.name}"'.encode())
        everything = f'grant select on all tables in schema penstock to "{role.name}"'
        connection.execute(everything.encode())
        superuser = connection.info.user
    with pytest.raises(TargetError, match=f'Purge as "{superuser}"') as raised:
        quarantine.purge(filled.connect(role))
    assert raised.value.code == "42501"


def test_an_export_holds_what_was_chosen_and_its_layout(filled: Database, tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    assert export_rejects(filled.connect(), path, Selection(table=ORDERS)) == 5
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, strict=True))
    assert rows[0] == [
        *("_id", "_column", "_reason", "_value", "_of"),
        *("order_id", "customer_id", "amount", "_raw"),
    ]
    marks = "select reject_id::text, 'L-' || left(load_id::text, 8) from penstock.rejects"
    found = filled.connect().execute(marks).fetchall()
    assert {(row[0], row[4]) for row in rows[1:]} <= set(found)
    assert [[row[0], row[1], *row[5:]] for row in rows[1:]] == [
        ["1", "amount", "1", "", "x", ""],
        ["2", "customer_id", "2", "7", "1", ""],
        ["3", "customer_id; amount", "3", "z", "y", ""],
        ["4", "", "", "", "", "4,"],
        ["5", "amount", "5", "", "", ""],
    ]


def test_inputs_of_different_layout_share_a_file(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, "a.csv", HEAD + "100,,1\n1,,x\n")
    other = tmp_path / "b.csv"
    other.write_text("amount,note,order_id\n1,n,101\ny,m,2\n", encoding="utf-8")
    load_table(shop.url, other, "orders", max_rejects="all", ignore_extra=True)
    export_rejects(shop.connect(), tmp_path / "r.csv", Selection())
    lines = (tmp_path / "r.csv").read_text("utf-8-sig").splitlines()
    assert lines[0].endswith(",order_id,customer_id,amount,note")
    assert lines[1].endswith(",1,,x,")
    assert lines[2].endswith(",2,,y,m")


def test_an_exported_file_that_was_corrected_loads_and_resolves_its_rows(
    shop: Database, tmp_path: Path
) -> None:
    load(shop, tmp_path, "a.csv", HEAD + "100,,1\n1,,x\n2,,-\n")
    path = tmp_path / "corrected.csv"
    export_rejects(shop.connect(), path, Selection())
    text = path.read_text("utf-8-sig")
    path.write_text(text.replace(",x\n", ",5\n").replace(",'-\n", ",6\n"), encoding="utf-8")
    result = load_table(shop.url, path, "orders", ignore_extra=True)
    assert (result.read, result.inserted) == (2, 2)
    assert quarantine.counts(shop.connect()) == {ORDERS: {"resolved": 2}}


def test_an_export_does_not_hold_the_rows_in_memory(shop: Database, tmp_path: Path) -> None:
    load(shop, tmp_path, "a.csv", HEAD + "100,,1\n1,,x\n")
    connection = shop.connect()
    connection.execute(
        "insert into penstock.rejects (load_id, last_load, schema_name, table_name, fingerprint,"
        " source, record, line, raw, raw_values, columns, codes, reasons, bad_values)"
        " select load_id, last_load, schema_name, table_name, sha256(i::text::bytea), source, i, i,"
        " raw, raw_values, columns, codes, array[repeat('r', 1000)], bad_values"
        " from penstock.rejects, generate_series(1, 20000) i"
    )
    for name in ("r.csv", "r.xlsx"):
        tracemalloc.start()
        assert export_rejects(connection, tmp_path / name, Selection()) == 20_001
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 12 << 20  # the reasons alone are 20 MB


def test_the_groups_of_all_loads_are_those_of_all_rejects(filled: Database, tmp_path: Path) -> None:
    again = load(filled, tmp_path, "two.csv", HEAD + "6,,1\n7,1,y\n")
    with filled.connect() as connection:
        rows = connection.execute("select load_id::text from penstock.loads").fetchall()
        every = [row[0] for row in rows]
        told = quarantine.groups(connection, loads=every)
        assert told == quarantine.groups(connection)
        assert quarantine.groups(connection, CUSTOMERS, None, every) == quarantine.groups(
            connection, CUSTOMERS, None
        )
        newest = quarantine.groups(connection, loads=[again])
        assert all(one.source.endswith("two.csv") for one in newest)
        assert quarantine.groups(connection, loads=[]) == []
