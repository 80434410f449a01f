"""Cursors: typed exactly, never back, and clear where a column is no cursor's."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from penstock.errors import SourceError, UsageError
from penstock.flow.cursors import Cursors, dumped, loaded

MOMENT = dt.datetime(2024, 3, 31, 1, 2, 3, 4, tzinfo=dt.UTC)
PLAIN = MOMENT.replace(tzinfo=None)


def cursors(value: Any = None) -> Cursors:
    kept = None if value is None else json.loads(json.dumps(dumped(value)))
    return Cursors(lambda name: kept if name == "accounts" else None)


def frame(*values: Any, column: str = "changed") -> pl.DataFrame:
    return pl.DataFrame({column: list(values)}).with_row_index("_row")


@pytest.mark.parametrize(
    "value",
    [
        1,
        -(2**70),
        Decimal("1.10"),
        "ä",
        dt.date(2024, 2, 29),
        PLAIN,
        MOMENT,
        MOMENT.replace(second=0),
    ],
)
def test_a_value_is_kept_exactly_with_its_type(value: Any) -> None:
    found = loaded(json.loads(json.dumps(dumped(value))))
    assert found == value
    assert type(found) is type(value)
    assert str(found) == str(value)


def test_the_first_read_begins_at_the_initial_value_and_moves_to_the_largest() -> None:
    job = cursors()
    one = job.take("accounts", "changed", "1970-01-01", None)
    assert one.since == "1970-01-01"
    one.note(frame(PLAIN, None, PLAIN - dt.timedelta(days=1)))
    assert {name: loaded(kept) for name, kept in job.moved().items()} == {"accounts": PLAIN}


def test_it_never_moves_back_and_not_without_rows() -> None:
    job = cursors(7)
    one = job.take("accounts", "n", 0, 5)
    assert one.since == 2
    one.note(frame(3, 6, column="n"))
    assert job.moved() == {}
    job = cursors(7)
    job.take("accounts", "n", 0, 5).note(frame(3, column="n").clear())
    assert job.moved() == {}


@pytest.mark.parametrize(
    ("value", "overlap", "since"),
    [
        (MOMENT, "5m", MOMENT - dt.timedelta(minutes=5)),
        (PLAIN, dt.timedelta(seconds=1), PLAIN - dt.timedelta(seconds=1)),
        (dt.date(2024, 3, 1), "5m", dt.date(2024, 2, 29)),
        (dt.date(2024, 3, 1), "2d", dt.date(2024, 2, 28)),
        (Decimal("1.5"), 1, Decimal("0.5")),
        (MOMENT, None, MOMENT),
    ],
)
def test_the_overlap_is_taken_off(value: Any, overlap: Any, since: Any) -> None:
    assert cursors(value).take("accounts", "changed", None, overlap).since == since


@pytest.mark.parametrize(
    ("value", "overlap"), [("2024", "5m"), (MOMENT, 5), (7, "5m"), (7, "soon"), (7, -1), (7, True)]
)
def test_an_overlap_that_means_nothing_is_refused(value: Any, overlap: Any) -> None:
    with pytest.raises(UsageError, match="overlap is"):
        cursors(value).take("accounts", "changed", None, overlap).since  # noqa: B018  asking is it


@pytest.mark.parametrize(
    ("value", "found", "words"),
    [
        (None, frame(1, column="other"), r"no column changed among those read \(other\)"),
        (
            None,
            pl.DataFrame({"changed": [None, None]}, schema={"changed": pl.Date}),
            "NULL in every",
        ),
        (None, frame(0.5), "has 0.5; a cursor goes by"),
        (None, frame("2024", "infinity"), "none of them endless"),
        ("2024", frame(PLAIN), "of another type"),
        (MOMENT, frame(PLAIN), "of another type"),
    ],
)
def test_a_column_that_is_no_cursors_is_an_error(
    value: Any, found: pl.DataFrame, words: str
) -> None:
    with pytest.raises(SourceError, match=words):
        cursors(value).take("accounts", "changed", None, None).note(found)


def test_one_cursor_is_for_one_read() -> None:
    job = cursors()
    one = job.take("accounts", "changed", None, None)
    one.note(frame(1))
    with pytest.raises(UsageError, match="take one for each read"):
        one.note(frame(2))
    with pytest.raises(UsageError, match="taken already"):
        job.take("accounts", "changed", None, None)


def test_a_damaged_row_of_the_ledger_is_told() -> None:
    with pytest.raises(UsageError, match=r"penstock.cursors holds \{'type': 'date'"):
        Cursors(lambda name: {"type": "date", "value": "x"}).take("a", "b", None, None)


def test_a_load_elsewhere_cannot_move_it() -> None:
    job = Cursors(ledger="warehouse")
    one = job.take("accounts", "changed", None, None)
    with pytest.raises(UsageError, match="cannot move with a load to lake: the ledger is in ware"):
        job.along(one, "lake")
    with pytest.raises(UsageError, match="has read nothing yet"):
        job.along(one, "warehouse")
