"""The files of the measurements: the same each time, and exactly one bad row in a hundred."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from bench.generate import generate

ROWS = 12_345


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def wrong(row: dict[str, str], before: dict[str, str], customers: set[str]) -> str:
    """Why the row does not fit, judged as the declared types would; empty where it does."""
    try:
        date.fromisoformat(row["sale_date"])
    except ValueError:
        return "date"
    if not row["units"].isdecimal():
        return "integer"
    if not row["cost"]:
        return "null"
    for name in ("discount", "revenue", "cost", "margin"):
        exponent = Decimal(row[name]).as_tuple().exponent
        if not isinstance(exponent, int) or exponent < -2:
            return "decimals"
    if row["customer_id"] not in customers:
        return "orphan"
    if row["sale_id"] == before.get("sale_id"):
        return "duplicate" if row != before else ""
    return ""


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = (generate(tmp_path / name, 1_000) for name in ("one", "other"))
    assert one.sales.read_bytes() == other.sales.read_bytes()
    assert one.bad.read_bytes() == other.bad.read_bytes()
    assert one.customers.read_bytes() == other.customers.read_bytes()


def test_another_seed_gives_other_rows(tmp_path: Path) -> None:
    one, other = (generate(tmp_path, 1_000, seed) for seed in (1, 2))
    assert one.sales.read_bytes() != other.sales.read_bytes()


def test_every_clean_row_fits_and_has_a_key_of_its_own(tmp_path: Path) -> None:
    files = generate(tmp_path, ROWS)
    customers = {row["customer_id"] for row in read(files.customers)}
    products = {row["product_id"] for row in read(files.products)}
    rows = read(files.sales)
    assert (len(products), len(customers), len(rows)) == (20, 5_000, ROWS)
    assert len({row["sale_id"] for row in rows}) == ROWS
    assert {row["product_id"] for row in rows} == products
    assert Counter(wrong(row, {}, customers) for row in rows) == {"": ROWS}
    for row in rows:
        assert Decimal(row["revenue"]) - Decimal(row["cost"]) == Decimal(row["margin"])


def test_exactly_one_row_in_each_full_hundred_is_bad_in_six_ways(tmp_path: Path) -> None:
    files = generate(tmp_path, ROWS)
    customers = {row["customer_id"] for row in read(files.customers)}
    rows = read(files.bad)
    found = [
        (number // 100, wrong(row, before, customers))
        for number, (before, row) in enumerate(pairwise([{}, *rows]))
    ]
    assert len(rows) == ROWS
    assert [hundred for hundred, why in found if why] == list(range(123))
    # 123 in turn: 20 of each, and one more of the first three.
    assert Counter(why for _, why in found if why) == {
        "date": 21,
        "orphan": 21,
        "integer": 21,
        "decimals": 20,
        "duplicate": 20,
        "null": 20,
    }
    keys = Counter(row["sale_id"] for row in rows)
    assert Counter(keys.values()) == {1: ROWS - 2 * 20, 2: 20}


@pytest.mark.parametrize("rows", [0, 99])
def test_less_than_a_hundred_rows_have_no_bad_one(tmp_path: Path, rows: int) -> None:
    files = generate(tmp_path, rows)
    assert files.bad.read_bytes() == files.sales.read_bytes()
