"""Ready pieces of a transform: instants, identifiers, tags of quality."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from penstock import tidy

PARIS = "Europe/Paris"


@pytest.mark.parametrize(
    ("value", "how", "expected"),
    [
        ("2026-01-31T12:00:00Z", {}, datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31 12:00:00.5+02", {}, datetime(2026, 1, 31, 10, 0, 0, 500_000, UTC)),
        ("2026-01-31t12:00z", {}, datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31T12:00:00.1234560000Z", {}, datetime(2026, 1, 31, 12, 0, 0, 123_456, UTC)),
        ("2026-01-31T12:00", {"zone": PARIS}, datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ("2026-07-31T12:00", {"zone": PARIS}, datetime(2026, 7, 31, 10, tzinfo=UTC)),
        ("2026-07-31T12:00Z", {"zone": PARIS}, datetime(2026, 7, 31, 12, tzinfo=UTC)),
        (1_767_225_600, {"unit": "s"}, datetime(2026, 1, 1, tzinfo=UTC)),
        (1_767_225_600.25, {"unit": "s"}, datetime(2026, 1, 1, 0, 0, 0, 250_000, UTC)),
        ("1767225600123", {"unit": "ms"}, datetime(2026, 1, 1, 0, 0, 0, 123_000, UTC)),
        (Decimal("1767225600123456"), {"unit": "us"}, datetime(2026, 1, 1, 0, 0, 0, 123_456, UTC)),
        (-1, {"unit": "s"}, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (
            datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=-5))),
            {},
            datetime(2026, 1, 1, 5, tzinfo=UTC),
        ),
        (None, {}, None),
        ("", {}, None),
    ],
)
def test_an_instant_is_in_utc(value: Any, how: dict[str, Any], expected: datetime | None) -> None:
    found = tidy.instant(value, **how)
    assert found == expected
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "how", "said"),
    [
        ("2026-01-31T12:00", {}, "names no zone"),
        (datetime(2026, 1, 31), {}, "names no zone"),  # noqa: DTZ001  that is the case
        ("2026-01-31", {}, "is no time"),
        ("31.01.2026 12:00", {}, "is no time"),
        ("2026-02-30T12:00Z", {}, "is no time"),
        ("2026-01-31T12:00:60Z", {}, "is no time"),
        ("2026-01-31T12:00:00.1234567Z", {}, "more digits than microseconds"),
        (Decimal("0.0000001"), {"unit": "s"}, "more digits than microseconds"),
        (1_767_225_600, {}, "say its unit"),
        ("1767225600", {}, "say its unit"),
        (10**20, {"unit": "s"}, "years 1 to 9999"),
        ("0001-01-01T00:00:00+05:00", {}, "years 1 to 9999"),
        (float("nan"), {"unit": "s"}, "is no time"),
        (True, {"unit": "s"}, "a bool is no time"),
        ([], {}, "a list is no time"),
        ("2026-03-29T02:30:00", {"zone": PARIS}, "does not exist in Europe/Paris"),
        ("2026-10-25T02:30:00", {"zone": PARIS}, "is there twice in Europe/Paris"),
        ("2026-01-31T12:00", {"zone": "Europe/Atlantis"}, "is no zone"),
        ("2026-01-31T12:00", {"zone": "../../etc/passwd"}, "is no zone"),
    ],
)
def test_what_is_no_instant_says_why(value: Any, how: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tidy.instant(value, **how)


def test_of_an_hour_that_is_there_twice_one_is_taken_where_that_is_said() -> None:
    text = "2026-10-25T02:30:00"
    earlier = tidy.instant(text, zone=PARIS, ambiguous="earlier")
    later = tidy.instant(text, zone=PARIS, ambiguous="later")
    assert earlier == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert later == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" U-17\t", "U-17"),
        ("e\u0301", "\u00e9"),
        ("007", "007"),
        ("17.0", "17.0"),
        (17, "17"),
        (17.0, "17"),
        (-0.0, "0"),
        (Decimal("1E+2"), "100"),
        (2**80, str(2**80)),
        ("\u00a0", None),
        ("", None),
        (None, None),
    ],
)
def test_an_identifier_has_one_form(value: Any, expected: str | None) -> None:
    assert tidy.identifier(value) == expected


def test_an_identifier_is_in_small_letters_where_that_is_said() -> None:
    assert tidy.identifier("U-17", lower=True) == "u-17"


@pytest.mark.parametrize(
    "value", [True, 17.5, 1e17, float("nan"), float("inf"), "a\0b", "a\nb", [], Decimal("NaN")]
)
def test_what_may_be_several_ids_is_none(value: Any) -> None:
    with pytest.raises(ValueError, match="is no id"):
        tidy.identifier(value)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"user": "u", "price": 5}, []),
        ({"user": "", "price": 5}, ["incomplete"]),
        ({"price": 5}, ["incomplete"]),
        ({"user": "u", "price": -1}, ["invalid"]),
        ({"user": "u", "price": "dear"}, ["invalid"]),
        ({"user": "u", "price": 5_000}, ["needs_review"]),
        ({"user": "u", "price": "9.90"}, []),
        ({"user": "u", "price": " -4 "}, ["invalid"]),
        ({"user": "u", "price": "1000.01"}, ["needs_review"]),
        ({"user": "u", "price": "12,50"}, ["invalid"]),
        ({"user": "u", "price": "nan"}, ["invalid"]),
        ({"user": "u", "price": [1]}, ["invalid"]),
        ({"user": None, "price": -5_000}, ["invalid", "incomplete"]),
        ({"user": "u", "price": None}, []),
    ],
)
def test_a_row_is_tagged_by_what_it_lacks_and_what_holds(
    row: dict[str, Any], expected: list[str]
) -> None:
    found = tidy.tags(
        row,
        needs=["user"],
        valid={"price": lambda price: price >= 0},
        review={"price": lambda price: price > 1_000},
    )
    assert found == expected
