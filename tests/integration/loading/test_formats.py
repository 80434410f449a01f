"""Files of every format in a real table: what lands, and what waits with which reason."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from penstock import LoadResult, SourceError, UsageError, load_table
from tests.fixtures.postgres import Database

TABLE = """
create table orders (
    id int primary key, name text not null, amount numeric(10,2) check (amount < 1000),
    day date, big numeric, extra jsonb, ok boolean
)
"""


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(TABLE)
    return database


def rows(shop: Database, columns: str) -> list[tuple[object, ...]]:
    with shop.connect() as connection:
        return connection.execute(f"select {columns} from orders order by id".encode()).fetchall()


def codes(result: LoadResult) -> dict[tuple[str, str], int]:
    assert result.balanced
    return {(reason.column, reason.code): reason.rows for reason in result.reasons}


def waiting(shop: Database) -> list[tuple[object, ...]]:
    with shop.connect() as connection:
        return connection.execute(
            "select source, line, convert_from(raw, 'utf8'), codes from penstock.rejects "
            "order by line"
        ).fetchall()


def test_ndjson_lands_exactly_and_its_bad_lines_wait(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl.gz"
    lines = [
        '{"id":1,"name":"a","amount":1.50,"day":"2024-01-31","big":12345678901234567890.5,"extra":"12"}',
        '{"id":2,"name":"b\\u00fc","amount":7.349,"extra":{"k": [1.10]}}',
        '{"id":3,"name":"c","amount":2000,"extra":null}',
        '{"id":4,"name":"d","big":1e3,"extra":{"k": [1.10]},"ok":true}',
        '{"id":4.0,"name":"again"}',
        "",
        '{"id":6,"name":',
        '{"name":"no id"}',
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    result = load_table(shop.engine(), path, "orders", max_rejects="all")
    assert (result.read, result.inserted, result.filtered, result.quarantined) == (8, 2, 1, 5)
    assert rows(shop, "id, name, amount::text, day::text, big::text, extra::text, ok") == [
        (1, "a", "1.50", "2024-01-31", "12345678901234567890.5", '"12"', None),
        (4, "d", None, None, "1000", '{"k": [1.10]}', True),
    ]
    assert codes(result) == {
        ("amount", "scale"): 1, ("amount", "23514"): 1, ("id", "23505"): 1, ("", "json"): 1,
        ("id", "23502"): 1,
    }  # fmt: skip
    assert [(line, raw) for _, line, raw, _ in waiting(shop)] == [
        (at, lines[at - 1]) for at in (2, 3, 5, 7, 8)
    ]


def test_unknown_keys_are_named_and_may_be_left_out(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.ndjson"
    path.write_text('{"id":1,"name":"a","colour":"red"}\n', encoding="utf-8")
    with pytest.raises(SourceError, match=r'no column "colour".*--ignore-extra'):
        load_table(shop.engine(), path)
    assert load_table(shop.engine(), path, ignore_extra=True).inserted == 1
    assert load_table(shop.engine(), path, ignore_extra=True).skipped


def test_numbers_of_json_are_not_read_as_declared_for_text(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.ndjson"
    path.write_text('{"id":1,"name":"a","amount":1.234}\n', encoding="utf-8")
    with pytest.raises(UsageError, match="Load it apart"):
        load_table(shop.engine(), path, numbers="1.234,56")


def test_a_json_document_lands_from_its_path(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.json"
    path.write_text(
        '{"page": 1, "data": {"orders": [\n{"id": 1, "name": "a", "amount": 0.10},\n'
        '{"id": 2, "name": "b", "amount": 5000},\n{"id": 3, "name": null}, 5]}}',
        encoding="utf-8",
    )
    with pytest.raises(SourceError, match="--json-path"):
        load_table(shop.engine(), path)
    result = load_table(shop.engine(), path, json_path="data.orders", max_rejects="all")
    assert rows(shop, "id, name, amount::text") == [(1, "a", "0.10")]
    assert codes(result) == {("amount", "23514"): 1, ("name", "23502"): 1, ("", "not_object"): 1}
    assert [line for _, line, _, _ in waiting(shop)] == [3, 4, 4]
