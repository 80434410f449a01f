"""Etl: what a `main.py` calls, one run of a flow. Not for: jobs themselves (`running`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from penstock.connectors.postgres import Postgres
from penstock.connectors.protocol import Connector
from penstock.connectors.registry import connectors
from penstock.errors import PenstockError, UsageError
from penstock.flow import beginning, fetching, housekeeping, telling
from penstock.flow.beginning import Requirement
from penstock.flow.catching import ErrorFile, catch
from penstock.flow.corrections import Corrections
from penstock.flow.cursors import Cursors
from penstock.flow.fetching import Fetched, Fetching
from penstock.flow.job import Job
from penstock.flow.lease import Lease
from penstock.flow.ledgers import ledger_of
from penstock.flow.log import RunLog
from penstock.flow.program import run_program
from penstock.flow.responses import missing
from penstock.flow.running import JobResult, Runnable, name_of, run_job, run_of
from penstock.ledger import flows, install
from penstock.ledger.flows import FlowRun, JobRecord
from penstock.project.environment import Environment


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the jobs of one `run()`.

    Attributes:
        results: One for each job, in order.
        error_files: Files with the rows that they refused.
        find: Asks the ledger for `missing`.
    """

    results: tuple[JobResult, ...]
    error_files: tuple[ErrorFile, ...]
    find: Callable[[Sequence[str], str], tuple[str, ...]] = field(repr=False)

    def missing(self, column: str) -> tuple[str, ...]:
        """The values of a column that refer to nothing, of rows that these jobs refused."""
        return self.find([load for one in self.results for load in one.loads], column)

    @property
    def failed(self) -> bool:
        """True where a job failed or was skipped."""
        return any(one.failed for one in self.results)


@dataclass(slots=True, kw_only=True)
class Etl:
    """One run of a flow.

    Attributes:
        env: The settings of its environment.
        name: Of the flow: the stem of its main.
        dry_run: True: loads are rolled back, and nothing is fetched, mailed, moved or deleted.
        chosen: Names of the jobs that are run; None: all.
        resume: An earlier run (or how its id begins); the jobs that it has done are left out.
        requires: Flows that must have succeeded lately.
        say: Prints a line for people.
        exit_code: What `end` gave.
    """

    env: Environment
    name: str = "main"
    dry_run: bool = False
    chosen: frozenset[str] | None = None
    resume: str | None = None
    requires: Sequence[Requirement] = ()
    say: Callable[[str], None] = print
    _flow: FlowRun = field(init=False)
    _connectors: Mapping[str, Connector] = field(init=False, default_factory=dict)
    _ledger: psycopg.Connection[Any] | None = field(init=False, default=None)
    _lease: Lease | None = field(init=False, default=None)
    _log: RunLog | None = field(init=False, default=None)
    _results: list[JobResult] = field(init=False, default_factory=list)
    _files: list[ErrorFile] = field(init=False, default_factory=list)
    _told: set[Path] = field(init=False, default_factory=set)
    _done: set[str] = field(init=False, default_factory=set)
    exit_code: int = field(init=False, default=0)
    _ended: bool = field(init=False, default=False)
    _numbers: int = field(init=False, default=0)
    _refused: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._flow = FlowRun(f"{self.env.project}/{self.name}")

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
            UsageError: Settings are wrong, all of them listed; or there is no ledger.
            TryAgain: Another run of this flow is going on, or a flow that it requires is too old.
        """
        housekeeping.make_folders(self.root)
        self._connectors = connectors(self.env, self.root)
        targets = [
            f"{one.name} {one.where()}"
            for one in self._connectors.values()
            if isinstance(one, Postgres)
        ]
        self.say(f"{self.env.project}, {self.env.name}: {', '.join(targets) or 'no target'}")
        for warning in self.env.warnings:
            self.say(f"warning: {warning}")
        where = ledger_of(self.env, self._connectors)
        connection = where.connect(autocommit=True)
        install.ensure(connection, where.conninfo())
        if self.resume is not None:
            self._done = flows.succeeded_jobs(connection, self.resume)
        lease = Lease(lambda: where.connect(autocommit=True), self._flow)
        try:
            beginning.begin(
                connection, self._flow, self.env, self.requires, self.say, dry_run=self.dry_run
            )
            lease.take(connection, float(self.env.get("wait", 0)))
        except PenstockError:
            connection.close()
            raise
        self._ledger, self._lease = connection, lease
        self._log = RunLog(self.root / housekeeping.LOGS, self._flow, self.env)
        flows.begin_run(connection, self._flow, where.where())
        self._log.write("start", target=where.where())
        corrections = Corrections(connection, where.conninfo(), self._flow, self.root, self._log)
        self._refused = corrections.replay(self.say, self._tell, dry_run=self.dry_run)

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
        ledger = self._started()
        place = fetching.place_of(self._connectors, name)
        done = Fetching(ledger, self._flow, self.root).fetch(
            place, pattern, Path(to), dry_run=self.dry_run
        )
        done.tell(name, self.say, self._log)
        return done

    def run(
        self, *jobs: Runnable, mail: bool = False, only: Sequence[str] | None = None
    ) -> Outcome:
        """Run jobs that depend on one another, in this order: when one fails, the next are skipped.

        Args:
            *jobs: Modules with `run(job)`, or such functions.
            mail: True: mail at once what they refused.
            only: Keys that the jobs are asked for, as `job.only`; such as `outcome.missing(...)`.
        """
        ledger = self._started()
        results: list[JobResult] = []
        files: list[ErrorFile] = []
        broken = ""
        for one in jobs:
            name = name_of(one)
            if self.chosen is not None and name not in self.chosen:
                continue
            if name in self._done:
                self.say(f"{name}: done by the earlier run")
                continue
            result = self._skipped(name, broken) if broken else self._run(one, name, only)
            results.append(result)
            self._results.append(result)
            if result.runs:
                flows.part_of(ledger, self._flow, name, result.runs)
            caught = catch(ledger, self.root, self._flow, result)
            files += caught
            self._files += caught
            self._show(result, caught)
            if result.failed and not broken:
                broken = name
        if mail:
            self._tell(files)
        return Outcome(tuple(results), tuple(files), partial(missing, ledger))

    def mail(self, files: Sequence[ErrorFile], to: str | None = None) -> None:
        """Mail error files now, instead of at the end.

        Args:
            files: Of an outcome.
            to: To whom; default: as the jobs said.
        """
        self._started()
        self._tell(files, to)

    def backup(self, pattern: str = "*") -> list[Path]:
        """Move what lies in `data/import` into `data/backup/RUN/`, compressed, with hashes.

        Nothing is moved where a job failed: the next run finds it again.
        """
        self._started()
        if self.dry_run or any(one.failed for one in self._results):
            return []
        folder = self.root / housekeeping.IMPORT
        files = [path for path in sorted(folder.glob(pattern)) if path.is_file()]
        files = [path for path in files if path.name != ".gitkeep"]
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
        ledger = self._started()
        failed = [one for one in self._results if one.record.status == "failed"]
        refused = self._refused + sum(one.record.rejected for one in self._results)
        self._tell(self._files)
        told = telling.Telling(ledger, self._mailer(), self._flow, self.env)
        if failed:
            cause = f"{failed[0].record.job}: {failed[0].record.error}"
            told.failure(cause, self._results)
        elif not self.dry_run:
            told.recovered()
        for problem in told.send():
            self.say(f"warning: a mail waits in the outbox: {problem}")
        error = "; ".join(f"{one.record.job}: {one.record.error}" for one in failed) or None
        flows.finish_run(ledger, self._flow, "failed" if failed else "succeeded", error)
        code = 1 if failed else 3 if refused else 0
        self.say(f"run {self.run_id[:8]}: {'failed' if failed else 'succeeded'}")
        self._close(code)
        return code

    # What they need -----------------------------------------------------------------------------

    def finish(self) -> None:
        """End a run that was begun and that the flow did not end."""
        if self._ledger is not None and not self._ended:
            self.end()

    def abandon(self, error: BaseException) -> None:
        """Close the run after an error in the flow itself."""
        if self._ledger is None or self._ended:
            return
        said = str(error) or type(error).__name__
        if isinstance(error, KeyboardInterrupt):
            said = "interrupted by Ctrl-C"
        with suppress(psycopg.Error, PenstockError):
            self._tell(self._files)  # what jobs before it refused is told all the same
            told = telling.Telling(self._ledger, self._mailer(), self._flow, self.env)
            if not isinstance(error, KeyboardInterrupt):
                told.failure(said, self._results)
                told.send()
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            flows.finish_run(self._ledger, self._flow, status, said)
        self._close(1)

    def _close(self, code: int) -> None:
        self._ended, self.exit_code = True, code
        if self._log is not None:
            self._log.write("end", exit_code=code)
            self._log.close()
        if self._ledger is not None and self._lease is not None:
            with suppress(psycopg.Error):
                self._lease.give_back(self._ledger)
            self._ledger.close()
        for one in self._connectors.values():
            one.close()

    def _started(self) -> psycopg.Connection[Any]:
        if self._ledger is None or self._ended:
            raise UsageError("Call etl.start() first, and nothing after etl.end()")
        if self._lease is not None and self._lease.lost:
            raise PenstockError("Another run has taken this flow over: this one stops here")
        return self._ledger

    def _mailer(self) -> Any:
        from penstock.connectors.smtp import Smtp

        found = [one for one in self._connectors.values() if isinstance(one, Smtp)]
        return None if self.dry_run or not found else found[0]

    def _run(self, one: Runnable, name: str, only: Sequence[str] | None = None) -> JobResult:
        ledger = self._started()
        record = JobRecord(number=self._next(), job=name)
        flows.begin_job(ledger, self._flow, record)
        cursors = Cursors(
            lambda cursor: flows.cursor(ledger, self._flow.flow, cursor),
            lambda where, cursor, value: flows.move_cursor(where, self._flow, cursor, value),
            ledger_of(self.env, self._connectors).name,
        )
        where = ledger_of(self.env, self._connectors)
        job = Job(
            name,
            self.env,
            self._connectors,
            dry_run=self.dry_run,
            cursors=cursors,
            only=None if only is None else tuple(only),
            flow=self._flow.flow,
            run_id=self.run_id,
            keeps=where.name,
            ledger=lambda: where.connect(autocommit=True),
        )
        result = run_job(
            run_of(one), job, record.number, strict=bool(self.env.get("strict", False))
        )
        with ledger.transaction():
            flows.finish_job(ledger, self._flow, result.record)
            if not result.failed and not self.dry_run:
                for cursor, value in cursors.moved().items():
                    flows.move_cursor(ledger, self._flow, cursor, value)
        if self._log is not None:
            self._log.job(result)
        return result

    def _skipped(self, name: str, because: str) -> JobResult:
        record = JobRecord(
            number=self._next(), job=name, status="skipped", error=f"{because} failed"
        )
        flows.begin_job(self._started(), self._flow, record)
        flows.finish_job(self._started(), self._flow, record)
        return JobResult(record=record, seconds=0.0)

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _show(self, result: JobResult, files: Sequence[ErrorFile]) -> None:
        record = result.record
        if record.status == "succeeded":
            said = (
                f"{record.extracted:,} read, {record.loaded:,} loaded, "
                f"{record.rejected:,} refused ({result.seconds:.1f} s)"
            )
        else:
            said = f"{record.status}: {record.error}"
        self.say(f"{record.job}: {said}")
        for note in result.notes:
            self.say(f"  {note}")
        for one in files:
            noun = "row" if one.rows == 1 else "rows"
            self.say(
                f"  {one.rows:,} refused {noun} of {one.table}: {one.path.relative_to(self.root)}"
            )

    def _tell(self, files: Sequence[ErrorFile], to: str | None = None) -> None:
        fresh = [one for one in files if one.path not in self._told]
        if self.dry_run or not fresh:
            return
        told = telling.Telling(self._started(), self._mailer(), self._flow, self.env)
        told.refused(fresh, to)
        self._told.update(one.path for one in fresh)
        for problem in told.send():
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
