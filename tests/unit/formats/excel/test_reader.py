"""Sheets as rows: what each cell says, which rows are refused, which files are no workbooks."""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from penstock.errors import SourceError, UsageError
from penstock.formats.excel.reader import ExcelReader
from penstock.formats.excel.values import Look, NoValue, look_of, number_text, time_text
from penstock.model.batch import LINE, ROW, Batch
from penstock.model.options import ExcelOptions
from tests.unit.formats.excel.workbooks import workbook

HEADER = '<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row>'


def moment(*parts: int) -> dt.datetime:
    return dt.datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001  Excel knows no zones


def read(path: Path, **options: Any) -> list[Batch]:
    columns = options.pop("columns", None)
    return list(ExcelReader(path, ExcelOptions(**options), columns=columns).batches())


def column(path: Path, name: str = "a") -> list[str | None]:
    return [value for batch in read(path) for value in batch.frame[name]]


def one_cell(path: Path, cell: str, **parts: str) -> Batch:
    cell = cell.replace("<c", '<c r="A2"', 1)
    (batch,) = read(workbook(path, f'{HEADER}<row r="2">{cell}</row>', **parts))
    return batch


def written(path: Path, rows: list[list[Any]], sheet: str = "Sheet1") -> Path:
    book = xlsxwriter.Workbook(str(path), {"default_date_format": "dd/mm/yyyy hh:mm"})
    page = book.add_worksheet(sheet)
    for at, row in enumerate(rows):
        page.write_row(at, 0, row)
    book.close()
    return path


def test_what_a_writer_wrote_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path / "x.xlsx",
        [
            ["code", "amount", "day", "at", "ok", "text"],
            [
                "007",
                17850.0,
                dt.date(2024, 2, 29),
                moment(2024, 2, 29, 13, 5, 7),
                True,
                "a\nb",
            ],
            [None, 0.1 + 0.2, None, moment(1999, 12, 31, 23, 59, 59, 250_000), False, " x "],
        ],
    )
    (batch,) = read(path)
    assert batch.frame.drop(ROW, LINE).rows() == [
        ("007", "17850", "2024-02-29", "2024-02-29 13:05:07", "true", "a\nb"),
        (None, "0.3", None, "1999-12-31 23:59:59.250", "false", " x "),
    ]
    assert batch.frame[LINE].to_list() == [2, 3]
    assert json.loads(batch.raw([0])[0])["amount"] == "17850"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('<c t="s"><v>0</v></c>', "rich text"),
        ('<c t="s"><v>1</v></c>', "a\r_x"),
        ('<c t="str"><f>X()</f><v>made</v></c>', "made"),
        ('<c t="str"><f>X()</f><v></v></c>', ""),
        ("<c><f>1+1</f><v>2</v></c>", "2"),
        ('<c t="d"><v>2024-01-31T00:00:00</v></c>', "2024-01-31"),
        ('<c t="inlineStr"><is><r><t>in</t></r><r><t>line</t></r></is></c>', "inline"),
        ('<c t="b"><v>0</v></c>', "false"),
        ("<c><v>1E-7</v></c>", "0.0000001"),
        ("<c><v>-0</v></c>", "0"),
        ('<c s="1"><v>45351</v></c>', "2024-02-29"),
        ('<c s="1"><v>45351.5</v></c>', "2024-02-29 12:00:00"),
        ('<c s="1"><v>59</v></c>', "1900-02-28"),
        ('<c s="1"><v>61</v></c>', "1900-03-01"),
        ('<c s="3"><v>0.75</v></c>', "18:00:00"),
        ('<c s="4"><v>1.5</v></c>', "36:00:00"),
        ('<c s="9"><v>1.5</v></c>', "1.5"),
    ],
)
def test_each_kind_of_cell_becomes_its_text(tmp_path: Path, cell: str, text: str) -> None:
    texts = (
        "<si><r><t>rich</t></r><r><t xml:space='preserve'> text</t></r>"
        "<rPh><t>said</t></rPh></si><si><t>a_x000D__x005F_x</t></si>"
    )
    batch = one_cell(tmp_path / "x.xlsx", cell, texts=texts)
    assert batch.frame["a"].to_list() == [text]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ('<c t="e"><v>#N/A</v></c>', "A2: the error #N/A"),
        ('<c t="e"><f>1/0</f><v>#DIV/0!</v></c>', "A2: the error #DIV/0!"),
        ("<c><f>1+1</f></c>", "A2: a formula without a stored result"),
        ("<c><v>12345678901234567</v></c>", "more than the 15 digits"),
        ('<c s="1"><v>60</v></c>', "a day that there was not"),
        ('<c s="1"><v>0.5</v></c>', "a day that there was not"),
        ('<c s="1"><v>-1</v></c>', "no day of Excel"),
        ('<c s="1"><v>99999999</v></c>', "no day of Excel"),
        ("<c><v>1e999</v></c>", "no number"),
        ("<c><v>abc</v></c>", "no number"),
        ('<c t="s"><v>7</v></c>', "damaged"),
        ('<c t="inlineStr"><is><t>_x0000_</t></is></c>', "NUL"),
    ],
)
def test_a_cell_without_a_value_refuses_its_row(tmp_path: Path, cell: str, said: str) -> None:
    batch = one_cell(tmp_path / "x.xlsx", cell)
    ((bad,), height) = batch.malformed, batch.frame.height
    assert (bad.line, bad.code, height, batch.records) == (2, "cell", 0, 1)
    assert said in bad.reason


def test_days_may_be_counted_from_1904(tmp_path: Path) -> None:
    batch = one_cell(
        tmp_path / "x.xlsx", '<c s="1"><v>0</v></c>', book='<workbookPr date1904="1"/>'
    )
    assert batch.frame["a"].to_list() == ["1904-01-01"]


def test_blank_rows_are_filtered_and_nameless_values_refused(tmp_path: Path) -> None:
    path = written(
        tmp_path / "x.xlsx",
        [["Report"], [], [None, "a", "b"], [None, 1, 2], [], [None, None, None, 7], ["x", 5, 6]],
    )
    with pytest.raises(SourceError, match="no row 2 with names"):
        ExcelReader(path, ExcelOptions(header_row=2)).columns  # noqa: B018
    (batch,) = read(path, header_row=3)
    assert batch.frame.select(LINE, "a", "b").rows() == [(4, "1", "2")]
    assert [(bad.line, bad.code) for bad in batch.malformed] == [(6, "ragged"), (7, "ragged")]
    assert "D6" in batch.malformed[0].reason


def test_a_header_must_name_every_column_once(tmp_path: Path) -> None:
    gap = written(tmp_path / "gap.xlsx", [["a", None, "c"], [1, 2, 3]])
    with pytest.raises(SourceError, match=r"no name in column B; are\s+cells merged"):
        read(gap)
    (batch,) = read(gap, columns=("x", "y", "z"))
    assert batch.frame.select("x", "y", "z").rows() == [("1", "2", "3")]
    with pytest.raises(SourceError, match="names 2"):
        read(gap, columns=("x", "y"))
    with pytest.raises(SourceError, match="'a' at positions 1, 2"):
        read(written(tmp_path / "twice.xlsx", [["a", "a"]]))
    with pytest.raises(SourceError, match="blank"):
        read(written(tmp_path / "empty.xlsx", []))


def test_a_sheet_is_named_where_there_are_several(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    book = xlsxwriter.Workbook(str(path))
    for tab, number in (("one", 1), ("two", 2), ("2", 3)):
        page = book.add_worksheet(tab)
        page.write_column(0, 0, ["a", number])
    page.hide()
    book.close()
    with pytest.raises(SourceError, match="--sheet NAME: one, two, 2"):
        read(path)
    with pytest.raises(UsageError, match="no sheet three"):
        read(path, sheet="three")
    for sheet, value in (("one", "1"), (1, "1"), ("2", "3"), (3, "3")):
        (batch,) = read(path, sheet=sheet)
        assert batch.frame["a"].to_list() == [value]


def test_rows_are_fetched_again(tmp_path: Path) -> None:
    path = written(tmp_path / "x.xlsx", [["a"], *([n] for n in range(50_000))])
    reader = ExcelReader(path, ExcelOptions(), file=3)
    batches = list(reader.batches())
    assert [batch.frame.height for batch in batches] == [20_000, 20_000, 10_000]
    row = batches[2].frame[ROW][5]
    assert reader.fetch([row]) == {row: (40_007, b'{"a": "40005"}', {"a": "40005"})}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n", "--format csv"),
        (b"", "no .xlsx workbook"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "older Excel format"),
        (b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"), "password"),
        (b"PK\x03\x04 and no more", "damaged"),
    ],
)
def test_other_files_under_its_name_are_told_apart(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "x.xlsx"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=said):
        read(path)


def test_an_archive_of_files_is_no_workbook(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
    with pytest.raises(SourceError, match=r"no .xlsx workbook.*\.zip"):
        read(path)


def test_entities_and_bombs_are_refused(tmp_path: Path) -> None:
    entity = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>'
    with pytest.raises(SourceError, match="document type"):
        read(workbook(tmp_path / "x.xlsx", HEADER, head=entity))
    with pytest.raises(SourceError, match="zip bomb"):
        read(workbook(tmp_path / "y.xlsx", HEADER + " " * (40 << 20)))
    with pytest.raises(SourceError, match="damaged"):
        read(workbook(tmp_path / "z.xlsx", HEADER + "<row>"))


@pytest.mark.parametrize(
    ("number", "code", "look"),
    [
        (0, None, Look.NUMBER), (14, None, Look.DAY), (20, None, Look.TIME),
        (46, None, Look.ELAPSED),
        (170, "yyyy\\-mm\\-dd;@", Look.DAY), (170, "[$-409]d\\-mmm\\-yy", Look.DAY),
        (170, "mmm", Look.DAY), (170, "h:mm AM/PM", Look.TIME), (170, "mm:ss.0", Look.TIME),
        (170, "[h]:mm", Look.ELAPSED), (170, "#,##0.00", Look.NUMBER),
        (170, "General", Look.NUMBER),
        (170, '0 "days"', Look.NUMBER), (170, "[Red]0.00", Look.NUMBER),
        (170, "0.0E+00", Look.NUMBER),
        (170, "d.m.yyyy h:mm", Look.DAY), (170, "#,##0\\ _€", Look.NUMBER),
    ],
)  # fmt: skip
def test_only_the_format_says_that_a_number_is_a_day(number: int, code: str, look: Look) -> None:
    assert look_of(number, code) is look


@pytest.mark.parametrize(
    ("dates", "text"),
    [("DD/MM/YYYY", "09/02/2024"), ("D.M.YYYY", "9.2.2024"), ("YYYYMMDD", "20240209")],
)
def test_days_are_written_as_the_text_cells_beside_them(dates: str, text: str) -> None:
    assert time_text("45331", Look.DAY, since_1904=False, dates=dates) == text
    half = time_text("45331.5", Look.DAY, since_1904=False, dates=dates)
    assert half == f"{text} 12:00:00"


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("123456789012345", "123456789012345"), ("1E+20", "100000000000000000000"),
        ("0.1", "0.1"), ("19.989999999999998", "19.99"), ("1.10", "1.1"), ("100", "100"),
        ("1E-300", "0." + "0" * 299 + "1"),
    ],
)  # fmt: skip
def test_numbers_have_the_digits_that_excel_shows(stored: str, text: str) -> None:
    assert number_text(stored) == text


def test_milliseconds_are_not_lost_and_floating_point_does_not_show() -> None:
    at = moment(2024, 7, 1, 10, 0, 0, 1000)
    serial = repr((at - moment(1899, 12, 30)) / dt.timedelta(days=1))
    assert time_text(serial, Look.DAY, since_1904=False) == "2024-07-01 10:00:00.001"
    with pytest.raises(NoValue):
        time_text("nan", Look.DAY, since_1904=False)
