"""A connector within a job: what it reads, loads, links and sends is booked. Not for: the job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl
import psycopg

from penstock.connectors.postgres import Postgres
from penstock.connectors.protocol import Connector
from penstock.errors import UsageError
from penstock.flow.cursors import Cursor, Cursors
from penstock.flow.linking import Ref, link_options, links
from penstock.flow.responses import Given, missing, responses
from penstock.flow.sends import send
from penstock.flow.sent import Sent
from penstock.flow.tally import Tally
from penstock.ledger.runs import RunRecord
from penstock.loading.inputs.traced import Traced
from penstock.loading.load import options_from, run_load
from penstock.loading.together import LoadUnit, unit
from penstock.model.batch import ROW
from penstock.model.result import LoadResult
from penstock.postgres.catalog import find_table, read_table

if TYPE_CHECKING:
    from penstock.mapping.map import Map

#: Modes that may leave out columns which a new row would need.
_PARTIAL = ("upsert", "sync", "scd2")
#: What a map's lookup in a table does without a member -> what the load does with the row.
_POLICIES = {"reject": "quarantine", "null": "null", "wait": "wait"}


class NothingToDo(Exception):
    """There is nothing to read: the job ends, and has succeeded."""


class _TrialOver(Exception):
    """A unit of a dry run has gone well, and is rolled back."""


class Working(Protocol):
    """What of a job is needed here; see `job.Job`."""

    name: str
    tally: Tally
    dry_run: bool
    cursors: Cursors
    flow: str
    ledger: Callable[[], psycopg.Connection[Any]] | None

    def run_of(self, kind: str, connector: str) -> RunRecord:
        """The record of a run of loads."""
        ...

    def spool(self) -> Callable[[], Path]:
        """Makes a folder for what can be read only once."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a load or a link in a job.

    Attributes:
        result: The books.
        table: Where to, as the job named it.
        given: The rows.
        connect: Opens the database as the load saw it.
        undone: Tells whether it was rolled back.
    """

    result: LoadResult
    table: str
    given: Given = field(repr=False)
    connect: Callable[[], AbstractContextManager[psycopg.Connection[Any]]] = field(repr=False)
    undone: Callable[[], bool] = field(repr=False)

    def responses(self) -> pl.DataFrame:
        """One row for each row that was given, in its order.

        `_row` (Int64), `key`, `outcome` (`loaded`, `refused`, `waits` for a row that it refers
        to, or `undone`: rolled back by a dry run or with its unit), `target_id` (the row's primary
        key, where that is one column and no part of the key), `code`, `reason` (String).
        """
        load_id = None if self.undone() else self.result.load_id
        with self.connect() as connection:
            return responses(connection, self.given, load_id, self.table)

    def missing(self, column: str) -> tuple[str, ...]:
        """The values of a column that refer to nothing: what to ask the source for."""
        with self.connect() as connection:
            return missing(connection, [self.result.load_id], column)


@dataclass(frozen=True, slots=True)
class _Made:
    """Rows on their way into a table: as they were given, and as its map made them."""

    table: str
    frame: pl.DataFrame
    made: pl.DataFrame
    source: Traced


class Connection:
    """A connector within a job.

    Args:
        job: Books what is done.
        connector: Does it.
    """

    def __init__(self, job: Working, connector: Connector) -> None:
        self._job = job
        self.connector = connector
        self._unit: LoadUnit | None = None
        self._kept: list[LoadUnit] = []

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
        with self._job.tally.undone_on_error():
            one, options = self._made(frame, table, transform, options)
            return self._booked(one, self._carry_out(one.source, table, options), options)

    def load_together(
        self, *tables: tuple[pl.DataFrame, str, Map | None], **options: Any
    ) -> tuple[Loaded, ...]:
        """Load rows into several tables in one transaction, such as orders and their lines.

        With `group="order_no"` the rows of one order are loaded in all of them, or in none.

        Args:
            *tables: Rows, table and map (or None) of each, parents before their children.
            **options: As for `load`; they hold for each.

        Returns:
            One for each table, in the order given.

        Raises:
            UsageError: As for `load`; or this is within a `unit`.
            PenstockError: As for `load_star`.
        """
        if self._unit is not None:
            raise UsageError("load_together() is a transaction of its own: not within a unit")
        with self._job.tally.undone_on_error():
            return self._together(tables, options)

    def _together(
        self, tables: Sequence[tuple[pl.DataFrame, str, Map | None]], options: dict[str, Any]
    ) -> tuple[Loaded, ...]:
        made: list[_Made] = []
        for frame, table, transform in tables:
            one, options = self._made(frame, table, transform, options)
            made.append(one)
        results = self._carried_out([(one.table, one.source) for one in made], options)
        # Beside them are loads of what waited: those of a table come after its own.
        by_table = {one.table: one for one in reversed(results)}
        with self._connected() as connection:
            names = [str(find_table(connection, one.table)) for one in made]
        return tuple(
            self._booked(one, by_table[name], options)
            for one, name in zip(made, names, strict=True)
        )

    def _made(
        self, frame: pl.DataFrame, table: str, transform: Map | None, options: dict[str, Any]
    ) -> tuple[_Made, dict[str, Any]]:
        """Rows as a table's load takes them, and its options."""
        self._database()
        tally = self._job.tally
        if "moves" in options:
            options["along"] = self._job.cursors.along(options.pop("moves"), self.connector.name)
        frame = tally.traced(frame, table)
        lost = tally.malformed_of(frame)
        made, faults = frame, None
        if transform is not None:
            bound = self._bound(transform, frame, table, options)
            mapped = bound.apply(frame)
            made, faults = mapped.frame, mapped.faults
            options = _with_lookups(bound, options)
            changed = ", ".join(f"{count:,} {what}" for what, count in mapped.changes.items())
            if changed:
                tally.notes.append(f"{table}: the map changed values: {changed}")
        source = Traced(frame=made, names=tally.names, malformed=lost, faults=faults)
        return _Made(table, frame, made, source), options

    def _booked(self, one: _Made, result: LoadResult, options: Mapping[str, Any]) -> Loaded:
        frame, made = one.frame, one.made
        self._job.tally.reached(made.get_column(ROW), result)
        if made.height != frame.height:  # a lookup made several rows of one
            frame = made.select(ROW).join(frame, on=ROW, how="left", maintain_order="left")
        key = options.get("key") or ()
        key = (key,) if isinstance(key, str) else tuple(key)
        given = Given(frame, made, self._job.tally.names, key)
        return self._loaded(result, one.table, given)

    def link(
        self, loaded: Loaded, refs: Mapping[str, Ref], *, into: str | None = None, **options: Any
    ) -> Loaded:
        """Set relationships by natural key, once both sides are loaded.

        Rows that the load refused are left out, and their references counted: they are set when
        the rows come again in the source, and not by a correction, which does not have them.
        What is empty is unlinked; what refers to nothing yet waits, and each later link or load of
        the table tries it again.

        Args:
            loaded: What `load` gave, by a key.
            refs: Target column -> what it refers to.
            into: A table of its own with pairs of references; default: the references are columns
                of the table that was loaded.
            **options: As for `load_table`; `orphans`: `wait` (default), `quarantine` or `null`.

        Raises:
            UsageError: The rows do not have such a column, or no key.
            PenstockError: As for `load_table`.
        """
        self._database()
        said = loaded.responses()
        with self._connected() as connection:
            found = links(connection, loaded.given, said, loaded.table, refs, into=into)
        table, names = into or loaded.table, self._job.tally.names
        chosen = link_options(refs, into, found.key, options)
        result = self._carry_out(Traced(frame=found.frame, names=names), table, chosen)
        self._job.tally.linked(table, result)
        self._job.tally.not_linked(loaded.table, into or ", ".join(refs), found.left_out)
        given = Given(found.frame, found.frame, names, found.key)
        return self._loaded(result, table, given)

    @contextmanager
    def unit(self) -> Iterator[None]:
        """Loads and links within the `with` block are one transaction: all of them, or none.

        Raises:
            UsageError: There is a unit already.
            PenstockError: The commit fails.
        """
        job, database = self._job, self._database()
        if self._unit is not None:
            raise UsageError(f"{job.name}: a unit within a unit cannot be rolled back alone")
        try:
            with job.tally.undone_on_error(), unit(database.conninfo()) as self._unit:
                self._unit.run = job.run_of("unit", database.name)
                yield
                if job.dry_run:
                    raise _TrialOver
            self._kept.append(self._unit)
        except _TrialOver:
            pass
        finally:
            self._unit = None

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

    def _database(self) -> Postgres:
        if not isinstance(self.connector, Postgres):
            raise UsageError(f"{self.connector.name} is no PostgreSQL database: nothing to load to")
        return self.connector

    def _carry_out(self, source: Traced, table: str, options: Mapping[str, Any]) -> LoadResult:
        """Load, in the unit or in a transaction of its own."""
        if self._unit is not None:
            return self._unit.load(source, table, **options)
        return self._carried_out([(table, source)], options)[0]

    def _carried_out(
        self, pairs: Sequence[tuple[str, Traced]], options: Mapping[str, Any]
    ) -> list[LoadResult]:
        database, job = self._database(), self._job
        chosen = options_from(**options, **({"dry_run": True} if job.dry_run else {}))
        run = job.run_of("load", database.name)
        return run_load(database.conninfo(), pairs, chosen, run)

    def _loaded(self, result: LoadResult, table: str, given: Given) -> Loaded:
        within = self._unit

        def undone() -> bool:
            gone = within is not None and within is not self._unit and within not in self._kept
            return result.dry_run or gone

        return Loaded(result, table, given, self._connected, undone)

    def _connected(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        if self._unit is not None:  # nobody else sees its rows yet
            return nullcontext(self._unit.connection)
        return self._database().connect()

    def _bound(
        self, transform: Map, frame: pl.DataFrame, table: str, options: Mapping[str, Any]
    ) -> Map:
        """The map, held against the source and the table; as it is where the table is to come.

        Raises:
            UsageError: All that does not fit, at once.
        """
        with self._connected() as connection:
            if options.get("create") and find_table(connection, table) is None:
                return transform
            spec = read_table(connection, table)
        columns = [name for name in frame.columns if name != ROW]
        partial = str(options.get("mode", "append")) in _PARTIAL
        return transform.check(columns, spec, partial=partial)


def _with_lookups(transform: Map, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a load, with the lookups in tables that its map declares."""
    found = transform.lookups
    if not found:
        return dict(options)
    lookups = {name: str(how.table) for name, how in found.items()}
    orphans = {name: _POLICIES[how.missing] for name, how in found.items()}
    return {
        **options,
        "lookups": {**lookups, **options.get("lookups", {})},
        "orphans": {**orphans, **options.get("orphans", {})},
    }
