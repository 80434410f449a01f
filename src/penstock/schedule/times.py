"""The moments that a cron expression means in a time zone. Not for: who starts what then.

An expression has the five fields of cron; cronsim reads them and finds days and times on a clock
without a zone. What becomes of them when clocks are changed is decided here: a time that does not
exist is due once, right after the gap; one that exists twice is due once, the first time. An
expression of every hour (`*/5 * * * *`) follows the time that passes instead.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

_FIELDS = 5
_HOURS = 24
#: Clocks are put back by less than this: where to begin to look, so that no hour is cut.
_MARGIN = timedelta(hours=3)


class Cron:
    """A cron expression of five fields.

    Attributes:
        text: As it was written.

    Raises:
        ValueError: It is none; the message says what is wrong with it.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split())
        count = len(self.text.split())
        if count != _FIELDS:
            raise ValueError(
                f"it has {count} fields instead of 5: minute, hour, day of the month, month, "
                "day of the week"
            )
        try:
            self.parsed = CronSim(self.text, datetime(2000, 1, 1))  # noqa: DTZ001  no zone is meant
        except CronSimError as error:
            raise ValueError(str(error).replace("Bad ", "wrong ")) from None

    def __repr__(self) -> str:
        return f"Cron({self.text!r})"

    def after(self, moment: datetime, zone: tzinfo) -> Iterator[datetime]:
        """The moments later than this one, in order, in UTC.

        Args:
            moment: With a time zone.
            zone: Whose clock the expression is about.
        """
        every_hour = len(self.parsed.hours) == _HOURS
        wall = moment.astimezone(zone).replace(tzinfo=None) - _MARGIN
        last = moment.astimezone(UTC)
        for one in _moments(CronSim(self.text, wall), zone, every_hour=every_hour):
            if one > last:
                yield one
                last = one


def starts(crons: Iterable[Cron], moment: datetime, zone: tzinfo) -> Iterator[datetime]:
    """The moments of several expressions later than this one, each once, in UTC."""
    last = moment
    for one in heapq.merge(*(cron.after(moment, zone) for cron in crons)):
        if one > last:
            yield one
            last = one


def _moments(walls: Iterator[datetime], zone: tzinfo, *, every_hour: bool) -> Iterator[datetime]:
    """Times on the wall as moments; of a repeated hour all of the first, then of the second."""
    again: list[datetime] = []
    for wall in walls:
        first = wall.replace(tzinfo=zone)
        second = first.replace(fold=1)
        if first.utcoffset() == second.utcoffset():
            yield from again
            again.clear()
            yield first.astimezone(UTC)
        elif first.astimezone(UTC) < second.astimezone(UTC):  # it exists twice
            yield first.astimezone(UTC)
            if every_hour:
                again.append(second.astimezone(UTC))
        elif not every_hour:  # it does not exist
            yield _end_of_gap(first, second)
    yield from again


def _end_of_gap(first: datetime, second: datetime) -> datetime:
    """When the clock was put forward over this time; the two readings lie around that."""
    before = first.utcoffset()
    low, high = int(second.timestamp()), int(first.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, first.tzinfo).utcoffset() == before:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)
