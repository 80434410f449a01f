"""Etl: what a `main.py` calls, one run of a flow. Not for: jobs themselves (`working`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from penstock.errors import PenstockError, UsageError
from penstock.flow import fetching, housekeeping, telling
from penstock.flow.beginning import Requirement
from penstock.flow.catching import ErrorFile, catch, untold
from penstock.flow.choice import Choice
from penstock.flow.corrections import Corrections
from penstock.flow.fetching import Fetched, Fetching
from penstock.flow.imported import Imported
from penstock.flow.outcome import Outcome, told
from penstock.flow.program import run_program
from penstock.flow.responses import missing
from penstock.flow.running import JobResult, Runnable, name_of
from penstock.flow.sidebyside import Numbered, SideBySide
from penstock.flow.starting import Begun, begin
from penstock.flow.working import Work
from penstock.ledger import flows
from penstock.ledger.flows import FlowRun, JobRecord
from penstock.postgres.encodings import writable
from penstock.project.environment import Environment


@dataclass(slots=True, kw_only=True)
class Etl:
    """One run of a flow.

    Attributes:
        env: The settings of its environment.
        name: Of the flow: the stem of its main.
        dry_run: True: loads are rolled back, and nothing is fetched, mailed, moved or deleted.
        chosen: Names of the jobs that are run; None: all.
        first: The job from which on jobs are run; None: from the beginning.
        resume: An earlier run (or how its id begins); the jobs that it has done are left out.
        requires: Flows that must have succeeded lately.
        say: Prints a line for people.
        exit_code: What `end` gave.
    """

    env: Environment
    name: str = "main"
    dry_run: bool = False
    chosen: frozenset[str] | None = None
    first: str | None = None
    resume: str | None = None
    requires: Sequence[Requirement] = ()
    say: Callable[[str], None] = print
    _flow: FlowRun = field(init=False)
    _begun: Begun | None = field(init=False, default=None)
    _choice: Choice = field(init=False)
    _results: list[JobResult] = field(init=False, default_factory=list)
    _files: list[ErrorFile] = field(init=False, default_factory=list)
    _told: set[Path] = field(init=False, default_factory=set)
    exit_code: int = field(init=False, default=0)
    _imported: Imported = field(init=False)
    _ended: bool = field(init=False, default=False)
    _numbers: int = field(init=False, default=0)
    _refused: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._flow = FlowRun(f"{self.env.project}/{self.name}")
        self._choice = Choice(only=self.chosen, first=self.first)
        self._imported = Imported(self.root)

    @property
    def run_id(self) -> str:
        """The run's id in the ledger."""
        return self._flow.run_id

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.env.folder

    # The steps of a flow ------------------------------------------------------------------------

    def start(self) -> None:
        """Environment, connectors, log, ledger, lease, run record; then corrected files.

        Raises:
            UsageError: Settings are wrong, all of them listed; there is no ledger; or no run to
                resume.
            TryAgain: Another run of this flow is going on, or a flow that it requires is too old.
        """
        begun = self._begun = begin(
            self.env,
            self._flow,
            self.say,
            resume=self.resume,
            requires=self.requires,
            dry_run=self.dry_run,
        )
        self._choice.done = begun.done
        ledger, where = begun.ledger(), begun.books.where
        corrections = Corrections(ledger, where.conninfo(), self._flow, self.root, begun.log)
        self._refused = corrections.replay(self.say, self._tell, dry_run=self.dry_run)
        if begun.mailer() is not None and not self.dry_run:
            self._tell(untold(ledger, self.root, self._flow, self.say))

    def fetch(self, name: str, pattern: str, to: str | Path = housekeeping.IMPORT) -> Fetched:
        """Bring files from SFTP, object storage or another folder: each content once, and whole.

        Args:
            name: The connector, in `env`.
            pattern: Which files: `/out/*.csv`; `**` goes into folders below.
            to: Where to, relative to the project's root.

        Raises:
            UsageError: There is no such place.
            ConnectorError: It cannot be reached, or files could not be fetched; the others were.
        """
        begun = self._started()
        place = fetching.place_of(begun.connectors, name)
        done = Fetching(begun.ledger(), self._flow, self.root).fetch(
            place, pattern, Path(to), dry_run=self.dry_run
        )
        self._imported.came(done.files)
        done.tell(name, self.say, begun.log)
        return done

    def run(
        self,
        *jobs: Runnable,
        mail: bool = False,
        only: Sequence[str] | None = None,
        parallel: int = 1,
    ) -> Outcome:
        """Run jobs.

        Args:
            *jobs: Modules with `run(job)`, or such functions.
            mail: True: mail at once what they refused.
            only: Keys that the jobs are asked for, as `job.only`; such as `outcome.missing(...)`.
            parallel: 1: they depend on one another, and are run in this order; when one fails, the
                next are skipped. More: they do not, and so many are run side by side, each in a
                process of its own.

        Raises:
            UsageError: `parallel` is no number from 1, or a job cannot be run so.
        """
        begun = self._started()
        if not isinstance(parallel, int) or parallel < 1:
            raise UsageError(f"parallel is a number of processes from 1, not {parallel!r}")
        results: list[JobResult] = []
        files: list[ErrorFile] = []
        chosen = [one for one in map(self._numbered, jobs) if not self._leaves_out(one)]
        keys = None if only is None else tuple(only)
        self._imported.begin()
        work = self._side_by_side if parallel > 1 else self._in_order
        for result in work(chosen, keys, parallel):
            results.append(result)
            self._results.append(result)
            self._imported.read(result.record.details)
            if result.runs:
                flows.part_of(begun.ledger(), self._flow, result.record.job, result.runs)
            caught: list[ErrorFile] = []
            if not self.dry_run:
                caught = catch(begun.ledger(), self.root, self._flow, result, self.say)
            files += caught
            self._files += caught
            begun.log.job(result)
            for line in told(result, caught, self.root):
                self.say(line)
        if mail:
            self._tell(files)
        ordered = tuple(sorted(results, key=lambda one: one.record.number))
        return Outcome(ordered, tuple(files), self._missing)

    def mail(self, files: Sequence[ErrorFile], to: str | None = None) -> None:
        """Mail error files now, instead of at the end.

        Args:
            files: Of an outcome.
            to: To whom; default: as the jobs said.
        """
        self._started()
        self._tell(files, to)

    def backup(self, pattern: str | None = None) -> list[Path]:
        """Move what jobs have read from `data/import` into `data/backup/RUN/`, compressed.

        Nothing is moved where a job failed: the next run finds it again. What no job has read
        stays, and is named.

        Args:
            pattern: Files that jobs read by code of their own, such as `*.xml`: those go too that
                were there before the first job began, unless jobs were left out.
        """
        self._started()
        if self.dry_run or any(one.failed for one in self._results):
            return []
        files, staying = self._imported.done(pattern)
        if staying:
            names = ", ".join(path.name for path in staying[:3])
            names += f" and {len(staying) - 3:,} more" if len(staying) > 3 else ""
            self.say(f"no job has read what stays in {housekeeping.IMPORT}: {names}")
        return housekeeping.backup(self.root, self.run_id, files)

    def purge(self, days: float) -> int:
        """Delete backups, errors, exports and logs older than so many days; how many files."""
        self._started()
        return 0 if self.dry_run else housekeeping.purge(self.root, days)

    def end(self) -> int:
        """Mail what was not mailed, close the run, and let the next one begin.

        Returns:
            The exit code: 0 all went well, 3 rows were refused, 1 a job failed.
        """
        ledger = self._started().ledger()
        failed = [one for one in self._results if one.record.status == "failed"]
        refused = self._refused + sum(one.record.rejected for one in self._results)
        self._tell(self._files)
        mails = self._telling()
        if failed:
            cause = f"{failed[0].record.job}: {failed[0].record.error}"
            mails.failure(cause, self._results)
        elif not self.dry_run and not self._choice.leaves_out:
            mails.recovered()
        for problem in mails.send():
            self.say(f"warning: a mail waits in the outbox: {problem}")
        error = "; ".join(f"{one.record.job}: {one.record.error}" for one in failed) or None
        status = "dry_run" if self.dry_run else "failed" if failed else "succeeded"
        flows.finish_run(ledger, self._flow, status, error)
        code = 1 if failed else 3 if refused else 0
        kept = " (a dry run: nothing was kept)" if self.dry_run else ""
        self.say(f"run {self.run_id[:8]}: {'failed' if failed else 'succeeded'}{kept}")
        self._close(code)
        return code

    # What they need -----------------------------------------------------------------------------

    def finish(self) -> None:
        """End a run that was begun and that the flow did not end."""
        if self._begun is not None and not self._ended:
            self.end()

    def abandon(self, error: BaseException) -> None:
        """Close the run after an error in the flow itself."""
        begun = self._begun
        if begun is None or self._ended:
            return
        said = writable(str(error) or type(error).__name__)
        if isinstance(error, KeyboardInterrupt):
            said = "interrupted by Ctrl-C"
        stopped = isinstance(error, KeyboardInterrupt)
        with suppress(psycopg.Error, PenstockError, OSError):
            self._tell(self._files)  # what jobs before it refused is told all the same
        with suppress(psycopg.Error, PenstockError):
            if not stopped:
                mails = self._telling()
                mails.failure(said, self._results)
                mails.send()
        with suppress(psycopg.Error, PenstockError):
            status = "interrupted" if stopped else "failed"
            flows.finish_run(begun.books.connection(), self._flow, status, said)
        self._close(1)

    def _close(self, code: int) -> None:
        self._ended, self.exit_code = True, code
        if self._begun is not None:
            self._begun.close(code)

    def _started(self) -> Begun:
        if self._begun is None or self._ended:
            raise UsageError("Call etl.start() first, and nothing after etl.end()")
        self._begun.look()
        return self._begun

    def _telling(self) -> telling.Telling:
        begun = self._started()
        mailer = None if self.dry_run else begun.mailer()
        return telling.Telling(begun.ledger(), mailer, self._flow, self.env)

    def _numbered(self, job: Runnable) -> Numbered:
        self._numbers += 1
        return Numbered(job, self._numbers)

    def _leaves_out(self, one: Numbered) -> bool:
        """True where the job is not run, because somebody wants it so: that is booked."""
        name = name_of(one.job)
        why = self._choice.why_not(name)
        if why:
            by = self._choice.done.get(name)
            self._imported.partial = True
            if by is not None:
                for details in flows.details_of(self._started().ledger(), by, name):
                    self._imported.read(details)
            self._skipped(one, why, {} if by is None else {"done_by": by})
            self.say(f"{name}: {why}")
        return bool(why)

    def _missing(self, loads: Sequence[str], column: str) -> tuple[str, ...]:
        return missing(self._started().ledger(), loads, column)

    def _in_order(
        self, jobs: Sequence[Numbered], only: tuple[str, ...] | None, most: int
    ) -> Iterator[JobResult]:
        del most
        begun, broken = self._started(), ""
        work = Work(
            env=self.env,
            connectors=begun.connectors,
            run=self._flow,
            books=begun.books,
            dry_run=self.dry_run,
            only=only,
            say=self.say,
        )
        for one in jobs:
            self._started()
            if broken:
                record = self._skipped(one, f"{broken} failed", {})
                yield JobResult(record=record, seconds=0.0)
                continue
            result = work.carry_out(one.job, one.number)
            if result.failed:
                broken = name_of(one.job)
            yield result

    def _side_by_side(
        self, jobs: Sequence[Numbered], only: tuple[str, ...] | None, most: int
    ) -> Iterator[JobResult]:
        work = SideBySide(
            env=self.env,
            run=self._flow,
            dry_run=self.dry_run,
            only=only,
            say=self.say,
            look=self._started,
        )
        for result in work.carry_out(jobs, most):
            if result.failed:
                flows.close_job(self._started().ledger(), self._flow, result.record)
            yield result

    def _skipped(self, one: Numbered, because: str, details: Mapping[str, Any]) -> JobRecord:
        record = JobRecord(
            number=one.number,
            job=name_of(one.job),
            status="skipped",
            error=because,
            details=details,
        )
        ledger = self._started().ledger()
        flows.begin_job(ledger, self._flow, record)
        flows.finish_job(ledger, self._flow, record)
        return record

    def _tell(self, files: Sequence[ErrorFile], to: str | None = None) -> None:
        fresh = [one for one in files if one.path not in self._told]
        if self.dry_run or not fresh:
            return
        mails = self._telling()
        for problem in mails.refused(fresh, to):
            self.say(f"warning: {problem}")
        self._told.update(one.path for one in fresh)
        for problem in mails.send():
            self.say(f"warning: a mail waits in the outbox: {problem}")

    @staticmethod
    def main(
        flow: Callable[[Etl], None], env: Mapping[str, Any], argv: Sequence[str] | None = None
    ) -> int:
        """Run a flow as a program: reads the command line, gives the exit code.

        Args:
            flow: Calls `start`, `run` and the others, and `end`.
            env: Of `config.py`.
            argv: Words of the command line; default: the program's.
        """
        return run_program(Etl, flow, env, argv)
