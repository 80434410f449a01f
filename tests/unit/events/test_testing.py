"""What `check_pure` finds, and what it gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from penstock.events.rows import CannotBeText
from penstock.events.testing import check_pure

EVENTS: list[Any] = [{"id": "a", "user": {"id": 1}}, {"id": "b", "user": {"id": 2}}]


def counting() -> Callable[[Any], Any]:
    numbers = itertools.count()
    return lambda event: {"id": event["id"], "no": next(numbers)}


def remembering() -> Callable[[Any], Any]:
    seen: set[str] = set()

    def once(event: Any) -> Any:
        if event["id"] in seen:
            return None
        seen.add(event["id"])
        return {"id": event["id"]}

    return once


def emptying(event: Any) -> Any:
    return {"id": event["id"], "user": event["user"].pop("id")}


def growing() -> Callable[[Any], Any]:
    row: dict[str, Any] = {"ids": []}

    def grown(event: Any) -> Any:
        row["ids"].append(event["id"])
        return row

    return grown


def test_a_pure_transform_gives_its_rows_in_the_order_of_the_events() -> None:
    def split(event: Any) -> Any:
        if event["id"] == "b":
            return [{"id": "b", "part": 1}, {"id": "b", "part": 2.5}]
        return {"id": event["id"], "part": None} if event["id"] == "a" else None

    assert check_pure(split, [*EVENTS, {"id": "c"}]) == [
        {"id": "a", "part": None}, {"id": "b", "part": 1}, {"id": "b", "part": 2.5},
    ]  # fmt: skip
    assert check_pure(split, []) == []


def test_a_value_that_is_not_equal_to_itself_is_no_difference() -> None:
    (row,) = check_pure(lambda _: {"amount": float("nan")}, [{}])
    assert str(row["amount"]) == "nan"


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        (counting(), "event 1 gave [{'id': 'b', 'no': 1}], and the second time"),
        (remembering(), "event 1 gave [{'id': 'b'}], and the second time []"),
        (growing(), "event 1 gave [{'ids': ['a', 'b']}], and the second time"),
        (emptying, "event 0 was changed, from {'id': 'a', 'user': {'id': 1}} to"),
        (lambda event: event.update(id="z"), "event 0 was changed"),
        (lambda event: event.setdefault("user", {}).update(id=1.0), "event 0 was changed"),
    ],
)
def test_what_is_not_pure_is_told_with_its_event(transform: Any, said: str) -> None:
    before = repr(EVENTS)
    with pytest.raises(AssertionError) as found:
        check_pure(transform, EVENTS)
    assert said in str(found.value)
    assert repr(EVENTS) == before


def test_what_the_loader_could_not_take_is_an_error_here_too() -> None:
    with pytest.raises(TypeError, match="gave a str"):
        check_pure(lambda event: event["id"], EVENTS)
    with pytest.raises(CannotBeText, match="user: a set"):
        check_pure(lambda _: {"user": {1}}, EVENTS)
