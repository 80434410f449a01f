"""What figures mean: bounds are whole, few rows say nothing, advice would let the check pass."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import quality
from penstock.model.checked import CheckResult
from penstock.quality.judging import advice, age, bound_of, figure_of, share_result


@given(rows=st.integers(1, 10**6), wrong=st.integers(0, 10**6), percent=st.integers(0, 1000))
def test_a_share_passes_exactly_where_it_is_not_below_the_bound(
    rows: int, wrong: int, percent: int
) -> None:
    wrong = min(wrong, rows)
    check = quality.not_null("a", percent / 1000, min_rows=1)
    passes = Fraction(rows - wrong, rows) >= Fraction(percent, 1000)
    assert (share_result(check, rows, wrong, ()).outcome == "passed") is passes


@given(rows=st.integers(1, 10**5), wrong=st.integers(1, 10**5))
def test_what_is_advised_would_let_the_check_pass(rows: int, wrong: int) -> None:
    wrong = min(wrong, rows)
    check = quality.not_null("a")
    said = advice(check, share_result(check, rows, wrong, ()))
    share = float(said.rpartition("at_least=")[2])
    again = quality.not_null("a", share, min_rows=1)
    assert share_result(again, rows, wrong, ()).outcome == "passed"


def test_few_rows_are_skipped_and_say_so() -> None:
    check = quality.not_null("a", 0.9)
    assert share_result(check, 19, 19, ("x",)).reason == "19 rows to look at, fewer than 20"
    assert share_result(check, 20, 20, ("x",)).outcome == "failed"
    assert share_result(quality.not_null("a"), 0, 0, ()).reason == "no rows"


@pytest.mark.parametrize(
    ("span", "said"),
    [
        (timedelta(), "0 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(minutes=90), "1 h 30 min"),
        (timedelta(days=1234, seconds=61), "1,234 d 1 min"),
    ],
)
def test_ages_are_told_in_two_parts(span: timedelta, said: str) -> None:
    assert age(span) == said


def test_what_is_less_than_all_does_not_look_like_all() -> None:
    check = quality.not_null("a")
    found = share_result(check, 1_000_000, 1, ())
    assert (figure_of(check, found), found.bound) == ("0.9999", "at least 1")
    assert bound_of(quality.row_count("at")) == "0.5 to 2"


def test_a_result_reads_as_a_sentence() -> None:
    found = share_result(quality.unique("a"), 3, 2, ("line 2", "line 3"))
    assert str(found) == (
        "unique(a) failed: 2 of 3 rows share their values with others, such as line 2, line 3"
    )
    assert str(CheckResult(name="x")) == "x passed"
