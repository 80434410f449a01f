"""The proposed command: only the options that are needed, and each as a load reads it."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.loading.change import column_names, new_name
from penstock.loading.load import options_from
from penstock.loading.proposal import command_words
from penstock.model.table import TableName


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, []),
        ({"delimiter": "\t", "quote": ""}, ["--delimiter", "tab", "--quote", "none"]),
        ({"encoding": "cp1252"}, ["--encoding", "cp1252"]),
        ({"header": False, "columns": ["a", "b"]}, ["--no-header", "--columns", "a,b"]),
        ({"columns": {"A B": "c"}}, ["--columns", "A B=c"]),
        ({"dates": "DD/MM/YYYY", "numbers": "1,5"}, ["--dates", "DD/MM/YYYY", "--numbers", "1,5"]),
        ({"null": ("NA", "-")}, ["--null", "NA", "--null=-"]),
        ({"empty": "null", "round": True}, ["--empty", "null", "--round"]),
        ({"format": "excel", "sheet": 2, "header_row": 3},
         ["--format", "excel", "--sheet", "2", "--header-row", "3"]),
        ({"fixed": "id:1-6,name:7-30", "records": "1:H=header,D=row,T=trailer:2-9"},
         ["--fixed", "id:1-6,name:7-30", "--records", "1-1:H=header,D=row,T=trailer:2-9"]),
        ({"ignore_extra": True}, ["--ignore-extra"]),
    ],
)  # fmt: skip
def test_only_what_is_not_a_default_is_proposed(given: dict[str, Any], words: list[str]) -> None:
    options = options_from(**given)
    assert command_words(["a.csv"], "a", options, create=False) == [
        *("penstock", "load", "a.csv"),
        *words,
    ]


def test_the_table_is_named_where_the_file_is_not_named_after_it() -> None:
    options = options_from()
    assert command_words(["x/a.csv.gz"], "b", options, create=True)[2:] == [
        *("x/a.csv.gz", "b", "--create"),
    ]
    assert command_words(["a.csv", "a.csv"], "a", options, create=False)[-1] == "a"


@pytest.mark.parametrize(
    ("names", "new"),
    [
        (["Order No", "unit-price", "a.b"], ["order_no", "unit_price", "a_b"]),
        (["A B", "a_b", "C"], ["A B", "a_b", "c"]),
        (["Größe (cm)", "%"], ["größe_(cm)", "%"]),
    ],
)
def test_columns_are_named_as_a_header_finds_them_again(names: list[str], new: list[str]) -> None:
    assert list(column_names(names).values()) == new


def test_a_name_longer_than_postgresql_keeps_is_refused() -> None:
    assert column_names(["é" * 31])["é" * 31] == "é" * 31
    with pytest.raises(UsageError, match="63 bytes"):
        column_names(["é" * 32])


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Sales", TableName("public", "sales")),
        ("Shop.Sales", TableName("shop", "sales")),
        ('"Sales"', TableName("public", "Sales")),
    ],
)
def test_a_new_table_is_named_as_postgresql_would(written: str, name: TableName) -> None:
    assert new_name(written) == name
