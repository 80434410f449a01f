"""What a job's `run(job)` is given. Not for: running it (`running`)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg

from penstock.connectors.postgres import Postgres
from penstock.connectors.protocol import Connector
from penstock.errors import UsageError
from penstock.flow.cursors import Cursor, Cursors
from penstock.flow.sends import send
from penstock.flow.sent import Sent
from penstock.flow.tally import Tally
from penstock.loading.inputs.traced import Traced
from penstock.loading.load import load_table
from penstock.model.batch import ROW
from penstock.model.result import LoadResult
from penstock.postgres.catalog import find_table, read_table
from penstock.project.environment import Environment

if TYPE_CHECKING:
    from penstock.mapping.map import Map

#: Modes that may leave out columns which a new row would need.
_PARTIAL = ("upsert", "sync", "scd2")


class NothingToDo(Exception):
    """There is nothing to read: the job ends, and has succeeded."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a load in a job.

    Attributes:
        result: The books of the load.
        table: Where to, as the job named it.
    """

    result: LoadResult
    table: str


@dataclass(frozen=True, slots=True)
class Caught:
    """Loads whose refused rows are to be told.

    Attributes:
        loaded: The loads and sends.
        to: A list's name or an address; None: the project's usual ones.
    """

    loaded: tuple[Loaded | Sent, ...]
    to: str | None


@dataclass(slots=True)
class Job:
    """One job of a run: connections, and the books of what it does with rows.

    Attributes:
        name: Of its module.
        env: The environment's settings.
        dry_run: True: loads are rolled back after they succeeded, and nothing is sent.
        flow: Of which flow: project and main.
        ledger: Opens a connection to the ledger, in autocommit; None: there is none.
    """

    name: str
    env: Environment
    connectors: Mapping[str, Connector] = field(repr=False)
    dry_run: bool = False
    cursors: Cursors = field(default_factory=Cursors, repr=False)
    flow: str = ""
    ledger: Callable[[], psycopg.Connection[Any]] | None = field(default=None, repr=False)
    tally: Tally = field(default_factory=Tally, repr=False)
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
        return Connection(self, self.connectors[name])

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
        """Tell what these loads and sends refused: an error file each, and a mail.

        Args:
            *loaded: What `load` or `send` gave.
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

    def spool(self) -> Callable[[], Path]:
        """Makes a folder (0700) for what can be read only once, when somebody asks for it."""

        @cache
        def make() -> Path:
            return Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-")))

        return make


class Connection:
    """A connector within a job.

    Args:
        job: Books what is done.
        connector: Does it.
    """

    def __init__(self, job: Job, connector: Connector) -> None:
        self._job = job
        self.connector = connector

    def read(self, what: Any, /, **options: Any) -> pl.DataFrame:
        """Read rows.

        Args:
            what: Of a folder: a pattern; of a database: a query.
            **options: As the connector has them; `since` may be a cursor of the job.

        Returns:
            The source's columns, then `_row` (Int64), by which each row is accounted for.

        Raises:
            NothingToDo: No file matches: the job ends here, and has succeeded.
            PenstockError: It cannot be read.
        """
        extract = getattr(self.connector, "extract", None)
        if extract is None:
            raise UsageError(f"{self.connector.name} cannot be read from")
        job, cursor = self._job, options.get("since")
        if isinstance(cursor, Cursor):
            options["since"] = cursor.since
        found = extract(what, first=job.tally.next_input, spool=job.spool(), **options)
        if found is None:
            raise NothingToDo(f"nothing at {self.connector.where()} is named {what}")
        if isinstance(cursor, Cursor):
            cursor.note(found.frame)
        return job.tally.took(found)

    def load(
        self, frame: pl.DataFrame, table: str, transform: Map | None = None, **options: Any
    ) -> Loaded:
        """Load rows into a table of this PostgreSQL database.

        Args:
            frame: The rows; with their `_row` each refused one is known by where it was read.
            table: The target.
            transform: How fields are made; default: columns of the same name.
            **options: As for `load_table`: `mode`, `key`, `orphans`, `max_rejects` ...; and
                `moves`, a cursor that moves in the transaction of this load.

        Raises:
            UsageError: This is no PostgreSQL database, or the map does not fit.
            PenstockError: As for `load_table`.
        """
        if not isinstance(self.connector, Postgres):
            raise UsageError(f"{self.connector.name} is no PostgreSQL database: nothing to load to")
        tally = self._job.tally
        if "moves" in options:
            options["along"] = self._job.cursors.along(options.pop("moves"), self.connector.name)
        if ROW not in frame.columns:
            tally.aggregated(table, frame.height)
            frame = frame.with_columns(pl.lit(None, dtype=pl.Int64).alias(ROW))
        lost = tally.malformed_of(frame)
        rows, faults = frame.get_column(ROW), None
        if transform is not None:
            mapped = self._bound(transform, frame, table, options).apply(frame)
            frame, faults = mapped.frame, mapped.faults
            changed = ", ".join(f"{count:,} {what}" for what, count in mapped.changes.items())
            if changed:
                tally.notes.append(f"{table}: the map changed values: {changed}")
        source = Traced(frame=frame, names=tally.names, malformed=lost, faults=faults)
        if self._job.dry_run:
            options["dry_run"] = True
        result = load_table(self.connector.conninfo(), source, table, **options)
        tally.reached(rows, result)
        return Loaded(result, table)

    def send(
        self, frame: pl.DataFrame, module: str, transform: Map | None = None, **options: Any
    ) -> Sent:
        """Send rows to a module of another system, such as a CRM.

        Args:
            frame: The rows; with their `_row` each refused one is known by where it was read.
            module: Its name in the connector's settings.
            transform: How fields are made; default: the columns as they are.
            **options: As for `flow.sends.send`: `mode`, `key`, `only_changed`, `stop_after`,
                `max_failures`.

        Raises:
            UsageError: Nothing can be sent there, or not so.
            ConnectorError: The system cannot be reached, or refuses the login.
        """
        return send(self._job, self.connector, frame, module, transform, **options)

    def _bound(
        self, transform: Map, frame: pl.DataFrame, table: str, options: Mapping[str, Any]
    ) -> Map:
        """The map, held against the source and the table; as it is where the table is to come.

        Raises:
            UsageError: All that does not fit, at once.
        """
        assert isinstance(self.connector, Postgres)  # noqa: S101  `load` asked
        with self.connector.connect() as connection:
            if options.get("create") and find_table(connection, table) is None:
                return transform
            spec = read_table(connection, table)
        columns = [name for name in frame.columns if name != ROW]
        partial = str(options.get("mode", "append")) in _PARTIAL
        return transform.check(columns, spec, partial=partial)
