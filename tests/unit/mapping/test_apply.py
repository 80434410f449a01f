"""What a map makes of rows, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import Field, Lookup, Map, UsageError, checks

Values = Sequence[Any]


def made(how: Any, values: Values) -> tuple[list[Any], list[tuple[int, str]], dict[str, int]]:
    """What a field makes of the values of a column `a`, what it refuses, and what it changed."""
    mapped = Map({"f": how}).apply(pl.DataFrame({"a": values}))
    faults = mapped.faults.select("position", "code").rows()
    return mapped.frame["f"].to_list(), faults, mapped.changes


def test_text_stays_as_it_is_written() -> None:
    assert made("a", [" 007 ", "", None]) == ([" 007 ", "", None], [], {})


def test_a_constant_stands_in_every_row() -> None:
    frame = pl.DataFrame({"_row": [7, 9]}, schema={"_row": pl.Int64})
    mapped = Map({"source": pl.lit("erp"), "n": 3, "day": date(2024, 1, 9)}).apply(frame)
    assert mapped.frame.rows() == [(7, "erp", 3, date(2024, 1, 9)), (9, "erp", 3, date(2024, 1, 9))]


def test_origin_comes_first_and_is_kept() -> None:
    frame = pl.DataFrame({"a": ["x"], "_line": [12], "_row": [11]})
    assert Map({"f": "a"}).apply(frame).frame.row(0, named=True) == {
        "_row": 11, "_line": 12, "f": "x"
    }  # fmt: skip


def test_cleaning_follows_the_order_in_which_it_is_named() -> None:
    how = Field("a", clean=("trim", "squeeze", "upper", "empty_to_null"))
    assert made(how, ["  new   york ", "  "]) == (["NEW YORK", None], [], {})


def test_declared_dates_become_iso_and_others_refuse_their_row() -> None:
    how = Field("a", dates="D.M.YYYY")
    values = ["1.2.2024", "31.12.1999 10:15", "30.02.2024", "2024-02-01", None, ""]
    assert made(how, values) == (
        ["2024-02-01", "1999-12-31 10:15", None, None, None, None],
        [(2, "type"), (3, "type"), (5, "type")],
        {},
    )


def test_declared_numbers_get_a_point_and_lose_their_groups() -> None:
    how = Field("a", numbers="1.234,56")
    assert made(how, ["1.234,50", "-7", " 3,1 ", "1.2,3", "1.5"]) == (
        ["1234.50", "-7", "3.1", None, None],
        [(3, "type"), (4, "type")],
        {},
    )


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (pl.Int16, ["17", " -2 ", "+3", "5.0", "5.5", "32768", "x"], [17, -2, 3, 5] + [None] * 3),
        (
            pl.Decimal(5, 2),
            ["7.300", "-1", ".5", "7.349", "1e2", "1000"],
            [Decimal("7.30"), Decimal(-1), Decimal("0.5"), None, None, None],
        ),
        (pl.Float64, ["1e2", "-.5", "nan", "1e400", "inf"], [100.0, -0.5, None, None, None]),
        (pl.Boolean, ["Yes", "f", "1", "maybe"], [True, False, True, None]),
        (
            pl.Date,
            ["2024-02-29", "2024-02-29 00:00:00", "2023-02-29", "24-01-01", "2024-1-1"],
            [date(2024, 2, 29), date(2024, 2, 29), None, None, None],
        ),
        (
            pl.Datetime("us"),
            ["2024-01-09T10:15", "2024-01-09", "2024-01-09 23:59:59.123456", "2024-01-09 24:00"],
            [
                datetime(2024, 1, 9, 10, 15),  # noqa: DTZ001  naive, as the text
                datetime(2024, 1, 9),  # noqa: DTZ001
                datetime(2024, 1, 9, 23, 59, 59, 123456),  # noqa: DTZ001
                None,
            ],
        ),
    ],
    ids=str,
)
def test_a_type_reads_text_exactly_or_refuses_it(
    dtype: pl.DataType, values: list[str], expected: list[Any]
) -> None:
    result, faults, _ = made(Field("a", type=dtype), values)
    assert result == expected
    assert faults == [(place, "type") for place, one in enumerate(expected) if one is None]


@given(st.text("0123456789.-+e ", max_size=12), st.integers(0, 4))
def test_rounding_is_half_away_from_zero_and_counted(text: str, decimals: int) -> None:
    result, faults, changes = made(Field("a", round=decimals), [text])
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = None
    if value is None or "e" in text:
        assert (result, faults) == ([None], [(0, "type")])
        return
    rounded = value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    assert Decimal(result[0]) == rounded
    assert changes == ({} if rounded == value else {"rounded": 1})


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            checks.email,
            ["a@b.com", "x.y+z@mail.b.org"],
            ["a@b", "a b@c.de", "@b.com", "", "a@b..c"],
        ),
        (checks.not_blank, ["x"], ["", "  "]),
        (checks.one_of("A", "M"), ["A"], ["a", "AM"]),
        (checks.matches("[0-9]{4}|X"), ["1234", "X"], ["12345", "aX"]),
        (checks.between(0, 100), ["0", "99.5", "1e2"], ["-1", "100.1", "ten"]),
        (checks.between(date(2024, 1, 1), date(2024, 12, 31)), ["2024-01-01"], ["2025-01-01", "x"]),
        (checks.between("b", "d"), ["c"], ["a"]),
        (checks.length(2, 3), ["ab", "äöü"], ["a", "abcd"]),
    ],
)
def test_a_check_refuses_what_does_not_hold_and_leaves_null_alone(
    check: checks.Check, good: list[str], bad: list[str]
) -> None:
    result, faults, _ = made(Field("a", check=check), [*good, None, *bad])
    assert result == [*good, None, *(None for _ in bad)]
    assert faults == [(len(good) + 1 + place, "check") for place in range(len(bad))]


def test_a_fault_says_value_and_reason_in_plain_words() -> None:
    transform = Map({"email": Field("a", check=checks.email), "sector": Lookup("b", {"A": 1})})
    mapped = transform.apply(pl.DataFrame({"a": ["nope"], "b": ["Q"]}))
    assert mapped.faults.rows() == [
        (0, "email", "check", "nope is not an e-mail address", "nope"),
        (0, "sector", "no_match", "Q has no match in the lookup", "Q"),
    ]


def test_what_cannot_be_read_becomes_null_or_the_default_where_that_is_said() -> None:
    nulled = Field("a", type=pl.Int64, on_error="null")
    assert made(nulled, ["1", "x", None]) == ([1, None, None], [], {"nulled": 1})
    other = Field("a", type=pl.Int64, on_error="default", default=-1)
    assert made(other, ["1", "x", None]) == ([1, -1, -1], [], {"defaulted": 2})
    only_null = Field("a", type=pl.Int64, default=-1)
    assert made(only_null, ["x", None]) == ([None, -1], [(0, "type")], {"defaulted": 1})


def test_a_required_field_refuses_null_once() -> None:
    how = Field("a", type=pl.Int64, required=True)
    assert made(how, ["1", None, "x"]) == ([1, None, None], [(1, "required"), (2, "type")], {})


def test_a_strict_cast_refuses_only_the_rows_that_it_is_about() -> None:
    values = ["1", "x", "3", "4", "y"]
    result, faults, _ = made(pl.col("a").cast(pl.Int64), values)
    assert result == [1, None, 3, 4, None]
    assert faults == [(1, "expression"), (4, "expression")]


def test_an_expression_that_fits_no_row_is_a_mistake_that_names_the_field() -> None:
    with pytest.raises(UsageError, match=r"f: .*nowhere"):
        made(pl.col("nowhere"), ["1"])
    with pytest.raises(UsageError, match=r"f: .*year"):
        made(pl.col("a").dt.year(), ["1"])


def test_a_python_function_is_called_for_each_value_and_its_errors_refuse_rows() -> None:
    result, faults, _ = made(Field("a", each=lambda text: 10 // int(text)), ["2", None, "0", "x"])
    assert result == ["5", None, None, None]
    assert faults == [(2, "each"), (3, "each")]
    both = Field(pl.struct("a"), each=lambda row: row["a"] * 2, type=pl.Int64)
    assert made(both, ["2"])[0] == [22]


MEMBERS = pl.DataFrame({"k": ["a", "a", "b", "b", None], "v": [1, 2, 3, 3, 9]})


@pytest.mark.parametrize(
    ("match", "expected", "codes"),
    [
        ("unique", [None, 3, None, None], [(0, "many_matches"), (2, "no_match")]),
        ("first", [1, 3, None, None], [(2, "no_match")]),
        ("last", [2, 3, None, None], [(2, "no_match")]),
    ],
)
def test_several_matches_are_decided_as_said(
    match: Any, expected: list[Any], codes: list[tuple[int, str]]
) -> None:
    how = Lookup("a", MEMBERS, key="k", value="v", match=match)
    assert made(how, ["a", "b", "z", None]) == (expected, codes, {})


def test_all_matches_multiply_rows_and_keep_their_origin() -> None:
    how = Lookup("a", MEMBERS, key="k", value="v", match="all")
    transform = Map({"f": how, "g": Field("a", check=checks.one_of("a"))})
    mapped = transform.apply(pl.DataFrame({"a": ["b", "z", "a"]}))
    assert mapped.frame.rows() == [(1, 3, None), (2, None, None), (3, 1, "a"), (3, 2, "a")]
    assert mapped.faults.select("position", "column").rows() == [(0, "g"), (1, "f"), (1, "g")]


def test_missing_matches_become_null_or_the_default_where_that_is_said() -> None:
    assert made(Lookup("a", {"x": 1}, missing="null"), ["x", "y", None]) == (
        [1, None, None], [], {"nulled": 1},
    )  # fmt: skip
    assert made(Lookup("a", {"x": 1}, missing="default", default=-1), ["x", "y", None]) == (
        [1, -1, -1], [], {"defaulted": 1},
    )  # fmt: skip


def test_a_lookup_without_members_finds_nothing() -> None:
    assert made(Lookup("a", {}), ["x", None]) == ([None, None], [(0, "no_match")], {})
    assert made(Lookup("a", {}, missing="default", default=7), ["x"])[0] == [7]


def test_keys_of_two_types_are_compared_as_text() -> None:
    assert made(Lookup("a", {1: "one"}), ["1"])[0] == ["one"]
    assert made(Lookup("a", {"1": "one"}), [1])[0] == ["one"]
    two = Lookup(["a", pl.col("a") + 1], {(1, 2): "pair"})
    assert made(two, [1])[0] == ["pair"]


def test_members_may_come_from_an_object_that_is_asked_for_each_batch() -> None:
    class Growing:
        def __init__(self) -> None:
            self.names = ["x"]

        def frame(self) -> pl.DataFrame:
            return pl.DataFrame({"k": self.names, "v": range(len(self.names))})

    growing = Growing()
    how = Lookup("a", growing, key="k", value="v", missing="null")
    assert made(how, ["x", "y"])[0] == [0, None]
    growing.names.append("y")
    assert made(how, ["x", "y"])[0] == [0, 1]


EVERYTHING = Map(
    {
        "kept": "a",
        "clean": Field("a", clean=("trim", "empty_to_null"), default="none"),
        "number": Field("a", round=1, type=pl.Decimal(6, 1), required=True),
        "date": Field("b", dates="D/M/YYYY", on_error="null"),
        "cast": pl.col("a").cast(pl.Int64),
        "each": Field("b", each=lambda text: text[1]),
        "found": Lookup(["a", "b"], {("1", "x"): "first", ("", "1/2/2024"): "second"}),
        "checked": Field(pl.concat_str("a", "b"), check=(checks.not_blank, checks.length(0, 4))),
        "constant": 7,
    }
)
CELL = st.none() | st.sampled_from(["1", "x", "", " 2.25", "1/2/2024", "31/2/2024"])
ROWS = st.lists(st.tuples(CELL, CELL), max_size=12)


def frame_of(rows: Values) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String}, orient="row")
    numbers = pl.int_range(100, 100 + pl.len(), dtype=pl.Int64)
    return frame.with_columns(numbers.alias("_row"))


@given(ROWS)
def test_no_row_is_lost_or_moved(rows: list[tuple[Any, Any]]) -> None:
    mapped = EVERYTHING.apply(frame_of(rows))
    assert mapped.frame["_row"].to_list() == list(range(100, 100 + len(rows)))
    assert mapped.frame["kept"].to_list() == [first for first, _ in rows]
    assert all(place < len(rows) for place in mapped.faults["position"])


@given(ROWS, st.integers(0, 12))
def test_the_parts_make_what_the_whole_makes(rows: list[tuple[Any, Any]], cut: int) -> None:
    frame = frame_of(rows)
    whole = EVERYTHING.apply(frame)
    first, second = EVERYTHING.apply(frame[:cut]), EVERYTHING.apply(frame[cut:])
    assert pl.concat([first.frame, second.frame]).equals(whole.frame)
    moved = second.faults.with_columns(pl.col("position") + len(first.frame))
    assert first.faults.rows() + moved.rows() == whole.faults.rows()
    kinds = first.changes.keys() | second.changes.keys()
    counts = {kind: first.changes.get(kind, 0) + second.changes.get(kind, 0) for kind in kinds}
    assert counts == whole.changes
