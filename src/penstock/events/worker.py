"""A worker: claims events, works on them, and looks for more. Not for: the work (`processing`).

A process may have workers of several pipelines, which take turns: a claim each, so that one with
much to do does not keep the others waiting.

Exactly once in its effect: what a worker did is committed with the acknowledgement or not at all.
"""

from __future__ import annotations

import contextlib
import os
import platform
import random
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum, auto
from typing import Any

import psycopg
import sqlalchemy
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from penstock.errors import PenstockError, TargetError, TryAgain
from penstock.events import queue
from penstock.events.pipeline import Pipeline
from penstock.events.processing import Processed, Processor
from penstock.events.queue import LEASE, Batch, Fenced
from penstock.events.staging import CHANNEL
from penstock.ledger.runs import RunRecord
from penstock.postgres.connection import connect, normalise, translated
from penstock.postgres.cutting import answered_within, asking, cut, noted
from penstock.project.keys import ProjectKey

#: Seconds between two looks for events, where nobody tells that there are some.
_LOOK = 1.0
#: Seconds within which a worker that waits heeds that it is to stop.
_HEED = 0.1
#: Seconds between two signs of life.
_BEAT = LEASE / 6
#: Seconds before something that failed is tried again: doubled each time, with jitter.
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
_SESSION = "select pid, backend_start from pg_catalog.pg_stat_activity where pid = pg_backend_pid()"


@dataclass(slots=True)
class Worked:
    """What a worker did.

    Attributes:
        events: That it has finished.
        loaded: Rows inserted or updated.
        unchanged: Rows that the target had just so.
        failed: Events that failed.
        dropped: Events without a row.
        older: Rows left out because the target has newer ones.
        batches: Batches finished.
        troubles: Messages of batches that were given back, the newest last.
    """

    events: int = 0
    loaded: int = 0
    unchanged: int = 0
    failed: int = 0
    dropped: int = 0
    older: int = 0
    batches: int = 0
    troubles: list[str] = field(default_factory=list)

    def add(self, done: Processed) -> None:
        """Count what was finished."""
        self.events += done.events
        self.batches += done.batches
        self.failed += len(done.outcome.failures)
        self.dropped += len(done.outcome.dropped)
        self.older += len(done.outcome.older)
        if done.result is not None:
            self.loaded += done.result.inserted + done.result.updated
            self.unchanged += done.result.unchanged + done.result.ignored


def added(one: Worked, other: Worked) -> Worked:
    """What two have done."""
    values: dict[str, Any] = {
        part.name: getattr(one, part.name) + getattr(other, part.name) for part in fields(Worked)
    }
    return Worked(**{**values, "troubles": values["troubles"][-10:]})


class Turn(Enum):
    """What a worker's turn came to."""

    #: It has worked, or may find something at once.
    WORKED = auto()
    #: Nothing waits that is due.
    NOTHING = auto()
    #: Its connection broke, and it is not yet time for another one.
    LATER = auto()


class Worker:
    """Works on one pipeline in this process.

    Args:
        pipeline: The declaration.
        dsn: The database of the ledger and the target.
        name: Known to the parent process; default: host, process and a number.
        stop: Set by who wants it to end: what is begun is finished.
        on_batch: Told of each batch that was finished, and of troubles.
        key: The project's, for events with encrypted fields; None: there is none.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        dsn: str,
        *,
        name: str = "",
        stop: threading.Event | None = None,
        on_batch: Callable[[Worked], None] | None = None,
        key: ProjectKey | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.name = name or f"{platform.node()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self.stop = stop or threading.Event()
        self.worked = Worked()
        self._dsn = dsn
        self._key = key
        self.on_batch = on_batch
        self._troubles = 0
        self._began = False
        self._hearing: psycopg.Connection[Any] | None = None

    def run(self, *, once: bool = False) -> Worked:
        """Work until told to stop; `once`: until nothing waits that is due.

        Raises:
            PenstockError: The database cannot be reached at the beginning, or the declaration does
                not fit it.
        """
        in_turn([self], self.stop, once=once)
        return self.worked

    def turns(self) -> Generator[Turn, None, None]:
        """Work without end, a claim each turn; to be closed.

        Raises:
            PenstockError: As for `run`.
        """
        while True:
            try:
                yield from self._session()
            except TryAgain as error:
                if not self._began:
                    raise
                self._trouble(error.message)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._trouble(translated(error, "work").message)
            except sqlalchemy.exc.DBAPIError as error:
                said = error.orig if isinstance(error.orig, psycopg.Error) else None
                if said is None:
                    raise
                self._broken(said)
            except psycopg.Error as error:
                self._broken(error)
            finally:
                self._hearing = None
            due = time.monotonic() + self._wait_after()
            while time.monotonic() < due:
                yield Turn.LATER

    def _broken(self, error: psycopg.Error) -> None:
        """Before the first claim, what will not pass by itself ends the worker."""
        passing = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
        if not (self._began or passing):
            raise _told(error) from None
        self._trouble(_told(error).message)

    def hears(self, seconds: float) -> bool:
        """Wait so long for events; True where there may be some."""
        if self._hearing is None:
            self.stop.wait(seconds)
            return False
        try:
            return any(self._hearing.notifies(timeout=seconds, stop_after=1))
        except (psycopg.OperationalError, psycopg.InterfaceError):
            return True  # it broke, as the next claim finds

    def _session(self) -> Generator[Turn, None, None]:
        with connect(self._dsn) as control, loading_engine(self._dsn) as engine:
            with self._kept():
                self._hearing = control if _listen(control) else None
                named = _session_of(engine, control)
                name = self.pipeline.name
                run = RunRecord("work", f"penstock work {name}", pipeline=name)
                processor = Processor(self.pipeline, control, engine, run, key=self._key)
                queue.regain(control, self.pipeline.name, self.name)
                self._began = True
            while True:
                with self._kept() as held:
                    batches = queue.claim(control, self.pipeline, {"worker": self.name, **named})
                    ripe = [one for one in batches if queue.ripe(control, self.pipeline, one)]
                    if ripe:
                        held += ripe
                        self._work(processor, control, ripe)
                yield Turn.WORKED if batches else Turn.NOTHING

    def _work(
        self, processor: Processor, control: psycopg.Connection[Any], batches: list[Batch]
    ) -> None:
        try:
            for done in processor.process(batches):
                self.worked.add(done)
        except Fenced as error:
            self._trouble(error.message)
        except PenstockError as error:
            self._trouble(error.message)
            queue.put_back(control, batches, error.message, self._wait_after())
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except psycopg.Error as error:
            said = translated(error, "work").message
            self._trouble(said)
            queue.put_back(control, batches, said, self._wait_after())
        else:
            self._troubles = 0
            self._tell()

    @contextlib.contextmanager
    def _kept(self) -> Iterator[list[Batch]]:
        """Keep the lease of what is worked on (the list), on a connection of its own.

        Where for as long as the lease lasts no sign of life comes through, or the server knows
        nothing of what it is asked, or where another worker has taken over, this one may wait for
        an answer that never comes: that is ended.
        """
        held: list[Batch] = []
        over, here = threading.Event(), threading.get_ident()

        def keep() -> None:
            heard, before, done = time.monotonic(), list[Any](), False
            while not over.wait(_BEAT):
                kept, lost = True, list[Any]()
                # Nothing is lost: the next beat may come through, and without one the batch is
                # another worker's, so that this one's acknowledgement is refused.
                with contextlib.suppress(Exception):
                    kept, lost = self._beat(list(held), asking(here), end=done)
                    if not lost or lost != before:
                        heard = time.monotonic()
                    before = lost
                if not kept or time.monotonic() - heard > queue.LEASE:
                    done = cut(here) > 0 or done

        thread = threading.Thread(target=keep, name="penstock-beat", daemon=True)
        thread.start()
        try:
            yield held
        finally:
            over.set()
            thread.join()

    def _beat(
        self, batches: Sequence[Batch], asked: Sequence[int], *, end: bool
    ) -> tuple[bool, list[Any]]:
        """Whether the batches are ours; and what the server says of lost questions.

        Args:
            batches: What is worked on.
            asked: Sessions that owe an answer.
            end: End the one that was cut off, before what comes after it waits for its locks.
        """
        with connect(self._dsn) as connection, answered_within(_BEAT):
            if end:
                queue.end_own(connection, self.pipeline.name, self.name)
            kept = queue.beat(connection, batches) if batches else True
            return kept, [] if _pooled(connection) else queue.unasked(connection, asked)

    def _trouble(self, said: str) -> None:
        self._troubles += 1
        self.worked.troubles = [*self.worked.troubles[-9:], said]
        self._tell()

    def _tell(self) -> None:
        if self.on_batch is not None:
            self.on_batch(self.worked)

    def _wait_after(self) -> float:
        longest = min(_FIRST_WAIT * 2 ** min(self._troubles, 16), _LONGEST_WAIT)
        return random.uniform(longest / 2, longest)  # noqa: S311  workers shall not come at once


def _told(error: psycopg.Error) -> PenstockError:
    if not isinstance(error, psycopg.errors.InsufficientPrivilege):
        return translated(error, "work")
    return TargetError(
        f"Could not work: {error.diag.message_primary}. What a worker may do in the ledger is "
        "given by penstock roles --worker ROLE; SELECT, INSERT and UPDATE on the target, by you.",
        code=error.sqlstate or "",
    )


def in_turn(workers: Sequence[Worker], stop: threading.Event, *, once: bool = False) -> None:
    """Let workers of several pipelines work, a claim each, until told to stop.

    Args:
        workers: Each of another pipeline.
        stop: As they have it.
        once: True: until nothing waits that is due.

    Raises:
        PenstockError: As for `Worker.run`.
    """
    with contextlib.ExitStack() as stack:
        turns = [stack.enter_context(contextlib.closing(one.turns())) for one in workers]
        while not stop.is_set():
            came = [next(one) for one in turns if not stop.is_set()]
            if Turn.WORKED in came:
                continue
            if once and set(came) == {Turn.NOTHING}:
                return
            _wait(workers, stop)


@contextlib.contextmanager
def loading_engine(dsn: str) -> Iterator[sqlalchemy.Engine]:
    """The engine of one worker: its pool keeps one session from batch to batch.

    Its settings: `pool_size` 1, as a worker loads one batch at a time, `max_overflow` 1, to ask
    whether a COMMIT came through, `pool_timeout` 30 s, which is never reached so, `pool_pre_ping`,
    so that a session that broke is noticed before the work, and `pool_recycle` after an hour, as
    firewalls forget what is older.

    Args:
        dsn: As for `connect`.
    """
    conninfo = normalise(dsn)
    more: dict[str, str] = {k: str(v) for k, v in conninfo_to_dict(conninfo).items() if v}
    # Connections are opened as everywhere; the URL is for who opens another one like them, to ask
    # whether a COMMIT came through. libpq takes hosts, sockets and ports among its parameters.
    url = sqlalchemy.URL.create(
        "postgresql+psycopg",
        username=more.pop("user", None),
        password=more.pop("password", None),
        database=more.pop("dbname", None),
        query=more,
    )
    engine = sqlalchemy.create_engine(
        url,
        creator=lambda: noted(psycopg.connect(conninfo, prepare_threshold=None)),
        pool_size=1,
        max_overflow=1,
        pool_timeout=30,
        pool_pre_ping=True,
        pool_recycle=3600,
    )
    try:
        yield engine
    finally:
        engine.dispose()


def _listen(control: psycopg.Connection[Any]) -> bool:
    """Hear of events at once; False behind a pooler, where sessions are nobody's own."""
    if _pooled(control):
        return False
    control.execute(sql.SQL("listen {}").format(sql.Identifier(CHANNEL)))
    return True


def _wait(workers: Sequence[Worker], stop: threading.Event) -> None:
    until = time.monotonic() + _LOOK
    while not stop.is_set() and time.monotonic() < until:
        if any(one.hears(_HEED / len(workers)) for one in workers):
            return


def _pooled(connection: psycopg.Connection[Any]) -> bool:
    """A pooler names another backend at the log-in than the one that answers."""
    row = connection.execute("select pg_backend_pid()").fetchone()
    return row is None or row[0] != connection.info.backend_pid


def _session_of(engine: sqlalchemy.Engine, control: psycopg.Connection[Any]) -> dict[str, Any]:
    """The session that loads, by which who takes over can end it; nothing behind a pooler."""
    if _pooled(control):
        return {"pid": None, "started": None}
    with engine.connect() as connection:
        row = connection.exec_driver_sql(_SESSION).one()
    return {"pid": row[0], "started": row[1]}


def drain(pipeline: Pipeline, dsn: str, key: ProjectKey | None = None) -> Worked:
    """Work in this process until nothing waits that is due; for tests and notebooks."""
    return Worker(pipeline, dsn, key=key).run(once=True)
