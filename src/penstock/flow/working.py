"""Runs a job to its end, as often as it may be tried, and books it. Not for: which jobs (`etl`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from penstock.connectors.protocol import Connector
from penstock.flow.attempts import attempts_of, is_repeatable
from penstock.flow.books import Books
from penstock.flow.cursors import Cursors
from penstock.flow.job import Job
from penstock.flow.running import JobResult, Runnable, name_of, run_job, run_of
from penstock.ledger import flows
from penstock.ledger.flows import FlowRun, JobRecord
from penstock.project.environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a job needs to be run, in whichever process.

    Attributes:
        env: The environment.
        connectors: Of the environment.
        run: The flow's run.
        books: The ledger.
        dry_run: True: what it loads is rolled back.
        only: Keys that it is asked for, as `job.only`.
        say: Prints a line for people.
    """

    env: Environment
    connectors: Mapping[str, Connector]
    run: FlowRun
    books: Books
    dry_run: bool
    only: tuple[str, ...] | None
    say: Callable[[str], None]

    def carry_out(self, one: Runnable, number: int) -> JobResult:
        """Run a job; what came of it is booked. Each attempt begins anew, with nothing held.

        Args:
            one: The job.
            number: Its place in the run.

        Raises:
            UsageError: `retries` or `backoff` are wrong.
        """
        name = name_of(one)
        made: list[JobResult] = []
        for pause in (*attempts_of(one, name, self.env).pauses(), None):
            made.append(self._attempt(one, name, number, last=pause is None))
            if pause is None or not made[-1].again:
                break
            said = f"attempt {len(made)} failed: {made[-1].record.error}"
            self.say(f"{name}: {said}; again in {pause:.1f} s")
            for connector in self.connectors.values():
                connector.close()
            time.sleep(pause)
        return _joined(made)

    def _attempt(self, one: Runnable, name: str, number: int, *, last: bool) -> JobResult:
        connection = self.books.connection()
        flows.begin_job(connection, self.run, JobRecord(number=number, job=name))
        where = self.books.where
        cursors = Cursors(
            lambda cursor: flows.cursor(connection, self.run.flow, cursor),
            lambda there, cursor, value: flows.move_cursor(there, self.run, cursor, value),
            where.name,
        )
        job = Job(
            name,
            self.env,
            self.connectors,
            dry_run=self.dry_run,
            cursors=cursors,
            only=self.only,
            flow=self.run.flow,
            run_id=self.run.run_id,
            keeps=where.name,
            ledger=lambda: where.connect(autocommit=True),
        )
        strict = bool(self.env.get("strict", False))
        result = run_job(run_of(one), job, number, strict=strict)
        if result.again and not last and not is_repeatable(job.tally.results):
            note = "not tried again: rows that it appended would be there twice"
            result = replace(result, again=False, notes=(*result.notes, note))
        connection = self.books.connection()
        with connection.transaction():
            flows.finish_job(connection, self.run, result.record)
            if not result.failed and not self.dry_run and not job.tally.undone():
                for cursor, value in cursors.moved().items():
                    flows.move_cursor(connection, self.run, cursor, value)
        return result


def _joined(made: Sequence[JobResult]) -> JobResult:
    """The last attempt, with what earlier ones loaded and refused."""
    last = made[-1]
    if len(made) == 1:
        return last
    return replace(
        last,
        seconds=sum(one.seconds for one in made),
        caught=tuple(caught for one in made for caught in one.caught),
        loads=tuple(load for one in made for load in one.loads),
        runs=tuple(run for one in made for run in one.runs),
        notes=(*last.notes, f"{len(made)} attempts"),
    )
