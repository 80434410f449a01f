"""What a transform gives and where it fails; expected values by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from penstock.errors import UsageError
from penstock.events.pipeline import Pipeline
from penstock.events.transforming import TransformBroken, parsed, transformed

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def made(raws: list[bytes], **how: Any) -> Any:
    pipeline = Pipeline(name="shop", target="events", key="event_id", **how)
    origins = pl.DataFrame({"source": ["files"] * len(raws), "received_at": [NOW] * len(raws)})
    return transformed(pipeline, raws, origins)


def rows(given: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = given.frame.to_dicts()
    return found


def test_an_event_becomes_no_row_one_or_several() -> None:
    def transform(event: dict[str, Any]) -> Any:
        if event["n"] == 0:
            return None
        found = [{"event_id": event["n"], "line": line} for line in range(event["n"])]
        return found[0] if len(found) == 1 else found

    given = made([b'{"n": 0}', b'{"n": 1}', b'{"n": 2}'], transform=transform)
    assert rows(given) == [
        {"event_id": "1", "line": "0", "_row": 1},
        {"event_id": "2", "line": "0", "_row": 2},
        {"event_id": "2", "line": "1", "_row": 2},
    ]
    assert given.failures == {}
    assert given.dropped(3) == {0}


def test_an_exception_names_the_file_and_line_of_the_project_and_fails_one_event() -> None:
    def transform(event: dict[str, Any]) -> Any:
        return {"event_id": event["user"]["id"]}

    given = made([b'{"user": {"id": 1}}', b"{}", b'{"user": {"id": 3}}'], transform=transform)
    assert [row["event_id"] for row in rows(given)] == ["1", "3"]
    assert list(given.failures) == [1]
    assert given.failures[1].code == "transform"
    line = transform.__code__.co_firstlineno + 1
    assert given.failures[1].reason == f"KeyError: 'user' (test_transforming.py, line {line})"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "Expecting value"),
        (b"{bad", "property name"),
        (b'{"a": NaN}', "NaN is no value of JSON"),
        (b'{"a": -Infinity}', "-Infinity is no value of JSON"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', 'the key "c" is there twice'),
        (b'{"a": "\xff"}', "invalid start byte"),
        (b"\xff\xfe{\x00}\x00", "invalid start byte"),
        (b"[" * 200_000, "nested too deep"),
        (b'{"a": 1} x', "Extra data"),
    ],
)
def test_what_is_no_exact_json_fails_and_never_reaches_the_transform(raw: bytes, said: str) -> None:
    met: list[Any] = []

    def transform(event: Any) -> Any:
        met.append(event)
        return {"event_id": "1"}

    given = made([raw, b'{"id": 1}'], transform=transform)
    assert met == [{"id": 1}]
    assert given.failures[0].code == "json"
    assert said in given.failures[0].reason
    assert [row["_row"] for row in rows(given)] == [1]


def test_numbers_that_a_float_does_not_hold_are_decimal() -> None:
    value = parsed(b"[0.1, 1.50, 0.1234567890123456789, 1e400, 1E2, 12345678901234567890, -0.0]")
    assert value[0] == 0.1
    assert isinstance(value[0], float)
    assert isinstance(value[1], float)
    assert value[2] == Decimal("0.1234567890123456789")
    assert isinstance(value[2], Decimal)
    assert value[3] == Decimal("1e400")
    assert value[4] == 100.0
    assert value[5] == 12345678901234567890
    assert str(value[6]) == "-0.0"
    assert parsed(b"1" * 5000) == Decimal("1" * 5000)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        ("Zürich", "Zürich"),
        (True, "true"),
        (7, "7"),
        (1.5, "1.5"),
        (Decimal("1E+3"), "1000"),
        (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00+00:00"),
        ({"a": [1, "ü", None]}, '{"a": [1, "ü", null]}'),
    ],
)
def test_values_become_the_text_that_the_loader_reads(value: Any, text: str | None) -> None:
    given = made([b"{}"], transform=lambda _: {"event_id": value})
    assert rows(given) == [{"event_id": text, "_row": 0}]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({1, 2}, "event_id: a set is no value of a column"),
        (b"x", "event_id: a bytes is no value of a column"),
        ("\ud800", "event_id: half of a surrogate pair"),
        ({"a": float("nan")}, "event_id: cannot be written as JSON"),
    ],
)
def test_a_value_that_no_column_takes_fails_its_event(value: Any, said: str) -> None:
    given = made([b"{}"], transform=lambda _: {"event_id": value})
    assert said in given.failures[0].reason
    assert rows(given) == []


def test_what_is_neither_a_row_nor_several_fails_its_event() -> None:
    given = made([b"{}"], transform=lambda _: 7)
    assert "gave a int, not a dict" in given.failures[0].reason


def frame_of(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        "_row", event_id=pl.col("raw").str.json_decode(pl.Struct({"n": pl.Int64})).struct["n"]
    )


def test_a_frame_transform_fails_only_the_events_that_it_cannot_take() -> None:
    raws = [f'{{"n": {number}}}'.encode() for number in range(40)]
    raws[7], raws[8], raws[39] = b"{bad", b"\xff", b'{"n": "x"'
    given = made(raws, frame=frame_of)
    assert sorted(given.failures) == [7, 8, 39]
    assert {given.failures[7].code, given.failures[39].code} == {"transform"}
    assert given.failures[8].code == "encoding"
    assert given.frame["_row"].to_list() == [n for n in range(40) if n not in (7, 8, 39)]
    assert given.frame["event_id"].to_list() == given.frame["_row"].to_list()


def test_a_transform_that_fails_for_all_of_many_events_is_told_and_no_event_fails() -> None:
    def broken(_: Any) -> Any:
        raise KeyError("renamed")

    raws = [b"{}"] * 150
    with pytest.raises(TransformBroken, match=r"each of 150 events.*KeyError: 'renamed'"):
        made(raws, transform=broken)
    with pytest.raises(TransformBroken, match=r"not the events.*KeyError: 'renamed'"):
        made(raws, frame=broken)


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (lambda f: f.drop("_row"), "has no column _row"),
        (lambda f: f.with_columns(_row=pl.lit(7, dtype=pl.Int64)), "made up values of _row"),
        (lambda _: [1], "gave a list, not a Polars frame"),
    ],
)
def test_a_frame_whose_rows_belong_to_no_event_is_refused(frame: Any, said: str) -> None:
    with pytest.raises(TransformBroken, match=said):
        made([b"{}", b"{}"], frame=frame)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"transform": None}, "give transform="),
        ({"transform": dict, "frame": frame_of}, "one of them"),
        ({"transform": dict, "mode": "sync"}, "not one of upsert, insert_new, append"),
        ({"transform": dict, "name": "Shop"}, "must be of a-z"),
        ({"transform": dict, "attempts": 0}, "at least 1"),
        ({"transform": dict, "key": ()}, "by which column"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Pipeline(**{"name": "shop", "target": "events", "key": "event_id", **given})
