"""Exported rejects, read back with Python's csv module and with a reader of spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import re
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import fastexcel
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.loading import export
from penstock.loading.export import SpoolPart, check_path, export_spools
from penstock.loading.spool import SCHEMA
from penstock.model.table import TableName

ORDERS = TableName("public", "orders")


def frame(
    values: Sequence[Mapping[str, object] | None],
    faults: Sequence[tuple[str, str, str, str | None]] = (("amount", "22P02", "no number", "x"),),
    raw: Sequence[bytes] = (),
) -> pl.DataFrame:
    size = len(values)
    columns, codes, reasons, bad = (list(part) for part in zip(*faults, strict=True))
    return pl.DataFrame(
        {
            "_row": range(1, size + 1),
            "_line": range(2, size + 2),
            "raw": list(raw) or [b""] * size,
            "values": [None if one is None else json.dumps(one) for one in values],
            "columns": [columns] * size,
            "codes": [codes] * size,
            "reasons": [reasons] * size,
            "bad": [bad] * size,
            "key": [None] * size,
        },
        schema=dict(SCHEMA),
    )


def part(*frames: pl.DataFrame, table: TableName = ORDERS) -> SpoolPart:
    return SpoolPart(table, lambda: frames, lambda row: ("orders.csv", row))


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, strict=True))


def cells(path: Path, sheet: int = 0) -> list[list[str | None]]:
    book = fastexcel.read_excel(path)
    loaded = book.load_sheet(sheet, header_row=None, dtypes="string")
    return [list(row) for row in loaded.to_polars().iter_rows()]


def given_back(field: str) -> str:
    """What a reader that knows the rule makes of a field: one apostrophe is taken away."""
    core = field.lstrip("'")
    begins = core[:1] in set("=+-@\t\r\n\0\uff1d\uff0b\uff0d\uff20") and core
    number = re.fullmatch(r"[+-](\d[\d.,]*|[.,]\d+)([eE][+-]?\d+)?", core, re.ASCII)
    return field[1:] if field != core and begins and not number else field


def test_our_columns_come_first_then_those_of_the_source_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    row = {"zebra": "1", "amount": "x", "apple": "a, b"}
    assert export_spools(path, [part(frame([row]))]) == 1
    assert read(path) == [
        ["_id", "_column", "_reason", "_value", "zebra", "amount", "apple"],
        ["orders.csv:1", "amount", "no number", "x", "1", "x", "a, b"],
    ]


def test_several_faults_of_a_row_are_joined(tmp_path: Path) -> None:
    faults = [("amount", "22P02", "no number", "x"), ("", "23514", "not allowed", None)]
    export_spools(tmp_path / "r.csv", [part(frame([{"amount": "x"}], faults))])
    assert read(tmp_path / "r.csv")[1][1:4] == ["amount; ", "no number; not allowed", "x; "]


def test_a_record_that_could_not_be_split_is_shown_raw(tmp_path: Path) -> None:
    raw = [b"", b'1,"\xff\xc3\xa9']
    export_spools(tmp_path / "r.csv", [part(frame([{"a": "1"}, None], raw=raw))])
    header, split, unsplit = read(tmp_path / "r.csv")
    assert header[4:] == ["a", "_raw"]
    assert split[4:] == ["1", ""]
    assert unsplit[4:] == ["", '1,"\\xff\u00e9']


def test_null_and_the_empty_text_stay_apart(tmp_path: Path) -> None:
    export_spools(tmp_path / "r.csv", [part(frame([{"a": None, "b": "", "c": "x"}]))])
    assert (tmp_path / "r.csv").read_bytes().splitlines()[1] == (
        b'orders.csv:1,amount,no number,x,,"",x'
    )


def test_numbers_of_typed_sources_keep_their_digits(tmp_path: Path) -> None:
    text = '{"a":12345678901234567890.10,"b":true,"c":[1,2]}'
    made = frame([None]).with_columns(values=pl.lit(text))
    export_spools(tmp_path / "r.csv", [part(made)])
    assert read(tmp_path / "r.csv")[1][4:] == ["12345678901234567890.10", "true", '["1", "2"]']


def test_rows_of_several_tables_name_theirs(tmp_path: Path) -> None:
    customers = TableName("shop", "customers")
    parts = [part(frame([{"a": "1"}])), part(frame([{"b": "2", "a": "3"}]), table=customers)]
    assert export_spools(tmp_path / "r.csv", parts) == 2
    assert [row[4:] for row in read(tmp_path / "r.csv")] == [
        ["_table", "a", "b"],
        ["orders", "1", ""],
        ["shop.customers", "3", "2"],
    ]


def test_a_source_column_keeps_a_name_like_ours(tmp_path: Path) -> None:
    export_spools(tmp_path / "r.csv", [part(frame([{"_id": "7", "_raw": "8"}, None]))])
    header = read(tmp_path / "r.csv")[0]
    assert header == ["__id", "_column", "_reason", "_value", "_id", "_raw", "__raw"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+SUM(A1)", "'+SUM(A1)"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("\0=1", "'\0=1"),
        ("\uff1d1", "'\uff1d1"),
        ("'=1", "''=1"),
        ("-5", "-5"),
        ("+49301234567", "+49301234567"),
        ("-1.234,56", "-1.234,56"),
        ("-.5e-3", "-.5e-3"),
        ("-", "'-"),
        ("-1-1", "'-1-1"),
        ("-\u0661", "'-\u0661"),  # an Arabic digit is no plain number
        ("it's", "it's"),
        ("a=1", "a=1"),
    ],
)
def test_what_a_spreadsheet_takes_for_a_formula_begins_with_an_apostrophe(
    tmp_path: Path, value: str, written: str
) -> None:
    path = tmp_path / "r.csv"
    export_spools(path, [part(frame([{value: value}]))])
    text = path.read_text("utf-8-sig")
    # Python's csv module refuses NUL; the field is looked at as it stands.
    if "\0" in value:
        assert text.endswith(f",{written}\n")
    else:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, row = csv.reader(file, strict=True)
        assert (header[4], row[4]) == (written, written)
    assert given_back(written) == value


@given(
    st.lists(
        st.text(st.sampled_from("'=+-@\t\r\n 1.,;\"ae\u00e9\u2028\U0001f600")),
        min_size=1,
        max_size=5,
    )
)
def test_every_value_can_be_given_back(values: list[str]) -> None:
    row = {f"c{place}": value for place, value in enumerate(values)}
    layout = export._Layout(tuple(row), 1, False)
    refused = export._Refused("1", ORDERS, ["a"], ["b"], ["c"], json.dumps(row), b"")
    file = io.BytesIO()
    export._Csv(file, layout).row(layout.cells(refused))
    [found] = list(csv.reader(io.StringIO(file.getvalue().decode(), newline=""), strict=True))
    assert [given_back(field) for field in found[4:]] == values


def test_cells_of_a_sheet_are_texts_never_formulas_or_links(tmp_path: Path) -> None:
    values = {
        "f": "=1+1",
        "u": "https://example.com",
        "n": "007",
        "d": "2024-01-05",
        "c": "a\x01_x0041_",
        "e": None,
        "t": "\ttab",
    }
    path = tmp_path / "r.xlsx"
    assert export_spools(path, [part(frame([values]))]) == 1
    header, row = cells(path)
    assert header[4:] == list(values)
    assert row[4:] == list(values.values())


def test_a_text_longer_than_a_cell_is_cut_and_that_is_said(tmp_path: Path) -> None:
    long = "\U0001f600" * 20_000  # 40,000 units of UTF-16
    export_spools(tmp_path / "r.xlsx", [part(frame([{"a": long, "b": "y" * 32_767}]))])
    row = cells(tmp_path / "r.xlsx")[1]
    assert row[2] == "no number; cut here to what a cell holds: a"
    assert row[4:] == ["\U0001f600" * 16_383, "y" * 32_767]


def test_a_full_sheet_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_SHEET_ROWS", 3)
    export_spools(tmp_path / "r.xlsx", [part(frame([{"a": str(i)} for i in range(5)]))])
    found = [[row[4] for row in cells(tmp_path / "r.xlsx", sheet)] for sheet in range(3)]
    assert found == [["a", "0", "1"], ["a", "2", "3"], ["a", "4"]]


def test_more_columns_than_a_sheet_holds_are_for_csv(tmp_path: Path) -> None:
    wide = {f"c{place}": "1" for place in range(16_384)}
    with pytest.raises(UsageError, match=r"16,384 columns.*\.csv"):
        export_spools(tmp_path / "r.xlsx", [part(frame([wide]))])
    assert list(tmp_path.iterdir()) == []


def test_without_rows_there_is_a_header(tmp_path: Path) -> None:
    assert export_spools(tmp_path / "r.csv", []) == 0
    assert read(tmp_path / "r.csv") == [["_id", "_column", "_reason", "_value"]]


@pytest.mark.parametrize("name", ["r.csv", "r.xlsx"])
def test_the_file_is_private(tmp_path: Path, name: str) -> None:
    export_spools(tmp_path / name, [part(frame([{"a": "1"}]))])
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["r.csv", "r.xlsx"])
def test_an_export_that_breaks_leaves_the_older_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"older")
    good = frame([{"a": "1"}])
    calls = 0

    def frames() -> Iterator[pl.DataFrame]:
        nonlocal calls
        calls += 1
        yield good
        if calls > 1:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        export_spools(path, [SpoolPart(ORDERS, frames, lambda row: ("x", row))])
    assert path.read_bytes() == b"older"
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    export_spools(tmp_path / "link.csv", [])
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text("utf-8-sig").startswith("_id,")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("r.json", r"\.csv or \.xlsx"),
        ("nowhere/r.csv", "no folder"),
        ("folder.csv", "not a plain file"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=said):
        check_path(tmp_path / name)


def test_without_xlsxwriter_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    with pytest.raises(UsageError, match=r"penstock\[excel\]"):
        check_path(tmp_path / "r.xlsx")
    check_path(tmp_path / "r.csv")
