"""Many deliveries, one commit: what arrives while one is written waits for the next.

No delivery waits for company: a single one is written at once. What could not be written is told
to who waits for it, and may be sent again: staging knows what it has. Not for: HTTP (`app`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

import psycopg

from penstock.errors import PenstockError
from penstock.events.staging import Delivery, provide_days, stage
from penstock.postgres.connection import translated
from penstock.postgres.cutting import answered_within, noted
from penstock.postgres.queries import queries
from penstock.postgres.sqlstates import Kind, kind_of

_SQL = queries("penstock.events.webhooks.sql", "receiving.sql")

#: Deliveries of one commit at the most: the last of them is answered when all are written.
MOST = 1_000
#: Deliveries that wait at the most: what a slow database still writes before senders give up.
MOST_WAITING = 10_000
#: Milliseconds that a statement may take: senders wait for 10 s and more.
_STATEMENT = "8000"
#: Seconds after which a transaction has no answer any more: the server ends a statement before.
_ANSWER = 30.0
#: Seconds that the end waits for what is being written.
_STOP = 10.0
#: What the ledger shows as the origin of what was received.
_ORIGIN = "webhook"


class Unavailable(Exception):
    """Not known to be durable: the sender is to try again."""


@dataclass(slots=True)
class Written:
    """What was written since the start.

    Attributes:
        staged: Deliveries that were new.
        repeated: Deliveries that had been received before.
        commits: Transactions.
    """

    staged: int = 0
    repeated: int = 0
    commits: int = 0


@dataclass(slots=True, eq=False)
class _Waiting:
    """A delivery, or none: then only whether the database answers is asked."""

    source: int
    delivery: Delivery | None
    answer: asyncio.Future[None]
    failed: bool = False


@dataclass(slots=True, eq=False)
class GroupCommit:
    """Writes deliveries by one thread with one connection; used by one event loop.

    Attributes:
        connect: Opens a connection, not in autocommit.
        say: Tells people that the database fails, and that it works again; once each.
        today: The day in UTC, whose partition is made if need be.
        written: Counts.
    """

    connect: Callable[[], psycopg.Connection[Any]]
    say: Callable[[str], None]
    today: Callable[[], date] = lambda: datetime.now(UTC).date()
    written: Written = field(default_factory=Written)
    _waiting: deque[_Waiting] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _connection: psycopg.Connection[Any] | None = None
    _day: date | None = None
    _closing: bool = False
    _failing: bool = False

    def start(self) -> None:
        """Begin to write; called in the event loop whose tasks wait for it."""
        self._loop = asyncio.get_running_loop()
        # A daemon: a server that does not answer must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Write what waits, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _STOP)

    async def stage(self, source: int, delivery: Delivery) -> None:
        """Stage a delivery; returns when it is durable, or was received before.

        Raises:
            Unavailable: It is not, as far as is known; or too many wait.
        """
        await self._written(source, delivery)

    async def ready(self) -> None:
        """Whether what is received now would be written.

        Raises:
            Unavailable: It would not.
        """
        await self._written(0, None)

    async def _written(self, source: int, delivery: Delivery | None) -> None:
        waiting = _Waiting(source, delivery, asyncio.get_running_loop().create_future())
        with self._changed:
            if self._closing or len(self._waiting) >= MOST_WAITING:
                raise Unavailable
            self._waiting.append(waiting)
            self._changed.notify()
        await waiting.answer

    def _work(self) -> None:
        while batch := self._take():
            self._write(batch)
            assert self._loop is not None  # noqa: S101  it was set before the thread began
            with contextlib.suppress(RuntimeError):  # the loop was ended by force: nobody waits
                self._loop.call_soon_threadsafe(_answer, batch)
        self._disconnect()

    def _take(self) -> list[_Waiting]:
        """What is to be written next; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            number = min(MOST, len(self._waiting))
            return [self._waiting.popleft() for _ in range(number)]

    def _write(self, batch: Sequence[_Waiting]) -> None:
        """Write them in one transaction; where one of them cannot be, the others in others."""
        kept = self._connection is not None
        try:
            try:
                with answered_within(_ANSWER):
                    self._commit(batch)
            except psycopg.Error:
                # The server was restarted since, or the reply to COMMIT got lost: to write again
                # is right in both cases, as staging leaves out what it has.
                if not (kept and self._connection is not None and self._connection.closed):
                    raise
                self._disconnect()
                with answered_within(_ANSWER):
                    self._commit(batch)
        except Exception as error:  # noqa: BLE001  whatever it is, nobody is told that all is well
            self._roll_back()
            if len(batch) > 1 and _is_of_one(error):
                half = len(batch) // 2
                self._write(batch[:half])
                self._write(batch[half:])
                return
            for one in batch:
                one.failed = True
            self._tell(error)
        else:
            self._tell(None)

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        connection = self._connected()
        connection.execute(_SQL["settings"], {"timeout": _STATEMENT})
        staged = repeated = 0
        # Sources in one order, so that two receivers of the same do not wait in a ring; and of each
        # source, as they came.
        ordered = sorted((one for one in batch if one.delivery), key=_source)
        for source, ones in groupby(ordered, key=_source):
            deliveries = [one.delivery for one in ones if one.delivery]
            encrypted = deliveries[0].encrypted  # as its source declares
            found = stage(connection, source, deliveries, _ORIGIN, encrypted=encrypted)
            staged, repeated = staged + found.staged, repeated + found.repeated
        connection.commit()
        self.written.staged += staged
        self.written.repeated += repeated
        self.written.commits += 1

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            self._connection = noted(self.connect())
            self._connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            self._day = None
        if self._day != (today := self.today()):
            provide_days(self._connection)
            self._connection.commit()
            self._day = today
        return self._connection

    def _roll_back(self) -> None:
        try:
            if self._connection is not None:
                self._connection.rollback()
        except psycopg.Error:  # it broke
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _tell(self, error: Exception | None) -> None:
        if error is None and self._failing:
            self.say("Deliveries are written again.")
        elif error is not None and not self._failing:
            self.say(f"{_told(error)} Senders are asked to try again.")
        self._failing = error is not None


def _source(one: _Waiting) -> int:
    return one.source


def _answer(batch: Sequence[_Waiting]) -> None:
    for one in batch:
        if one.answer.done():
            continue  # its sender was told to try again, as it took too long
        if one.failed:
            one.answer.set_exception(Unavailable())
        else:
            one.answer.set_result(None)


def _is_of_one(error: Exception) -> bool:
    """Whether other deliveries may be written nevertheless."""
    return isinstance(error, psycopg.Error) and kind_of(error) is Kind.ROW


def _told(error: Exception) -> str:
    """What went wrong, without what was sent: the server's DETAIL quotes values."""
    if isinstance(error, psycopg.Error):
        error = translated(error, "write deliveries")
    if isinstance(error, PenstockError):
        return error.message if error.message.endswith(".") else f"{error.message}."
    return f"Could not write deliveries: {type(error).__name__}."
