"""For the tests of a project's transforms. Not for: running them (`transforming`)."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.events.pipeline import Transform
from penstock.events.rows import text_row
from penstock.events.transforming import rows_of


def check_pure(transform: Transform, events: Sequence[Any]) -> list[Mapping[str, Any]]:
    """Check that a transform gives the same rows each time, and leaves its events as they are.

    All events are transformed in order, then all once more in reverse, so that a counter, a clock,
    a random number or a memory of earlier events shows.

    Args:
        transform: Of one event.
        events: As their JSON is read by Python.

    Returns:
        The rows of all events, in order.

    Raises:
        AssertionError: It is not pure; the message names the event (from 0) and what differs.
        TypeError: It gives no dict, no list of them and not None; whatever else it raises.
        CannotBeText: A row has a value that no column can take.
    """
    given = [_made(transform, number, event) for number, event in enumerate(events)]
    for number, event in reversed(list(enumerate(events))):
        again, first = _made(transform, number, event), given[number]
        if list(map(text_row, again)) != list(map(text_row, first)):
            raise AssertionError(f"event {number} gave {first!r}, and the second time {again!r}")
    return [row for rows in given for row in rows]


def _made(transform: Transform, number: int, event: Any) -> list[Mapping[str, Any]]:
    """The rows of one event, untouched by what the transform does later."""
    offered = copy.deepcopy(event)
    rows = copy.deepcopy(list(rows_of(transform(offered))))
    if repr(offered) != repr(event):  # not ==, to which 1, 1.0 and True are one
        raise AssertionError(f"event {number} was changed, from {event!r} to {offered!r}")
    return rows
