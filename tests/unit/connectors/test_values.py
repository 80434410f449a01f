"""Columns of Python values: exact, of one kind, the same however they are cut into batches."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from penstock.connectors.values import Gathered
from penstock.errors import SourceError

NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
ID = uuid.UUID("0f0e0d0c-0b0a-0908-0706-050403020100")


def gathered(*batches: Sequence[Any], declared: str = "", scale: int = 0) -> pl.Series:
    column = Gathered("x", declared, scale)
    for batch in batches:
        column.take(batch)
    return column.column()


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, -(2**63) + 1], pl.Int64, [1, -(2**63) + 1]),
        ([2**64 - 1, -1], pl.Decimal(38, 0), [Decimal(2**64 - 1), Decimal(-1)]),
        ([10**38, 1], pl.String, [str(10**38), "1"]),
        (
            [Decimal("1.5"), Decimal("-0.125")],
            pl.Decimal(38, 3),
            [Decimal("1.5"), Decimal("-0.125")],
        ),
        ([Decimal("1E+3"), Decimal("0E-2")], pl.Decimal(38, 2), [Decimal(1000), Decimal(0)]),
        ([Decimal("1e37"), Decimal("0.01")], pl.String, ["1" + "0" * 37, "0.01"]),
        ([Decimal("NaN"), Decimal(1)], pl.String, ["NaN", "1"]),
        ([True, False], pl.Boolean, [True, False]),
        ([0.1, 1e300], pl.Float64, [0.1, 1e300]),
        ([1, 0.5], pl.Float64, [1.0, 0.5]),
        (["", "ä"], pl.String, ["", "ä"]),
        ([b"\x00", bytearray(b"\xff")], pl.Binary, [b"\x00", b"\xff"]),
        ([dt.date(1, 1, 1), dt.date(9999, 12, 31)], pl.Date, None),
        ([NOON], pl.Datetime("us", "UTC"), [NOON]),
        ([NOON.replace(tzinfo=None, microsecond=1)], pl.Datetime("us"), None),
        ([dt.time(23, 59, 59, 999999)], pl.Time, None),
        ([dt.timedelta(hours=-838, seconds=-1)], pl.String, ["-838:00:01"]),
        ([dt.timedelta(microseconds=-1)], pl.String, ["-00:00:00.000001"]),
        ([ID], pl.String, [str(ID)]),
        ([{"ä": [1, None]}, [1]], pl.String, ['{"ä": [1, null]}', "[1]"]),
    ],
)
def test_values_are_kept_however_they_are_cut(
    values: list[Any], dtype: Any, expected: list[Any] | None
) -> None:
    wanted = [None, *(values if expected is None else expected)]
    whole = gathered([None, *values])
    apart = gathered([None], *[[value] for value in values])
    for found in (whole, apart):
        assert found.dtype == dtype
        assert found.to_list() == wanted


def test_what_the_database_declares_holds_without_values() -> None:
    assert gathered(declared="decimal", scale=2).dtype == pl.Decimal(38, 2)
    assert gathered([None], declared="timestamptz").dtype == pl.Datetime("us", "UTC")
    assert gathered([None]).dtype == pl.String


@pytest.mark.parametrize(
    ("batches", "words"),
    [
        ([[1], [None, "x"]], "Column x is a whole number, and a text in row 3: 'x'"),
        ([[True, 1]], "Column x is true or false, and a whole number in row 2"),
        (
            [[NOON, NOON.replace(tzinfo=None)]],
            "with a zone, and a timestamp without a zone in row 2",
        ),
        ([[2**53 + 1], [0.5]], "a whole number, and a floating-point number in row 2"),
        ([[0.5], [2**53 + 1]], "a floating-point number, and a whole number in row 2"),
        ([[object()]], "The driver gives a object"),
    ],
)
def test_values_of_several_kinds_are_an_error(batches: list[list[Any]], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        gathered(*batches)
