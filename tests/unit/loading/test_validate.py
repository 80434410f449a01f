"""Batches against columns: faults, changes, origins, declarations."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from penstock.errors import UsageError
from penstock.loading.types.typed import to_text
from penstock.loading.validate import Checked, Validator
from penstock.model.options import Grammar
from tests.fixtures.columns import column
from tests.fixtures.values import VALUES

SALES = [
    column("bigint", "id", nullable=False),
    column("date", "day"),
    column("numeric(10,2)", "price"),
    column("character varying(3)", "code"),
]


def batch(
    *rows: Sequence[str | None], names: Sequence[str] = ("id", "day", "price", "code")
) -> pl.DataFrame:
    """The rows as a text frame; records count from 1, lines from 2."""
    texts = pl.DataFrame(list(rows), schema=dict.fromkeys(names, pl.String), orient="row")
    return texts.with_columns(
        pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("_row"),
        pl.int_range(2, pl.len() + 2, dtype=pl.Int64).alias("_line"),
    )


def faults(checked: Checked) -> list[tuple[int, str, str]]:
    return checked.faults.select("_row", "column", "code").rows()


def test_a_clean_batch_is_typed_in_order_without_faults() -> None:
    frame = batch(("1", "2024-01-09", "7.30", "abc"), ("2", None, None, None))
    checked = Validator(SALES, Grammar()).check(frame)
    assert checked.good.schema == {
        "id": pl.Int64,
        "day": pl.Date,
        "price": pl.Decimal(10, 2),
        "code": pl.String,
        "_row": pl.Int64,
        "_line": pl.Int64,
    }
    assert checked.good.select("id", "price", "code", "_row", "_line").rows() == [
        (1, Decimal("7.30"), "abc", 1, 2),
        (2, None, None, 2, 3),
    ]
    assert checked.bad.is_empty()
    assert checked.faults.is_empty()
    assert checked.changes == {"rounded": 0, "trimmed": 0}


def test_every_bad_column_of_a_row_is_named_in_order() -> None:
    frame = batch(
        ("1", "2024-01-09", "7.3", "abc"),
        ("x", "2024-02-30", "7.349", "abcd"),
        (" 3 ", "2024-01-09", "1e2", "abc"),
    )
    checked = Validator(SALES, Grammar()).check(frame)
    assert faults(checked) == [
        (2, "id", "22P02"),
        (2, "day", "22008"),
        (2, "price", "scale"),
        (2, "code", "22001"),
        (3, "price", "22P02"),
    ]
    assert checked.faults.get_column("value").to_list() == [
        "x",
        "2024-02-30",
        "7.349",
        "abcd",
        "1e2",
    ]
    assert checked.bad.rows() == [(1, 2, 3), (2, 3, 4)]
    assert checked.bad.columns == ["position", "_row", "_line"]
    assert checked.good.select("id", "_row", "_line").rows() == [(1, 1, 2)]


def test_acquitted_suspects_carry_their_careful_values() -> None:
    frame = batch((" 1", "2024-01-09 00:00", "7.", "a"), ("2.0", " 2024-01-10", "+.5", "b"))
    checked = Validator(SALES, Grammar()).check(frame)
    assert checked.faults.is_empty()
    assert checked.good.get_column("id").to_list() == [1, 2]
    assert checked.good.get_column("day").cast(pl.String).to_list() == ["2024-01-09", "2024-01-10"]
    assert checked.good.get_column("price").to_list() == [Decimal("7.00"), Decimal("0.50")]


def test_null_in_a_not_null_column_is_a_fault() -> None:
    columns = [
        column("integer", "a", nullable=False),
        column("text", "b", nullable=False, has_default=True),
    ]
    frame = batch((None, "x"), ("NA", None), ("y", "NA"), ("1", ""), names=("a", "b"))
    checked = Validator(columns, Grammar(null=("NA",))).check(frame)
    assert checked.faults.rows() == [
        (1, "a", "23502", "no value, and a is NOT NULL", None),
        (2, "a", "23502", "NA means NULL, and a is NOT NULL", "NA"),
        (
            2,
            "b",
            "23502",
            "no value, and b is NOT NULL; its default is taken only where the input has no such"
            " column",
            None,
        ),
        (3, "a", "22P02", "y is not an integer", "y"),
        (
            3,
            "b",
            "23502",
            "NA means NULL, and b is NOT NULL; its default is taken only where the input has no"
            " such column",
            "NA",
        ),
    ]
    assert checked.good.rows() == [(1, "", 4, 5)]


def test_texts_that_mean_null_are_matched_exactly() -> None:
    columns = [column("integer", "a"), column("text", "b")]
    frame = batch(("-999", "NA"), ("-999.0", "na"), (" -999", " NA"), names=("a", "b"))
    checked = Validator(columns, Grammar(null=("NA", "-999"))).check(frame)
    assert checked.good.select("a", "b").rows() == [(None, None), (-999, "na"), (-999, " NA")]


@pytest.mark.parametrize(
    ("empty", "number", "text"),
    [
        (None, "22P02", [None, ""]),
        ("null", None, [None, None]),
        ("text", "22P02", ["", ""]),
    ],
)
def test_empty_says_what_empty_fields_mean(
    empty: str | None, number: str | None, text: list[str | None]
) -> None:
    grammar = Grammar(empty=empty)
    texts = Validator([column("text", "a")], grammar).check(batch((None,), ("",), names=("a",)))
    assert texts.good.get_column("a").to_list() == text
    numbers = Validator([column("integer", "a")], grammar).check(
        batch((None,), ("",), names=("a",))
    )
    assert numbers.faults.get_column("code").to_list() == ([] if number is None else [number])


def test_only_changes_of_accepted_rows_are_counted() -> None:
    frame = batch(
        ("1", "2024-01-09", "7.345", " ab "),
        ("2", "2024-01-09", "7.30", "ab"),
        ("x", "2024-01-09", "7.345", " ab "),
    )
    checked = Validator(SALES, Grammar(round=True, trim=True)).check(frame)
    assert checked.changes == {"rounded": 1, "trimmed": 1}
    assert checked.good.get_column("price").to_list() == [Decimal("7.35"), Decimal("7.30")]
    assert checked.good.get_column("code").to_list() == ["ab", "ab"]


def test_a_text_that_trimming_empties_is_missing_in_a_not_null_column() -> None:
    columns = [column("text", "a", nullable=False)]
    grammar = Grammar(trim=True, empty="null")
    checked = Validator(columns, grammar).check(batch(("  ",), ("",), (" x",), names=("a",)))
    assert faults(checked) == [(1, "a", "23502"), (2, "a", "23502")]
    assert checked.good.get_column("a").to_list() == ["x"]


def test_declarations_of_text_do_not_touch_typed_columns() -> None:
    columns = [column("date", "day"), column("numeric(10,2)", "price"), column("text", "note")]
    grammar = Grammar(dates="DD/MM/YYYY", numbers="1.234,56", empty="text")
    frame = pl.DataFrame({"day": ["09/01/2024"], "price": [7.5], "note": [None]})
    texts = to_text(frame).with_columns(
        pl.lit(1, pl.Int64).alias("_row"), pl.lit(0, pl.Int64).alias("_line")
    )
    checked = Validator(columns, grammar, typed_columns={"price", "note"}).check(texts)
    assert checked.good.select(pl.col("day").cast(pl.String), "price", "note").rows() == [
        ("2024-01-09", Decimal("7.50"), None)
    ]


def test_names_of_columns_may_be_anything() -> None:
    names = ["t0", "s1", "text", "position", 'a "b"; --', "*", "^x.*$"]
    columns = [column("integer", name) for name in names]
    frame = batch(["1"] * 7, ["x", *["2"] * 5, "y"], names=names)
    checked = Validator(columns, Grammar()).check(frame)
    assert checked.good.rows() == [(1, 1, 1, 1, 1, 1, 1, 1, 2)]
    assert faults(checked) == [(2, "t0", "22P02"), (2, "^x.*$", "22P02")]


def test_an_empty_batch_stays_empty_and_typed() -> None:
    checked = Validator(SALES, Grammar(null=("NA",), trim=True)).check(batch())
    assert checked.good.height == checked.bad.height == checked.faults.height == 0
    assert list(checked.good.schema.values())[:2] == [pl.Int64, pl.Date]


def test_a_batch_of_bad_rows_alone_leaves_none() -> None:
    checked = Validator(SALES, Grammar()).check(
        batch(("x", None, None, None), ("", None, None, None))
    )
    assert checked.good.height == 0
    assert checked.bad.get_column("position").to_list() == [0, 1]


@pytest.mark.parametrize(
    "grammar",
    [Grammar(dates="x"), Grammar(numbers="x"), Grammar(timezone="x"), Grammar(empty="x")],
)
def test_a_senseless_declaration_is_wrong_use_even_where_no_column_needs_it(
    grammar: Grammar,
) -> None:
    with pytest.raises(UsageError):
        Validator([column("text", "a")], grammar)


def test_dtypes_are_those_of_the_typed_columns() -> None:
    validator = Validator(SALES, Grammar())
    assert validator.dtypes == (pl.Int64(), pl.Date(), pl.Decimal(10, 2), pl.String())


TYPES = ["integer", "numeric(10,2)", "numeric", "date", "timestamptz", "boolean", "jsonb", "text"]
SHORT = {t: [text for text, _ in VALUES[t] if len(text) < 50] for t in TYPES}


@given(
    st.lists(st.tuples(*(st.none() | st.sampled_from(SHORT[t]) for t in TYPES)), max_size=25),
    st.lists(st.integers(0, 25), max_size=3),
    st.sampled_from(
        [Grammar(), Grammar(round=True, trim=True, timezone="Europe/Berlin", null=("NA", "0"))]
    ),
)
def test_the_result_does_not_depend_on_how_batches_are_cut(
    rows: list[tuple[str | None, ...]], cuts: list[int], grammar: Grammar
) -> None:
    columns = [column(t, t, nullable=t != "integer") for t in TYPES]
    validator = Validator(columns, grammar)
    frame = batch(*rows, names=TYPES)
    whole = validator.check(frame)
    edges = sorted({0, frame.height, *(min(cut, frame.height) for cut in cuts)})
    parts = [
        validator.check(frame.slice(start, end - start)) for start, end in pairwise(edges)
    ] or [whole]
    assert_frame_equal(whole.good, pl.concat(part.good for part in parts))
    assert_frame_equal(whole.faults, pl.concat(part.faults for part in parts))
    assert whole.changes == {
        name: sum(part.changes[name] for part in parts) for name in ("rounded", "trimmed")
    }
    assert whole.good.height + whole.bad.height == frame.height
    assert set(whole.faults.get_column("_row")) == set(whole.bad.get_column("_row"))
