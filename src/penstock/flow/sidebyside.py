"""Runs independent jobs in processes of their own. Not for: what such a process does (`child`).

The processes are new ones, never forks: Polars hangs after a fork. What goes to them are names, on
their standard input: the folder, the environment's name, the job's module. They read settings and
secrets themselves. What comes back are results, through a pipe. A process whose standard input
ends has lost its flow, and ends too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from penstock.errors import UsageError
from penstock.flow.running import JobResult, Runnable, name_of
from penstock.ledger.flows import FlowRun, JobRecord
from penstock.project.environment import Environment

#: Seconds between two looks whether the flow may go on.
_LOOK = 1.0
#: Seconds that a process has to close its books when the flow is interrupted.
_LAST = 10.0
#: The module that such a process runs.
_CHILD = "penstock.flow.child"


@dataclass(frozen=True, slots=True)
class Numbered:
    """A job, and its place in the run."""

    job: Runnable
    number: int


@dataclass(slots=True)
class _Process:
    one: Numbered
    process: subprocess.Popen[bytes]
    answers: Connection[Any, Any]
    began: float = field(default_factory=time.monotonic)


@dataclass(slots=True, kw_only=True)
class SideBySide:
    """Independent jobs of one run.

    Attributes:
        env: The environment; only its folder and name are handed on.
        run: The flow's run.
        dry_run: True: what they load is rolled back.
        only: Keys that they are asked for, as `job.only`.
        say: Prints a line for people.
        look: Called every second; an error that it raises ends everything.
    """

    env: Environment
    run: FlowRun
    dry_run: bool
    only: tuple[str, ...] | None
    say: Callable[[str], None]
    look: Callable[[], object]
    _running: list[_Process] = field(init=False, default_factory=list)

    def carry_out(self, jobs: Sequence[Numbered], most: int) -> Iterator[JobResult]:
        """Run them, so many at a time; each result as it comes.

        When this ends early, by Ctrl-C or an error, no process is left.

        Args:
            jobs: With names by which another process finds them: see `place_of`.
            most: Processes at a time.
        """
        waiting = deque((one, place_of(one.job, self.env.folder)) for one in jobs)
        try:
            while waiting or self._running:
                while waiting and len(self._running) < most:
                    self._start(*waiting.popleft())
                wait([one.answers for one in self._running], timeout=_LOOK)
                self.look()
                for one in [one for one in self._running if one.answers.poll()]:
                    result = self._heard(one)
                    if result is not None:
                        self._running.remove(one)
                        yield result
        finally:
            self._end_all()

    def _start(self, one: Numbered, place: tuple[str, str]) -> None:
        order = {
            "folder": str(self.env.folder),
            "env": self.env.name,
            "flow": self.run.flow,
            "run_id": self.run.run_id,
            "number": one.number,
            "module": place[0],
            "attribute": place[1],
            "dry_run": self.dry_run,
            "only": self.only,
            "path": sys.path,
        }
        reader, writer = Pipe(duplex=False)
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", _CHILD, str(writer.fileno())],
                stdin=subprocess.PIPE,
                bufsize=0,
                pass_fds=[writer.fileno()],
                process_group=0,  # Ctrl-C is for this process, which ends them
            )
        finally:
            writer.close()
        self._running.append(_Process(one, process, reader))
        assert process.stdin is not None  # noqa: S101  asked for above
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
        except BrokenPipeError:
            return  # it is gone already, which the end of its answers tells

    def _heard(self, one: _Process) -> JobResult | None:
        """What a process says: its result, or None where it goes on."""
        try:
            kind, said = one.answers.recv()
        except (EOFError, OSError):
            return self._gone(one)
        if kind == "say":
            self.say(said)
            return None
        self._close(one)
        assert isinstance(said, JobResult)  # noqa: S101  the other thing that a child sends
        return said

    def _gone(self, one: _Process) -> JobResult:
        """A process that ended without a result: its job has failed."""
        code = self._close(one)
        why = f"ended with exit code {code} before its job did"
        if code < 0:
            name = signal.Signals(-code).name
            why = f"was killed by {name}"
            why += ", perhaps for want of memory" if -code == signal.SIGKILL else ""
        record = JobRecord(
            number=one.one.number,
            job=name_of(one.one.job),
            status="failed",
            error=f"its process {one.process.pid} {why}",
        )
        return JobResult(record=record, seconds=time.monotonic() - one.began)

    def _close(self, one: _Process) -> int:
        assert one.process.stdin is not None  # noqa: S101
        one.process.stdin.close()
        code = one.process.wait()
        one.answers.close()
        return code

    def _end_all(self) -> None:
        for one in self._running:
            one.process.terminate()
        until = time.monotonic() + _LAST
        for one in self._running:
            try:
                one.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.process.kill()
            self._close(one)
        self._running.clear()


def place_of(job: Runnable, folder: Path) -> tuple[str, str]:
    """The module of a job, and the function in it; empty where the module is the job.

    Raises:
        UsageError: Another process cannot find it by name.
    """
    attribute = str(getattr(job, "__qualname__", ""))
    module = str(job.__module__ if attribute else job.__name__)
    if module == "__main__":
        main = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
        if main.suffix == ".py" and main.resolve().parent == folder.resolve():
            module = main.stem
            there = getattr(sys.modules["__main__"], attribute, None)
            if there is job:
                return module, attribute
    else:
        there = import_module(module)
        if (getattr(there, attribute, None) if attribute else there) is job:
            return module, attribute
    raise UsageError(
        f"{name_of(job)}: with parallel= a job is a module of the project with run(job), or a "
        f"function at the top of one: another process must find it by its name, and {module}"
        f"{f'.{attribute}' if attribute else ''} is not found"
    )


def answers_at(number: str) -> Connection[Any, Any]:
    """The writing end of the pipe that `SideBySide` made, in the other process."""
    os.set_inheritable(int(number), False)
    return Connection(int(number), readable=False)
