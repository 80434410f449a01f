"""A bucket of tokens, by a clock that is set by hand."""

from __future__ import annotations

import pytest

from penstock.events.webhooks.rates import Rate


class Clock:
    """Seconds, as they are set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_goes_through_and_then_what_the_rate_lets(clock: Clock) -> None:
    rate = Rate(2.0, 3, clock)
    assert [rate.wait() for _ in range(5)] == [0, 0, 0, 0.5, 0.5]
    clock.now += 0.25
    assert rate.wait() == 0.25
    clock.now += 0.25
    assert [rate.wait(), rate.wait()] == [0, 0.5]


def test_a_pause_fills_it_and_no_more_than_that(clock: Clock) -> None:
    rate = Rate(2.0, 3, clock)
    clock.now += 3600
    assert [rate.wait() for _ in range(4)] == [0, 0, 0, 0.5]


def test_less_than_one_a_second(clock: Clock) -> None:
    rate = Rate(0.125, 1, clock)
    assert [rate.wait(), rate.wait()] == [0, 8.0]
    clock.now += 8
    assert rate.wait() == 0


def test_that_it_was_exceeded_is_over_when_it_is_full_again(clock: Clock) -> None:
    rate = Rate(1.0, 2, clock)
    rate.exceeded = True
    rate.wait()
    assert not rate.exceeded
    rate.exceeded = True
    clock.now += 0.5
    rate.wait()
    assert rate.exceeded
    clock.now += 2
    rate.wait()
    assert not rate.exceeded
