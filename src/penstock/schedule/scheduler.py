"""Starts the flows of a project when they are due: each start once, whoever else does so too.

A start belongs to the scheduler that inserts its row into the ledger. The flow's process is told
which claim it is, and begins only where the ledger still has the start under that claim: so a
start that was taken over from a scheduler that died is never begun twice, and one that was claimed
and never begun is not lost. Not for: when starts are due (`times`), nor what flows do (`flow`).
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from penstock.errors import ConnectorError
from penstock.flow.beginning import CLAIM
from penstock.ledger import schedules
from penstock.ledger.schedules import Due, Stale
from penstock.schedule.mains import SKIP, Main

#: A start later than this was missed: nobody was there when it was due.
GRACE = timedelta(seconds=60)
#: Seconds between two signs of life, and at most between two looks at the clock.
BEAT = schedules.LEASE / 6
#: Seconds until a database that went away is asked again: doubled each time, up to the last.
_FIRST_TRY, _LAST_TRY = 1.0, 30.0
#: How a database says that it is away, or that another one took its place.
_AWAY = (
    *(psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction),
    ConnectorError,
)
#: What a process answers that could not be begun.
_NOT_BEGUN = 127


@dataclass(slots=True, kw_only=True)
class Begun:
    """A flow's process.

    Attributes:
        main: Of which main.
        due: When it was due.
        claim: By which it begins.
        at: When its process was started.
        exit_code: What it ended with; None: it runs.
        ended: When it ended.
        note: Why it could not be started.
        process: None where it could not be started.
    """

    main: Main
    due: Due
    claim: str
    at: datetime
    exit_code: int | None = None
    ended: datetime | None = None
    note: str | None = None
    process: subprocess.Popen[bytes] | None = None


@dataclass(slots=True, kw_only=True)
class Scheduler:
    """Starts flows when they are due.

    Attributes:
        mains: With their schedules.
        project: The project's name.
        environment: Name of the environment that they run in.
        folder: The project.
        connect: Opens a connection in autocommit to the ledger.
        say: Prints a line for people.
        clock: What time it is, with a time zone.
        done: Starts that ended, in order.
    """

    mains: Sequence[Main]
    project: str
    environment: str
    folder: Path
    connect: Callable[[], psycopg.Connection[Any]]
    say: Callable[[str], None]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    done: list[Begun] = field(init=False, default_factory=list)
    _running: dict[str, Begun] = field(init=False, default_factory=dict)
    _news: queue.SimpleQueue[Begun | None] = field(init=False, default_factory=queue.SimpleQueue)
    _ledger: psycopg.Connection[Any] | None = field(init=False, default=None)
    _tries: int = field(init=False, default=0)
    _stops: int = field(init=False, default=0)
    _once: bool = field(init=False, default=False)
    _looked: datetime | None = field(init=False, default=None)

    # What a program calls -----------------------------------------------------------------------

    def watch(self) -> None:
        """From now on the starts count, where they do not yet.

        Raises:
            ConnectorError: The ledger does not answer.
        """
        for main in self.mains:
            schedules.watch(self._open(), self._flow(main), self.clock())

    def run(self, *, once: bool = False) -> None:
        """Start what is due until `stop` is called; then wait for the flows that run.

        Args:
            once: True: only what is due now.
        """
        self._once = once
        while True:
            took = self._tried(self._step)
            over = self._stops > 0 or (once and took)
            if over and not self._left(took):
                break
            self._wait()
        self._close()

    def stop(self) -> None:
        """Take no new starts; called again: interrupt the flows that run. For signal handlers."""
        self._stops += 1
        self._news.put(None)

    # What is due --------------------------------------------------------------------------------

    def _step(self, ledger: psycopg.Connection[Any]) -> None:
        self._keep(ledger)
        if not self._stops and not (self._once and self._looked is not None):
            self._look(ledger)

    def _left(self, took: bool) -> bool:
        """Whether there is something to wait for: a flow, or the ledger that is to know its end."""
        ended = all(one.exit_code is not None for one in self._running.values())
        return bool(self._running) and not (ended and not took and self._stops > 1)

    def _look(self, ledger: psycopg.Connection[Any]) -> None:
        now = self.clock()
        names = {self._flow(main): main for main in self.mains}
        last = schedules.last_due(ledger, list(names))
        for flow, main in names.items():
            latest, count = now, 0
            for moment in main.after(last.get(flow, now)):
                if moment > now:
                    break
                latest, count = moment, count + 1
            if count:
                self._see_to(ledger, main, Due(flow, latest), count - 1)
        for gone in schedules.stale(ledger, list(names)):
            self._see_to_stale(ledger, names[gone.due.flow], gone)
        for due in schedules.give_up(ledger, list(names)):
            main = names[due.flow]
            self.say(f"{main.name}: the start of {_clock(due.at, main)} lost its scheduler")
        self._looked = now

    def _see_to(self, ledger: psycopg.Connection[Any], main: Main, due: Due, missed: int) -> None:
        if self.clock() - due.at > GRACE and main.missed == SKIP:
            if schedules.skip(ledger, due, missed, "nobody was there when it was due"):
                self.say(f"{main.name}: {_starts(missed + 1)} missed, and left out")
            return
        claim = str(uuid.uuid4())
        if schedules.claim(ledger, due, claim, missed):
            if missed:
                self.say(f"{main.name}: {_starts(missed)} missed; this one stands for them")
            self._begin(main, due, claim)

    def _see_to_stale(self, ledger: psycopg.Connection[Any], main: Main, gone: Stale) -> None:
        due = gone.due
        if gone.overtaken or main.missed == SKIP:
            why = "a later one was begun" if gone.overtaken else "its scheduler ended before it"
            if schedules.take_over(ledger, gone, None, why):
                self.say(f"{main.name}: the start of {_clock(due.at, main)} is left out: {why}")
            return
        claim = str(uuid.uuid4())
        if schedules.take_over(ledger, gone, claim, "taken over from a scheduler that ended"):
            self.say(f"{main.name}: the start of {_clock(due.at, main)} is taken over")
            self._begin(main, due, claim)

    # Processes ----------------------------------------------------------------------------------

    def _begin(self, main: Main, due: Due, claim: str) -> None:
        one = Begun(main=main, due=due, claim=claim, at=self.clock())
        self._running[claim] = one
        try:
            one.process = subprocess.Popen(
                [sys.executable, main.path.name, "-e", self.environment],
                cwd=self.folder,
                env={**os.environ, CLAIM: claim},
                stdin=subprocess.DEVNULL,
                stdout=2,  # what is on standard output is the scheduler's answer
                process_group=0,  # a Ctrl-C of the terminal is for the scheduler
            )
        except OSError as error:
            one.exit_code, one.ended, one.note = _NOT_BEGUN, self.clock(), str(error)
            self._news.put(one)
            return
        self.say(f"{main.name}: started, due {_clock(due.at, main)} (process {one.process.pid})")
        name = f"penstock-{main.name}"
        threading.Thread(target=self._wait_for, args=[one], name=name, daemon=True).start()

    def _wait_for(self, one: Begun) -> None:
        assert one.process is not None  # noqa: S101  it was begun
        one.exit_code = one.process.wait()
        one.ended = self.clock()
        self._news.put(one)

    def _wait(self) -> None:
        """Until a flow ends, something is due, or a sign of life is."""
        try:
            news = self._news.get(timeout=self._pause())
        except queue.Empty:
            news = None
        else:
            if news is None:
                self._stopping()
        if news is not None:
            seconds = ((news.ended or news.at) - news.at).total_seconds()
            why = f": {news.note}" if news.note else ""
            self.say(f"{news.main.name}: ended, exit code {news.exit_code} ({seconds:.1f} s){why}")

    def _pause(self) -> float:
        if self._tries:
            return min(_LAST_TRY, _FIRST_TRY * 2.0 ** (self._tries - 1))
        if self._stops or self._once or self._looked is None:
            return BEAT
        due = [next(main.after(self._looked), None) for main in self.mains]
        left = [(one - self.clock()).total_seconds() for one in due if one is not None]
        return max(0.0, min([BEAT, *left]))

    def _stopping(self) -> None:
        if not self._running:
            return
        names = ", ".join(one.main.name for one in self._running.values())
        if self._stops == 1:
            self.say(f"Stopping: waiting for {names}. Once more interrupts them.")
            return
        self.say(f"Interrupting {names}.")
        for one in self._running.values():
            if one.process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(one.process.pid, signal.SIGINT)

    # The ledger ---------------------------------------------------------------------------------

    def _keep(self, ledger: psycopg.Connection[Any]) -> None:
        """Write which flows ended, and that the others have a scheduler."""
        for one in list(self._running.values()):
            if one.exit_code is not None and one.ended is not None:
                schedules.finish(
                    ledger,
                    one.claim,
                    one.exit_code,
                    started_at=one.at,
                    finished_at=one.ended,
                    note=one.note,
                )
                del self._running[one.claim]
                self.done.append(one)
        if self._running:
            schedules.beat(ledger, list(self._running))

    def _tried(self, work: Callable[[psycopg.Connection[Any]], None]) -> bool:
        """Do it with the ledger; a database that went away is said once, and tried again later."""
        try:
            work(self._open())
        except _AWAY as error:
            if not self._tries:
                said = str(error).strip().splitlines()
                self.say(f"The ledger does not answer, and is tried again: {said[-1]}")
            self._tries += 1
            self._close()
            return False
        if self._tries:
            self.say("The ledger answers again.")
        self._tries = 0
        return True

    def _open(self) -> psycopg.Connection[Any]:
        if self._ledger is None:
            self._ledger = self.connect()
        return self._ledger

    def _close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()
        self._ledger = None

    def _flow(self, main: Main) -> str:
        return f"{self.project}/{main.name}"


def _clock(moment: datetime, main: Main) -> str:
    return f"{moment.astimezone(main.zone):%Y-%m-%d %H:%M %Z}"


def _starts(number: int) -> str:
    return "1 start was" if number == 1 else f"{number:,} starts were"
