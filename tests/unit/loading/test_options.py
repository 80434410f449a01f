"""Options from flat names: which values are refused before anything is tried."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.loading.load import budget_from, options_from
from penstock.model.options import Budget, FixedOptions, Format


@pytest.mark.parametrize(
    "name",
    [
        "idna",
        "punycode",
        "unicode_escape",
        "unicode-escape",
        "Raw_Unicode_Escape",
        "undefined",
        "rot13",
        "hex",
        "zlib_codec",
        "base64",
    ],
)
def test_codecs_that_are_no_encodings_of_text_files_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is not the encoding of a text file: --encoding"):
        options_from(encoding=name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("utf-9", r'no encoding "utf-9"\. Did you mean utf-8\?'),
        ("utf9", r"Did you mean utf8\?"),
        ("latn-1", r"Did you mean latin-1\?"),
        ("", 'no encoding "".*--encoding utf-8, cp1252'),
        ("utf-8\0", "no encoding"),
        (8, 'no encoding "8"'),
    ],
)
def test_an_unknown_encoding_is_answered_with_the_nearest(name: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        options_from(encoding=name)


@pytest.mark.parametrize(
    "name", ["utf-8", "UTF8", "utf-8-sig", "utf-16", "utf-32-be", "cp1252", "cp037", "shift_jis"]
)
def test_encodings_of_text_files_are_taken(name: str) -> None:
    assert options_from(encoding=name).csv.encoding == name


@pytest.mark.parametrize("given", [-5, "-5", True, False, "nan%", "101%", "-1%", "some", 0.5, ""])
def test_a_budget_that_is_none_is_refused(given: str | int | float) -> None:
    with pytest.raises(UsageError, match=r"not a share \(1%\), a number \(100\) or all"):
        budget_from(given)


def test_budgets_are_numbers_shares_or_all() -> None:
    assert budget_from(0) == budget_from("0") == Budget(share=None, rows=0)
    assert budget_from(100) == Budget(share=None, rows=100)
    assert budget_from("2%") == Budget(share=0.02)
    assert budget_from("all") == Budget(share=None, rows=None)


def test_options_of_formats_are_flat_names() -> None:
    options = options_from(format="json", json_path="a.b", sheet="S", header_row=3)
    assert options.format is Format.JSON
    assert (options.json.path, options.excel.sheet, options.excel.header_row) == ("a.b", "S", 3)
    fixed = options_from(fixed="a:1-2", records="3:D=row").fixed
    assert fixed == FixedOptions(fields=(("a", 1, 2),), kind=(3, 3), details=("D",))
    assert options_from(fixed=fixed).fixed is fixed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"format": "xml"}, '"xml" is not one of csv, ndjson, json, parquet, excel, fixed'),
        ({"header_row": 0}, "0 is no row"),
        ({"records": "1:D=row"}, "--records goes with --fixed"),
        ({"fixed": "a"}, "no name or no position"),
    ],
)
def test_options_of_formats_that_make_no_sense_are_told(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        options_from(**given)
