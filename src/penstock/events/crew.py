"""Several processes with workers of the same pipelines. Not for: what a worker does (`worker`).

A worker that ends without being told is replaced, and what it had claimed is free at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from penstock.errors import PenstockError
from penstock.events import queue
from penstock.events.worker import Worked, added
from penstock.postgres.connection import connect

#: Seconds between two looks at the processes.
_LOOK = 0.1
#: Seconds before a worker that ended is replaced; doubled each time, until one has done something.
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a crew works on.

    Attributes:
        folder: The project.
        env: The environment; None: the default.
        pipelines: By name, with the database of each, to free what a worker that ended had
            claimed; each process works on all of them, in turn.
        processes: How many work.
        once: True: until nothing waits that is due.
    """

    folder: Path
    env: str | None
    pipelines: Mapping[str, str]
    processes: int = 1
    once: bool = False

    def __repr__(self) -> str:
        return f"Order({', '.join(self.pipelines)}, {self.processes})"


class Member:
    """One worker's process."""

    def __init__(self, order: Order) -> None:
        self.name = f"{platform.node()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self.worked = Worked()
        self.error: str | None = None
        self.exit_code = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "penstock.events.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=order.folder,
        )
        words = {"folder": str(order.folder), "env": order.env}
        names = {"pipelines": [*order.pipelines]}
        told = json.dumps({**words, **names, "worker": self.name, "once": order.once})
        assert self._process.stdin is not None  # noqa: S101  it is a pipe
        self._process.stdin.write(told.encode() + b"\n")
        self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def ended(self) -> int | None:
        """Its exit code, below 0 for a signal; None while it works."""
        code = self._process.poll()
        if code is not None:
            self._reader.join()
        return code

    def stop(self, *, at_once: bool = False) -> None:
        """Let it finish what it has begun, or end it."""
        if self._process.poll() is None:
            if at_once:
                self._process.kill()
            else:
                self._process.terminate()

    def close(self) -> None:
        """Wait for its end."""
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        for line in self._process.stdout:
            said = json.loads(line)
            if "error" in said:
                self.error, self.exit_code = said["error"], said["exit_code"]
            else:
                self.worked = Worked(**said)


class Crew:
    """Workers of the same pipelines.

    Args:
        order: What they work on.
        on_news: Told of what all have done, and of what happened, when there is news.

    Attributes:
        restarts: Workers that ended untold, and were replaced.
        error: Why they cannot work at all: the exit code and what was said; None: they can.
    """

    def __init__(self, order: Order, on_news: Callable[[Worked, str], None] | None = None) -> None:
        self.restarts = 0
        self.error: tuple[int, str] | None = None
        self._order = order
        self._on_news = on_news
        self._members: list[Member] = []
        self._done = Worked()
        self._told = Worked()
        self._stops = 0
        self._wait = _FIRST_WAIT

    def stop(self) -> None:
        """The first time: what is begun is finished. The second time: end at once."""
        self._stops += 1

    def run(self) -> Worked:
        """Work until told to stop, or until nothing waits; gives what all have done."""
        starts = [0.0] * self._order.processes
        sent = 0
        try:
            while starts or self._members:
                if self._stops:
                    starts = []
                if self._stops > sent:
                    sent = self._stops
                    for member in self._members:
                        member.stop(at_once=sent > 1)
                for due in [due for due in starts if due <= time.monotonic()]:
                    starts.remove(due)
                    self._members.append(Member(self._order))
                for member in [one for one in self._members if one.ended() is not None]:
                    self._members.remove(member)
                    if self._look_at(member):
                        starts.append(time.monotonic() + self._wait)
                        self._wait = min(self._wait * 2, _LONGEST_WAIT)
                self._tell("")
                time.sleep(_LOOK)
        finally:
            for member in self._members:
                member.stop(at_once=True)
                member.close()
        return self._total()

    @property
    def pids(self) -> list[int]:
        """Of the processes that work now."""
        return [member.pid for member in self._members]

    def _look_at(self, member: Member) -> bool:
        """Count what a worker that ended has done; gives whether it is to be replaced."""
        code = member.ended()
        member.close()
        if member.worked.batches:
            self._wait = _FIRST_WAIT
        self._done = added(self._done, member.worked)
        if member.error is not None:
            self.error = (member.exit_code, member.error)
            self.stop()
            return False
        if code == 0 or self._stops:
            if code != 0:
                self._free(member)
            return False
        self._free(member)
        self.restarts += 1
        how = f"by signal {-code}" if code and code < 0 else f"with exit code {code}"
        self._tell(f"worker {member.pid} ended {how}: another one takes its place")
        return True

    def _free(self, member: Member) -> None:
        """Nobody need wait for the lease of a process that is gone, where the database is there."""
        for name, dsn in self._order.pipelines.items():
            gone = contextlib.suppress(PenstockError, psycopg.Error)
            with gone, connect(dsn) as connection:
                queue.let_go(connection, name, member.name)

    def _total(self) -> Worked:
        total = self._done
        for member in self._members:
            total = added(total, member.worked)
        return total

    def _tell(self, what: str) -> None:
        total = self._total()
        if self._on_news is not None and (what or total != self._told):
            self._told = total
            self._on_news(total, what)
