"""What a job's `run(job)` is given. Not for: running it (`running`)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

from penstock.connectors.protocol import Connector
from penstock.errors import UsageError
from penstock.flow.connection import Connection, Loaded
from penstock.flow.cursors import Cursor, Cursors
from penstock.flow.kept import Kept
from penstock.flow.sent import Sent
from penstock.flow.tally import Tally
from penstock.ledger.runs import RunRecord
from penstock.model.batch import ROW
from penstock.project.environment import Environment


@dataclass(frozen=True, slots=True)
class Caught:
    """Loads whose refused rows are to be told.

    Attributes:
        loaded: The loads, links and sends.
        to: A list's name or an address; None: the project's usual ones.
    """

    loaded: tuple[Loaded | Sent | Kept, ...]
    to: str | None


@dataclass(slots=True)
class Job:
    """One job of a run: connections, and the books of what it does with rows.

    Attributes:
        name: Of its module.
        env: The environment's settings.
        dry_run: True: loads are rolled back after they succeeded, and nothing is sent.
        only: Keys that it is asked for, by `etl.run(..., only=...)`; None: everything.
        flow: Of which flow: project and main.
        run_id: The flow's run.
        keeps: Name of the connector whose database has the ledger.
        ledger: Opens a connection to the ledger, in autocommit; None: there is none.
    """

    name: str
    env: Environment
    connectors: Mapping[str, Connector] = field(repr=False)
    dry_run: bool = False
    cursors: Cursors = field(default_factory=Cursors, repr=False)
    only: tuple[str, ...] | None = None
    flow: str = ""
    run_id: str = ""
    keeps: str = ""
    ledger: Callable[[], psycopg.Connection[Any]] | None = field(default=None, repr=False)
    tally: Tally = field(default_factory=Tally, repr=False)
    connections: dict[str, Connection] = field(default_factory=dict, repr=False)
    caught: list[Caught] = field(default_factory=list, repr=False)
    stack: ExitStack = field(default_factory=ExitStack, repr=False)

    def connect(self, name: str) -> Connection:
        """A connection by its name in `env`; what it does is booked by itself.

        Raises:
            UsageError: There is no such connector.
        """
        if name not in self.connectors:
            known = ", ".join(sorted(self.connectors)) or "none"
            raise UsageError(f"{self.name}: there is no connector {name!r} in env; known: {known}")
        if name not in self.connections:  # a unit is of one connection, however often it is asked
            self.connections[name] = Connection(self, self.connectors[name])
        return self.connections[name]

    def drop(self, frame: pl.DataFrame, *, because: str) -> None:
        """Leave rows out, and say why: they are booked as dropped, with the reason.

        Args:
            frame: Rows with their `_row`.
            because: The reason, in plain words.

        Raises:
            UsageError: The frame has no `_row`.
        """
        if ROW not in frame.columns:
            raise UsageError(f"{self.name}: drop() needs rows with their {ROW}")
        self.tally.drop(frame.get_column(ROW), because)

    def catch(self, *loaded: Loaded | Sent, to: str | None = None) -> None:
        """Tell what these loads, links and sends refused: an error file each, and a mail.

        Args:
            *loaded: What `load`, `link` or `send` gave.
            to: A list of `env["mail"]["lists"]` or an address; default `env["mail"]["to"]`.
        """
        self.caught.append(Caught(loaded, to))

    def cursor(self, name: str, *, column: str, initial: Any, overlap: Any = None) -> Cursor:
        """Up to where a source was read, for `read(query, since=...)`; one for each read.

        It moves to the largest value that was read when the job has succeeded and its loads are
        committed; never back, and never in a dry run.

        Args:
            name: Its own, in this flow.
            column: Of the source: always set, growing, and among those that are read.
            initial: What `:since` is the first time; None is NULL, which `>` never exceeds.
            overlap: Read rows again that lie this far back, because a transaction that ends late
                brings rows with earlier times: a timedelta, "30s", "5m", "2h", "1d", or a number
                for a column of numbers.

        Raises:
            UsageError: The job has taken it already, or the overlap means nothing.
        """
        return self.cursors.take(name, column, initial, overlap)

    def run_of(self, kind: str, connector: str) -> RunRecord:
        """The record of a run of loads that this job makes; part of the flow's, where it can be.

        Args:
            kind: `load` or `unit`.
            connector: Name of the database that is loaded to.
        """
        if not self.run_id or connector != self.keeps:
            return RunRecord(kind)
        return RunRecord(kind, part_of=self.run_id, job=self.name)

    def spool(self) -> Callable[[], Path]:
        """Makes a folder (0700) for what can be read only once, when somebody asks for it."""

        @cache
        def make() -> Path:
            return Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-")))

        return make
