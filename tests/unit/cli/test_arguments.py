"""`FILE... [TABLE]` and the options that hold more than one word."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli.arguments import (
    character_of,
    columns_of,
    files_and_table,
    names_of,
    orphans_of,
    quote_of,
    seconds_of,
)
from penstock.errors import SourceError, UsageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("sales.csv", "2024-01.csv", "2024-02.csv", "products.csv.gz"):
        (tmp_path / name).touch()
    (tmp_path / "customers").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "files", "table"),
    [
        (["sales.csv"], ["sales.csv"], "sales"),
        (["products.csv.gz"], ["products.csv.gz"], "products"),
        (["sales.csv", "fact_sales"], ["sales.csv"], "fact_sales"),
        (["sales.csv", "shop.sales"], ["sales.csv"], "shop.sales"),
        (["2024-*.csv", "sales"], ["2024-01.csv", "2024-02.csv"], "sales"),
        (["2024-01.csv", "sales.csv", "sales"], ["2024-01.csv", "sales.csv"], "sales"),
        (["sales.csv", "sal?s.csv"], ["sales.csv"], "sales"),
        (["sales.csv", "customers"], ["sales.csv"], "customers"),
    ],
)
def test_the_last_word_is_the_table_unless_it_is_a_file(
    folder: Path, words: list[str], files: list[str], table: str
) -> None:
    assert files_and_table(words) == ([Path(name) for name in files], table)


def test_files_of_different_names_need_a_table(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"2024-01, sales.*load-star"):
        files_and_table(["2024-01.csv", "sales.csv"])


@pytest.mark.parametrize("words", [["sales.csv", "salse.csv"], ["nope"], ["no/such", "t"]])
def test_a_mistyped_file_is_missing_and_no_table(folder: Path, words: list[str]) -> None:
    with pytest.raises(SourceError, match="Nothing there"):
        files_and_table(words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b,c", ["a", "b", "c"]),
        ("a", ["a"]),
        (" a , b ", ["a", "b"]),
        ('"a,b",c', ["a,b", "c"]),
        ("Order No=order_id", {"Order No": "order_id"}),
        ("a=b, c=d", {"a": "b", "c": "d"}),
        ("a=b=c", {"a=b": "c"}),
    ],
)
def test_columns_are_names_or_renames(text: str, expected: object) -> None:
    assert columns_of(text) == expected


@pytest.mark.parametrize("text", ["", "a,,b", "a=b,c", "=b", "a=", "a=b,a=c"])
def test_columns_of_no_such_form_are_wrong_use(text: str) -> None:
    with pytest.raises(UsageError, match="--columns"):
        columns_of(text)


def test_orphans_are_policies_of_columns() -> None:
    words = ["customer_id=placeholder", "sales.product_id=null"]
    assert orphans_of(words) == {"customer_id": "placeholder", "sales.product_id": "null"}


@pytest.mark.parametrize("words", [["customer_id"], ["=null"], ["a="], ["a=null", "a=null"]])
def test_orphans_of_no_such_form_are_wrong_use(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--orphans"):
        orphans_of(words)


@pytest.mark.parametrize(("text", "char"), [(";", ";"), ("tab", "\t"), (r"\t", "\t"), ("\t", "\t")])
def test_the_tabulator_has_a_name(text: str, char: str) -> None:
    assert character_of(text, "delimiter") == char


@pytest.mark.parametrize("text", ["", ";;", "comma"])
def test_a_delimiter_is_one_character(text: str) -> None:
    with pytest.raises(UsageError, match="--delimiter takes one character"):
        character_of(text, "delimiter")


def test_a_file_may_have_no_quoting() -> None:
    assert (quote_of("none"), quote_of(""), quote_of("'")) == ("", "", "'")


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_seconds_are_zero_or_more(value: float) -> None:
    with pytest.raises(UsageError, match="--max-lock takes a number of seconds"):
        seconds_of(value, "max-lock")


def test_names_are_not_empty() -> None:
    assert names_of("a, b", "tables") == ["a", "b"]
    with pytest.raises(UsageError, match="--tables"):
        names_of("a,,b", "tables")
