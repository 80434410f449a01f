"""When expressions are due. Expected moments are written by hand, or found minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.schedule.times import Cron, starts

MADRID = ZoneInfo("Europe/Madrid")
#: In the night to these days the clocks of Madrid go from 2 to 3, and from 3 to 2.
SPRING = datetime(2026, 3, 29, 0, 45, tzinfo=MADRID)
AUTUMN = datetime(2026, 10, 25, 0, 45, tzinfo=MADRID)


def shown(text: str, after: datetime, number: int) -> list[str]:
    """Day, time and offset of the next starts, on the clock of Madrid."""
    found = islice(Cron(text).after(after, MADRID), number)
    return [f"{one.astimezone(MADRID):%d %H:%M %z}" for one in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A time that does not exist runs once, right after the gap.
        ("30 2 * * *", ["29 03:00 +0200", "30 02:30 +0200"]),
        ("0 2 * * *", ["29 03:00 +0200", "30 02:00 +0200"]),
        ("0,30 2 * * *", ["29 03:00 +0200", "30 02:00 +0200"]),
        ("*/20 2 * * *", ["29 03:00 +0200", "30 02:00 +0200", "30 02:20 +0200"]),
        ("30 */2 * * *", ["29 03:00 +0200", "29 04:30 +0200", "29 06:30 +0200"]),
        # Together with one that is due then, it is one start.
        ("0 2-4 * * *", ["29 03:00 +0200", "29 04:00 +0200", "30 02:00 +0200"]),
        ("15 2,3 * * *", ["29 03:00 +0200", "29 03:15 +0200", "30 02:15 +0200"]),
        ("0 3 * * *", ["29 03:00 +0200", "30 03:00 +0200"]),
        # Every hour follows the time that passes.
        ("*/30 * * * *", ["29 01:00 +0100", "29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200"]),
        ("15 * * * *", ["29 01:15 +0100", "29 03:15 +0200", "29 04:15 +0200"]),
        ("15 0-23 * * *", ["29 01:15 +0100", "29 03:15 +0200", "29 04:15 +0200"]),
    ],
)
def test_when_clocks_go_forward(text: str, expected: list[str]) -> None:
    assert shown(text, SPRING, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A time that exists twice runs once, the first time.
        ("30 2 * * *", ["25 02:30 +0200", "26 02:30 +0100"]),
        ("30 */2 * * *", ["25 02:30 +0200", "25 04:30 +0100"]),
        ("*/30 2-3 * * *", ["25 02:00 +0200", "25 02:30 +0200", "25 03:00 +0100"]),
        ("0 3 * * *", ["25 03:00 +0100", "26 03:00 +0100"]),
        # Every hour follows the time that passes.
        (
            "*/30 * * * *",
            [
                *("25 01:00 +0200", "25 01:30 +0200", "25 02:00 +0200", "25 02:30 +0200"),
                *("25 02:00 +0100", "25 02:30 +0100", "25 03:00 +0100"),
            ],
        ),
        ("0 * * * *", ["25 01:00 +0200", "25 02:00 +0200", "25 02:00 +0100", "25 03:00 +0100"]),
    ],
)
def test_when_clocks_go_back(text: str, expected: list[str]) -> None:
    assert shown(text, AUTUMN, len(expected)) == expected


@pytest.mark.parametrize(
    ("after", "first"),
    [
        ("2026-10-25T00:29:59+00:00", "25 02:30 +0200"),
        ("2026-10-25T00:30:00+00:00", "26 02:30 +0100"),
        ("2026-10-25T01:10:00+00:00", "26 02:30 +0100"),  # 02:10 the second time
        ("2026-03-29T00:59:59+00:00", "29 03:00 +0200"),
        ("2026-03-29T01:00:00+00:00", "30 02:30 +0200"),
    ],
)
def test_it_does_not_matter_from_when_one_looks(after: str, first: str) -> None:
    assert shown("30 2 * * *", datetime.fromisoformat(after), 1) == [first]


def test_a_gap_at_midnight_and_one_of_half_an_hour() -> None:
    cairo, lord_howe = ZoneInfo("Africa/Cairo"), ZoneInfo("Australia/Lord_Howe")
    # Cairo went from 00:00 to 01:00 on 26 April 2024, Lord Howe from 02:00 to 02:30 on 6 October.
    first = next(Cron("0 0 * * *").after(datetime(2024, 4, 25, 12, tzinfo=cairo), cairo))
    assert first == datetime(2024, 4, 25, 22, tzinfo=UTC)
    first = next(Cron("15 2 * * *").after(datetime(2024, 10, 5, 12, tzinfo=lord_howe), lord_howe))
    assert first == datetime(2024, 10, 5, 15, 30, tzinfo=UTC)


@given(
    minute=st.sampled_from(["*", "*/7", "0", "5,35", "10-20"]),
    hour=st.sampled_from(["*", "*/3", "1-4", "2", "0,23"]),
    day=st.sampled_from(["*", "29", "25-26", "*/2"]),
    start=st.sampled_from(
        [datetime(2026, 3, 28, 11, tzinfo=UTC), datetime(2026, 10, 24, 10, tzinfo=UTC)]
    ),
)
def test_all_that_is_on_an_unambiguous_clock_is_due_and_nothing_twice(
    minute: str, hour: str, day: str, start: datetime
) -> None:
    def within(text: str, value: int, lowest: int) -> bool:
        for part in text.split(","):
            span, _, step = part.partition("/")
            first, _, last = span.partition("-")
            low, high = (lowest, 99) if span == "*" else (int(first), int(last or first))
            if low <= value <= high and (value - low) % int(step or 1) == 0:
                return True
        return False

    expected = set()
    for number in range(1, 48 * 60 + 1):
        moment = start + timedelta(minutes=number)
        wall = moment.astimezone(MADRID)
        fits = within(minute, wall.minute, 0) and within(hour, wall.hour, 0)
        if fits and within(day, wall.day, 1) and not (wall.fold and hour != "*"):
            expected.add(moment)
    end = start + timedelta(hours=48)
    found = []
    for one in Cron(f"{minute} {hour} {day} * *").after(start, MADRID):
        if one > end:
            break
        found.append(one)
    assert found == sorted(set(found))
    gap = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert set(found) - {gap} == expected - {gap}
    assert set(found) >= expected


def test_several_expressions_are_one_schedule_without_doubles() -> None:
    crons = [Cron("0 6 * * *"), Cron("0 */6 * * *"), Cron("30 6 * * MON")]
    found = list(islice(starts(crons, datetime(2026, 11, 23, tzinfo=UTC), UTC), 5))
    assert [f"{one:%H:%M}" for one in found] == ["06:00", "06:30", "12:00", "18:00", "00:00"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 6 * *", "4 fields instead of 5"),
        ("0 0 6 * * *", "6 fields instead of 5"),
        ("60 6 * * *", "wrong minute"),
        ("0 6 31 2 *", "wrong day-of-month"),
        ("0 6 * * MOO", "wrong day-of-week"),
        ("0 18-7 * * *", "wrong hour"),
        ("@daily", "1 fields"),
    ],
)
def test_what_is_no_expression_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Cron(text)
