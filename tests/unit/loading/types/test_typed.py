from __future__ import annotations

import struct
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.loading.types.typed import to_text

MOMENT = datetime(2024, 1, 9, 12, 30, 0, 5)  # noqa: DTZ001 - a naive value is meant


@pytest.mark.parametrize(
    ("series", "texts"),
    [
        (pl.Series([1, -2, None], dtype=pl.Int8), ["1", "-2", None]),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), ["18446744073709551615"]),
        (pl.Series([2**127 - 1], dtype=pl.Int128), [str(2**127 - 1)]),
        (pl.Series([Decimal("1.50"), None]), ["1.50", None]),
        (pl.Series([0.1, 5.0, -0.0, None]), ["0.1", "5.0", "-0.0", None]),
        (
            pl.Series([1e16, 1e-7, 1.5e22]),
            ["10000000000000000", "0.0000001", "15000000000000000000000"],
        ),
        (
            pl.Series([float("nan"), float("inf"), float("-inf")]),
            ["NaN", "Infinity", "-Infinity"],
        ),
        (pl.Series([0.1, 16777216.0], dtype=pl.Float32), ["0.1", "16777216.0"]),
        (pl.Series([True, False, None]), ["true", "false", None]),
        (pl.Series([date(24, 1, 9), None]), ["0024-01-09", None]),
        (pl.Series([MOMENT]), ["2024-01-09 12:30:00.000005000"]),
        (
            pl.Series([1704803400000000001]).cast(pl.Datetime("ns")),
            ["2024-01-09 12:30:00.000000001"],
        ),
        (
            pl.Series([MOMENT]).dt.replace_time_zone("Asia/Kolkata"),
            ["2024-01-09 07:00:00.000005000+00:00"],
        ),
        (pl.Series([time(1, 2, 3), time(1, 2, 3, 4)]), ["01:02:03", "01:02:03.000004"]),
        (pl.Series([b"\x00\xff", b"", None]), ["\\x00ff", "\\x", None]),
        (pl.Series(["a", None], dtype=pl.Categorical), ["a", None]),
        (pl.Series(["a"], dtype=pl.Enum(["a", "b"])), ["a"]),
        (pl.Series([None, None]), [None, None]),
        (pl.Series([" x "]), [" x "]),
        (pl.Series([[1, None], [], None]), ["[1,null]", "[]", None]),
        (
            pl.Series([{"a": Decimal("1.10"), "b": 'é"', "c": [date(2024, 1, 9)]}]),
            ['{"a":1.10,"b":"é\\"","c":["2024-01-09"]}'],
        ),
        (pl.Series([[float("nan")]]), ["[NaN]"]),
    ],
)
def test_values_become_the_text_that_says_exactly_them(
    series: pl.Series, texts: list[str | None]
) -> None:
    found = to_text(series.alias("odd name").to_frame())
    assert found.schema == {"odd name": pl.String}
    assert found.get_column("odd name").to_list() == texts


@pytest.mark.parametrize(
    "series",
    [
        pl.Series("q", [timedelta(days=1)]),
        pl.Series("q", [object()], dtype=pl.Object),
        pl.Series("q", [[b"a"]]),
        pl.Series("q", [[1]]).cast(pl.List(pl.Datetime("ns"))),
    ],
)
def test_a_type_without_a_text_is_wrong_use_and_named(series: pl.Series) -> None:
    with pytest.raises(UsageError, match=r"column q: .* cast it first"):
        to_text(series.to_frame())


@given(st.lists(st.floats(allow_nan=False)))
def test_doubles_read_back_bit_by_bit(values: list[float]) -> None:
    texts = to_text(pl.DataFrame({"v": values}, schema={"v": pl.Float64})).get_column("v")
    assert [struct.pack("d", float(text)) for text in texts] == [
        struct.pack("d", value) for value in values
    ]
    assert not any("e" in text for text in texts)


@given(st.lists(st.datetimes(timezones=st.just(timezone(timedelta(hours=5, minutes=30))))))
def test_moments_keep_their_place_in_time(values: list[datetime]) -> None:
    usable = [value for value in values if value.year > 1]
    frame = pl.DataFrame({"v": usable}, schema={"v": pl.Datetime("us", "UTC")})
    texts = to_text(frame).get_column("v")
    assert [datetime.fromisoformat(text.replace("000+", "+")) for text in texts] == usable
