"""What programs write at the edges of their formats: exact, or refused clearly and fast."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from penstock import LoadResult, SourceError, UsageError, load_table
from tests.fixtures.postgres import Database

#: Levels of nesting that exhaust a recursive reader's stack.
DEEP = 100_000


def load(database: Database, path: Path, table: str = "t", **options: Any) -> LoadResult:
    result = load_table(database.engine(), path, table, max_rejects="all", **options)
    assert result.balanced
    return result


def run(database: Database, statements: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        cursor = connection.execute(statements.encode())
        return cursor.fetchall() if cursor.description else []


def int96(path: Path, moments: list[datetime | None]) -> Path:
    arrow: Any = import_module("pyarrow")
    table = arrow.table({"at": arrow.array(moments, arrow.timestamp("us"))})
    writer: Any = import_module("pyarrow.parquet")
    # As Spark and Impala write them: nothing beside them says that they are microseconds.
    writer.write_table(table, path, use_deprecated_int96_timestamps=True, store_schema=False)
    return path


def test_int96_timestamps_are_exact(database: Database, tmp_path: Path) -> None:
    moments = [
        datetime(2024, 1, 31, 8, 30, 0, 123456, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1700, 1, 1, tzinfo=UTC),
        datetime(2262, 4, 11, tzinfo=UTC),
    ]
    naive = [one.replace(tzinfo=None) for one in moments]
    path = int96(tmp_path / "t.parquet", [*naive, None])
    run(database, "create table t (at timestamp); create table z (at timestamptz)")
    assert load(database, path).inserted == 5
    assert load(database, path, "z", timezone="UTC").inserted == 5
    assert [at for (at,) in run(database, "select at from t")] == [*naive, None]
    assert [at for (at,) in run(database, "select at from z")] == [*moments, None]


@pytest.mark.parametrize("year", [1, 1600, 2300, 9999])
@pytest.mark.parametrize("options", [{}, {"round": True}], ids=["as it is", "rounded"])
def test_int96_beyond_nanoseconds_is_never_another_moment(
    database: Database, tmp_path: Path, year: int, options: dict[str, bool]
) -> None:
    path = int96(tmp_path / "t.parquet", [datetime(2024, 1, 31), datetime(year, 12, 31)])  # noqa: DTZ001  naive, as in the file
    run(database, "create table t (at timestamp); create table x (at text)")
    for table in ("t", "x"):
        with pytest.raises(UsageError, match=r"column at.*outside of 1677 to 2262"):
            load(database, path, table, **options)
    assert run(database, "select at::text from t union all select at from x") == []


def test_decimals_of_38_digits_keep_each_of_them(database: Database, tmp_path: Path) -> None:
    values = [
        Decimal("1234567890123456789012345678.0123456789"),
        Decimal("-9999999999999999999999999999.9999999999"),
        Decimal("0.0000000001"),
        None,
    ]
    series = pl.Series("d", values, dtype=pl.Decimal(38, 10))
    pl.DataFrame([series, series.alias("e")]).write_parquet(tmp_path / "t.parquet")
    run(database, "create table t (d numeric(38,10), e numeric)")
    assert load(database, tmp_path / "t.parquet").inserted == 4
    assert run(database, "select d, e from t") == [(one, one) for one in values]


def test_nested_values_of_parquet_are_json_with_all_digits(
    database: Database, tmp_path: Path
) -> None:
    inner = pl.Struct({"price": pl.Decimal(10, 2), "at": pl.Datetime("us")})
    rows = [
        {"lines": [{"price": Decimal("1.50"), "at": datetime(2024, 1, 1, tzinfo=UTC)}], "x": None},
        {"lines": [], "x": 'é"\\'},
        None,
    ]
    frame = pl.DataFrame(
        {"n": rows}, schema={"n": pl.Struct({"lines": pl.List(inner), "x": pl.String})}
    )
    frame.write_parquet(tmp_path / "t.parquet")
    run(database, "create table t (n jsonb)")
    assert load(database, tmp_path / "t.parquet").inserted == 3
    texts = [text for (text,) in run(database, "select n::text from t")]
    assert '"price": 1.50' in texts[0]
    assert [None if text is None else json.loads(text) for text in texts] == [
        {"lines": [{"price": 1.5, "at": "2024-01-01T00:00:00"}], "x": None},
        {"lines": [], "x": 'é"\\'},
        None,
    ]


@pytest.mark.parametrize("nested", ["[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP])
def test_deep_nesting_is_refused_clearly_and_fast(
    database: Database, tmp_path: Path, nested: str
) -> None:
    run(database, "create table t (id int, j jsonb, js json)")
    began = time.process_time()
    lines = tmp_path / "t.ndjson"
    lines.write_text(f'{{"id":1,"j":{nested}}}\n{{"id":2,"j":[]}}\n', encoding="utf-8")
    result = load(database, lines)
    assert (result.inserted, [reason.code for reason in result.reasons]) == (1, ["too_deep"])
    quoted = nested.replace('"', '""')
    text = tmp_path / "t.csv"
    text.write_text(f'id,j,js\n1,"{quoted}",\n2,[],[]\n3,,"{quoted}"\n', encoding="utf-8")
    result = load(database, text)
    assert (result.inserted, {reason.code for reason in result.reasons}) == (1, {"54001"})
    document = tmp_path / "t.json"
    document.write_text(f'[{{"id":1,"j":{nested}}}]', encoding="utf-8")
    with pytest.raises(SourceError, match="nested too deep"):
        load(database, document)
    document.write_text(f'{{"skipped":{nested},"data":[{{"id":9}}]}}', encoding="utf-8")
    assert load(database, document, json_path="data").inserted == 1
    assert time.process_time() - began < 20, "seconds of work, however busy the machine"
