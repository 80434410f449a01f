"""What a run of a flow opens before its first step, and gives back. Not for: the steps (`etl`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from penstock.connectors.ledgers import ledger_of
from penstock.connectors.postgres import Postgres
from penstock.connectors.protocol import Connector
from penstock.connectors.registry import connectors
from penstock.connectors.smtp import Smtp
from penstock.errors import PenstockError, UsageError
from penstock.flow import beginning, housekeeping
from penstock.flow.beginning import Requirement
from penstock.flow.books import Books
from penstock.flow.lease import Lease
from penstock.flow.log import RunLog
from penstock.ledger import flows, install
from penstock.ledger.flows import FlowRun
from penstock.project.environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that has begun.

    Attributes:
        connectors: Of its environment.
        books: The ledger.
        lease: Its right to be the flow's only run.
        log: Its log.
        done: Job -> the earlier run that has done it, where one is resumed.
    """

    connectors: Mapping[str, Connector]
    books: Books
    lease: Lease
    log: RunLog
    done: Mapping[str, str]

    def ledger(self) -> psycopg.Connection[Any]:
        """A connection to the ledger that works, in autocommit."""
        return self.books.connection()

    def look(self) -> None:
        """Look whether the run may go on.

        Raises:
            PenstockError: Another run has taken the flow over.
        """
        if self.lease.lost:
            raise PenstockError("Another run has taken this flow over: this one stops here")

    def mailer(self) -> Smtp | None:
        """The mail server; None where none is set."""
        return next((one for one in self.connectors.values() if isinstance(one, Smtp)), None)

    def close(self, code: int) -> None:
        """Give everything back: the next run may begin."""
        self.log.write("end", exit_code=code)
        self.log.close()
        with suppress(psycopg.Error, PenstockError):
            self.lease.give_back(self.books.connection())
        self.books.close()
        for one in self.connectors.values():
            one.close()


def begin(
    env: Environment,
    run: FlowRun,
    say: Callable[[str], None],
    *,
    resume: str | None,
    requires: Sequence[Requirement],
    dry_run: bool,
) -> Begun:
    """Connectors, ledger, lease, log, and the run's record.

    Args:
        env: The environment.
        run: The run.
        say: Prints a line for people.
        resume: An earlier run that it goes on with, or how its id begins.
        requires: Flows that must have succeeded lately.
        dry_run: True: no other flow is run for that.

    Raises:
        UsageError: Settings are wrong, all of them listed; there is no ledger; or no such run.
        TryAgain: Another run of this flow is going on, or a flow that it requires is too old.
    """
    try:
        housekeeping.make_folders(env.folder)
    except OSError as error:
        raise UsageError(f"The folder {error.filename} cannot be made: {error.strerror}") from None
    made = connectors(env, env.folder)
    targets = [f"{one.name} {one.where()}" for one in made.values() if isinstance(one, Postgres)]
    say(f"{env.project}, {env.name}: {', '.join(targets) or 'no target'}")
    for warning in env.warnings:
        say(f"warning: {warning}")
    where = ledger_of(env, made)
    books = Books(where)
    try:
        connection = books.connection()
        install.ensure(connection, where.conninfo())
        done = flows.done_jobs(connection, run.flow, resume) if resume is not None else {}
        lease = Lease(lambda: where.connect(autocommit=True), run)
        beginning.begin(connection, run, env, requires, say, dry_run=dry_run)
        lease.take(connection, float(env.get("wait", 0)))
    except PenstockError:
        books.close()
        raise
    log = RunLog(env.folder / housekeeping.LOGS, run, env)
    flows.begin_run(connection, run, where.where())
    log.write("start", target=where.where())
    return Begun(connectors=made, books=books, lease=lease, log=log, done=done)
