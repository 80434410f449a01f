"""Files of every format in a real table: what lands, and what waits with which reason."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from penstock import LoadResult, SourceError, UsageError, load_star, load_table
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


def test_null_of_json_is_never_the_empty_text(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.ndjson"
    path.write_text('{"id":1,"name":""}\n{"id":2,"name":null}\n', encoding="utf-8")
    with pytest.raises(UsageError, match="null is NULL"):
        load_table(shop.engine(), path, empty="text")
    result = load_table(shop.engine(), path, max_rejects="all")
    assert rows(shop, "id, name") == [(1, "")]
    assert codes(result) == {("name", "23502"): 1}


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


def test_parquet_keeps_its_types_exactly(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    big = Decimal("12345678901234567890123456789.123456789")
    pl.DataFrame(
        {
            "id": [1, 2, 3, 2**40],
            "name": ["a", "b", None, "d"],
            "amount": [0.1, 7.349, 1.0, 1.0],
            "day": [date(2024, 2, 29)] * 4,
            "big": pl.Series([big] * 4, dtype=pl.Decimal(38, 9)),
            "extra": [{"k": [1, 2]}] * 4,
            "ok": [True, None, False, None],
        }
    ).write_parquet(path, row_group_size=2)
    result = load_table(shop.engine(), path, max_rejects="all")
    assert rows(shop, "id, name, amount, day, big, extra::text, ok") == [
        (1, "a", Decimal("0.10"), date(2024, 2, 29), big, '{"k": [1, 2]}', True)
    ]
    assert codes(result) == {("amount", "scale"): 1, ("name", "23502"): 1, ("id", "22003"): 1}
    with shop.connect() as connection:
        found = connection.execute("select record, raw from penstock.rejects order by 1").fetchall()
    assert [record for record, _ in found] == [2, 3, 4]
    assert load_table(shop.engine(), path).skipped


def test_what_the_server_refuses_of_parquet_is_read_again(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    frame = pl.DataFrame({"id": range(150_000), "name": ["a"] * 150_000, "amount": [1.0] * 150_000})
    frame[149_000, "amount"] = 5000.0
    frame[149_001, "id"] = 7
    frame[149_001, "name"] = "b"
    frame.write_parquet(path)
    result = load_table(shop.engine(), path)
    assert (result.inserted, codes(result)) == (
        149_998, {("amount", "23514"): 1, ("id", "23505"): 1},
    )  # fmt: skip
    with shop.connect() as connection:
        found = connection.execute("select record from penstock.rejects order by 1").fetchall()
    assert found == [(149_001,), (149_002,)]


def test_zones_and_fractions_of_parquet_are_not_lost(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute("create table t (at timestamptz, plain timestamp)")
    path = tmp_path / "t.parquet"
    at = datetime(2024, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)
    pl.DataFrame(
        {
            "at": pl.Series([at, at]).dt.convert_time_zone("Europe/Paris"),
            "plain": pl.Series([1, 1000], dtype=pl.Int64).cast(pl.Datetime("ns")),
        }
    ).write_parquet(path)
    result = load_table(database.engine(), path, max_rejects="all")
    assert (result.inserted, result.quarantined) == (1, 1)  # a nanosecond has no place
    with database.connect() as connection:
        (row,) = connection.execute("select at, plain::text from t").fetchall()
    assert row == (at, "1970-01-01 00:00:00.000001")


@pytest.mark.parametrize("content", [b"", b"PAR1 no such thing PAR1", b"id,name\n1,a\n"])
def test_what_is_no_parquet_is_an_error(shop: Database, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "orders.parquet"
    path.write_bytes(content)
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        load_table(shop.engine(), path)


def test_parquet_never_imports_pyarrow(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    pl.DataFrame({"id": [1], "name": ["a"], "extra": [{"k": 1}]}).write_parquet(path)
    code = (
        "import sys, penstock; penstock.load_table(sys.argv[1], sys.argv[2]); "
        "sys.exit('pyarrow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, shop.url, str(path)], check=True)


def test_a_sheet_lands_and_its_error_cells_wait(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.xlsx"
    book = xlsxwriter.Workbook(str(path), {"default_date_format": "dd.mm.yyyy"})
    book.add_worksheet("notes")
    page = book.add_worksheet("orders")
    page.write_row(2, 0, ["id", "name", "amount", "day", "ok"])
    page.write_row(3, 0, [1.0, "007", 17850.0 / 1000, date(2024, 2, 29), True])
    page.write_row(4, 0, [2, "b", 7.349])
    page.write_row(5, 0, [3, "c"])
    page.write_formula(5, 2, "=NA()", None, "#N/A")
    page.write_row(7, 0, [4, "d", 5000])
    book.close()
    with pytest.raises(SourceError, match="--sheet NAME: notes, orders"):
        load_table(shop.engine(), path)
    options = {"sheet": "orders", "max_rejects": "all"}
    result = load_table(shop.engine(), path, **options, round=True)
    assert result.changes == {"rounded": 1}
    assert rows(shop, "id, name, amount, day, ok") == [
        (1, "007", Decimal("17.85"), date(2024, 2, 29), True),
        (2, "b", Decimal("7.35"), None, None),
    ]
    assert codes(result) == {("", "cell"): 1, ("amount", "23514"): 1}
    with shop.connect() as connection:
        found = connection.execute("select line, reasons[1] from penstock.rejects order by 1")
        (cell, check) = found.fetchall()
    assert cell == (6, "C6: the error #N/A")
    assert check[0] == 8


FIXED = {"fixed": "id:2-4,name:5-10,amount:11-17", "records": "1:H=header,D=row,T=trailer:2-4"}


def test_fixed_width_lands_by_position_and_kind(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.dat"
    lines = ["H20240131", "D  1Müller   1.50", "D  2b     7.349  ", "D  3c", "", "T003"]
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    result = load_table(
        shop.engine(), path, "orders", encoding="cp1252", max_rejects="all", **FIXED
    )
    assert (result.read, result.filtered) == (4, 1)
    assert rows(shop, "id, name, amount") == [(1, "Müller", Decimal("1.50"))]
    assert codes(result) == {("amount", "scale"): 1, ("", "short"): 1}
    with shop.connect() as connection:
        found = connection.execute("select line, raw from penstock.rejects order by 1").fetchall()
    assert found == [(3, lines[2].encode()), (4, b"D  3c")]


def test_a_trailer_that_counts_other_rows_fails_the_load(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.dat"
    path.write_text("D  1a        1.50\nT002\n", encoding="utf-8")
    with pytest.raises(SourceError, match="line 2: the trailer says 002, and there are 1 rows"):
        load_table(shop.engine(), path, "orders", **FIXED)
    assert rows(shop, "id") == []


def test_members_of_an_archive_are_inputs_of_one_load(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.zip"
    pl.DataFrame({"id": [4, 4], "name": ["d", "e"]}).write_parquet(tmp_path / "x.parquet")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../evil.csv", "name,id\na,1\nb,x\n")
        archive.writestr("b/2.ndjson.gz", gzip.compress(b'{"id":2,"name":"b"}\n{"id":2'))
        archive.writestr("__MACOSX/._2.ndjson", "noise")
        archive.write(tmp_path / "x.parquet", "c.parquet")
    result = load_table(shop.engine(), path, max_rejects="all")
    assert rows(shop, "id, name") == [(1, "a"), (2, "b"), (4, "d")]
    assert codes(result) == {("id", "22P02"): 1, ("", "json"): 1, ("id", "23505"): 1}
    with shop.connect() as connection:
        found = connection.execute("select source, record from penstock.rejects order by 1")
        assert found.fetchall() == [
            (f"{path}:../../evil.csv", 2), (f"{path}:b/2.ndjson.gz", 2), (f"{path}:c.parquet", 2),
        ]  # fmt: skip
    assert sorted(one.name for one in tmp_path.iterdir()) == ["orders.zip", "x.parquet"]
    assert len(load_table(shop.engine(), path).skipped) == 3


def test_an_archive_says_which_member_has_no_format(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("README", "id,name\n1,a\n")
    with pytest.raises(SourceError, match=r"orders.zip:README.*--format"):
        load_table(shop.engine(), path)
    assert load_table(shop.engine(), path, format="csv").inserted == 1


def test_a_folder_may_mix_formats(shop: Database, tmp_path: Path) -> None:
    (tmp_path / "orders.jsonl").write_text('{"id":1,"name":"a"}\n', encoding="utf-8")
    (result,) = load_star(shop.engine(), tmp_path)
    assert result.inserted == 1


def test_dates_and_numbers_of_a_sheet_may_be_text_too(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.xlsx"
    book = xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd"})
    page = book.add_worksheet()
    page.write_row(0, 0, ["id", "name", "amount", "day"])
    page.write_row(1, 0, [1, "a", 1.234 * 10, date(2024, 2, 1)])
    page.write_row(2, 0, [2, "b", "1.2,5", "01.02.2024"])
    page.write_row(3, 0, [3, "c", "812,34", "01.02.2024"])
    book.close()
    result = load_table(
        shop.engine(), path, dates="DD.MM.YYYY", numbers="1.234,56", max_rejects="all"
    )
    assert rows(shop, "id, amount, day") == [
        (1, Decimal("12.34"), date(2024, 2, 1)), (3, Decimal("812.34"), date(2024, 2, 1)),
    ]  # fmt: skip
    assert codes(result) == {("amount", "22P02"): 1}


def test_options_that_would_be_overlooked_are_refused(shop: Database, tmp_path: Path) -> None:
    path = tmp_path / "orders.parquet"
    pl.DataFrame({"id": [1], "name": ["a"]}).write_parquet(path)
    with pytest.raises(UsageError, match="names its columns"):
        load_table(shop.engine(), path, columns=["id", "name"])
    with pytest.raises(UsageError, match="--no-header is about CSV"):
        load_table(shop.engine(), path, format="excel", header=False, columns=["id", "name"])
