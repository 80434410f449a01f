"""`penstock rejects replay` as a user runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from penstock import load_table
from tests.fixtures.postgres import Database
from tests.integration.cli.program import counted, label, penstock


@pytest.fixture
def refused(shop: Database, folder: Path) -> Path:
    """Order 12 waits for customer 7, order 13 has a bad amount; both are in wrong.csv."""
    orders = folder / "orders.csv"
    orders.write_text(orders.read_text(encoding="utf-8") + "13,1,x\n", encoding="utf-8")
    load_table(shop.url, folder / "customers.csv")
    wrong = folder / "wrong.csv"
    result = load_table(shop.url, orders, max_rejects="all", rejects_file=wrong)
    assert result.quarantined == 2
    return folder


def _correct(path: Path, order: str, **cells: str) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | (cells if row["order_id"] == order else {}) for row in rows)


def test_a_corrected_file_is_replayed_until_nothing_waits(shop: Database, refused: Path) -> None:
    _correct(refused / "wrong.csv", "13", amount="3")
    said = penstock(refused, "rejects", "replay", "wrong.csv", "--dsn", shop.url)
    assert said.returncode == 3
    assert "orders: 2 read, 1 inserted, 1 quarantined" in said.stderr
    assert "1 reject replayed." in said.stderr
    _correct(refused / "wrong.csv", "12", customer_id="2")
    words = ("rejects", "replay", "wrong.csv", "--json", "--dsn", shop.url)
    said = penstock(refused, *words)
    assert said.returncode == 0
    answer = json.loads(said.stdout)
    assert (answer["target"], answer["replayed"], answer["waiting"]) == (label(shop.url), 1, 0)
    assert [one["why"] for one in answer["skipped"]] == ["replayed"]
    assert [(one["table"], one["read"], one["inserted"]) for one in answer["loads"]] == [
        ("orders", 1, 1)
    ]
    said = penstock(refused, *words)
    assert said.returncode == 0
    answer = json.loads(said.stdout)
    assert (answer["replayed"], answer["loads"], answer["run_id"]) == (0, [], "")
    assert "0 rejects replayed." in said.stderr
    assert "(replayed)" in said.stderr
    assert counted(shop, "orders") == 4
    listed = penstock(refused, "rejects", "list", "--status", "replayed", "--dsn", shop.url)
    assert "orders: 2 rows replayed" in listed.stderr


def test_rejects_are_replayed_as_they_came(shop: Database, refused: Path) -> None:
    with shop.connect() as connection:
        connection.execute("insert into customers values (7, 'Eve')")
    words = ("rejects", "replay", "--table", "orders", "--dsn", shop.url)
    said = penstock(refused, *words, "--code", "23503", "--dry-run")
    assert said.returncode == 0
    assert "1 reject would be replayed." in said.stderr
    assert counted(shop, "orders") == 2
    assert penstock(refused, *words, "--code", "23503").returncode == 0
    assert counted(shop, "orders") == 3
    said = penstock(refused, *words)
    assert said.returncode == 3
    assert 'reject #2: "x"' in said.stderr
    assert penstock(refused, *words, "--rejects-ok").returncode == 0
    assert penstock(refused, *words, "--null", "x").returncode == 0
    assert counted(shop, "orders") == 4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "FILE"),
        (["wrong.csv", "--id", "1"], "FILE"),
        (["wrong.csv", "--code", "23503"], "--code"),
        (["wrong.csv", "--mode", "truncate"], "'append', 'insert_new', 'upsert'"),
        (["wrong.txt"], ".csv or .xlsx"),
        (["--table", "nothere"], "nothere"),
        (["--id", "x"], "not the number of a reject"),
    ],
)
def test_wrong_use_is_said_and_changes_nothing(
    shop: Database, refused: Path, words: list[str], told: str
) -> None:
    (refused / "wrong.txt").touch()
    said = penstock(refused, "rejects", "replay", *words, "--dsn", shop.url)
    assert said.returncode == 2
    assert told in " ".join(said.stderr.split())
    assert counted(shop, "orders") == 2


def test_a_file_that_is_not_there_is_no_wrong_use(shop: Database, refused: Path) -> None:
    said = penstock(refused, "rejects", "replay", "nowhere.csv", "--dsn", shop.url)
    assert said.returncode == 1
    assert "there is no such file" in said.stderr


def test_records_without_fields_are_exported_with_columns_to_fill_in(
    shop: Database, folder: Path
) -> None:
    penstock(folder, "load", "customers.csv", "--dsn", shop.url)
    (folder / "more.csv").write_text("order_id,customer_id,amount\n21,1,5,9\n22,1,5\n")
    words = ("load", "more.csv", "orders", "--max-rejects", "all", "--dsn", shop.url)
    assert penstock(folder, *words).returncode == 3
    as_it_came = penstock(folder, "rejects", "replay", "--table", "orders", "--dsn", shop.url)
    assert as_it_came.returncode == 3, "a row that was named waits still"
    assert "without fields yet" in as_it_came.stderr

    penstock(folder, "rejects", "export", "raw.csv", "orders", "--dsn", shop.url)
    with (folder / "raw.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert [name for name in row if not name.startswith("_")] == [
        "order_id",
        "customer_id",
        "amount",
    ]
    untouched = penstock(folder, "rejects", "replay", "raw.csv", "--dsn", shop.url)
    assert (untouched.returncode, counted(shop, "orders")) == (3, 1)
    filled = row | {"order_id": "21", "customer_id": "1", "amount": "5"}
    with (folder / "raw.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(filled)
    assert penstock(folder, "rejects", "replay", "raw.csv", "--dsn", shop.url).returncode == 0
    assert counted(shop, "orders") == 2
