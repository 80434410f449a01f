"""Keeps the ledger true: before work, with the data, after a rollback, and when nobody answered.

Not for: the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import psycopg

from penstock.errors import BeginsAnew, PenstockError, TryAgain
from penstock.ledger import checks, files, rejects, runs
from penstock.ledger.runs import RunRecord
from penstock.loading.books import TableBooks
from penstock.loading.prepare import Prepared
from penstock.loading.spool import Spool
from penstock.loading.tableload import TableLoad
from penstock.model.options import LoadMode, LoadOptions
from penstock.model.result import LoadResult
from penstock.model.table import TableName
from penstock.postgres.connection import Target, translated
from penstock.postgres.sqlstates import Kind, kind_of


@dataclass(frozen=True, slots=True)
class _Kept:
    """A failed load: what it was, its result, why it failed, its first refused rows."""

    prepared: Prepared
    result: LoadResult
    said: str
    rows: list[pl.DataFrame]
    origin: Callable[[int], tuple[str, int]]


class Recorder:
    """Writes one run of one or several loads; does nothing with `ledger=False`.

    Attributes:
        run_id: The run's id; empty without a ledger.
    """

    def __init__(self, target: Target, options: LoadOptions, run: RunRecord) -> None:
        self.run_id = run.run_id if options.ledger else ""
        self._run = run
        self._target = target
        self._options = options
        self._on = options.ledger

    def begin(self, tables: Sequence[Prepared]) -> None:
        """Record the run before its work; within the caller's transaction where one is joined."""
        if not self._on:
            return
        connection = self._target.connection
        self._begin(connection, tables)
        if not self._target.joined:
            connection.commit()

    def _begin(self, connection: psycopg.Connection[Any], tables: Sequence[Prepared]) -> None:
        runs.begin_run(connection, self._run, self._target.label)
        for prepared in tables:
            runs.begin_load(
                connection,
                self._run,
                prepared.load_id,
                table=prepared.spec.name,
                mode=prepared.reading.mode.value,
                sources=[one.name for one, _ in prepared.inputs],
                options=prepared.written,
            )

    def write_rejects(
        self, connection: psycopg.Connection[Any], loads: Sequence[TableLoad]
    ) -> None:
        """Keep the refused rows, in the transaction of the data."""
        if not self._on:
            return
        for load in loads:
            books, prepared = load.books, load.prepared
            load_id, name, awaited = prepared.load_id, prepared.spec.name, prepared.awaited
            if prepared.replaying is not None:
                prepared.replaying.finish(connection, load_id, books.spool.frames(), awaited)
            elif books.spool.rows:
                frames, newer = books.spool.frames(), load.newer() if awaited else ()
                books.superseded += rejects.write(
                    connection,
                    load_id,
                    name,
                    frames,
                    books.origin,
                    supplied=prepared.supplied,
                    awaited=awaited,
                    newer=newer,
                )
            if self._options.mode is LoadMode.TRUNCATE and prepared.inputs:
                books.superseded += rejects.supersede(connection, load_id, name)
            books.superseded += rejects.replace(connection, load_id, prepared.replaces)
        for load in loads:  # when each replay has closed its own
            load.resolve()
            prepared = load.prepared
            replayed = prepared.replaying is not None and not prepared.retry_of
            mode = (prepared.reading if replayed else self._options).mode
            if prepared.awaited and mode in (LoadMode.UPSERT, LoadMode.SYNC):
                overtaken = rejects.overtake(connection, prepared.load_id, prepared.spec.name)
                load.books.superseded += overtaken

    def succeeded(
        self,
        connection: psycopg.Connection[Any],
        tables: Sequence[TableBooks],
        results: Sequence[LoadResult],
    ) -> None:
        """Write counts, files and outcome, in the transaction of the data.

        Raises:
            TryAgain: The same content came into the table by another load meanwhile.
        """
        if not self._on:
            return
        emptied = self._options.mode is LoadMode.TRUNCATE
        for books, result in zip(tables, results, strict=True):
            name = books.prepared.spec.name
            runs.lock_load(connection, result.load_id)
            if emptied and books.prepared.inputs:
                files.forget(connection, name)
            elif books.prepared.gone:
                files.forget(connection, name, books.prepared.gone)
            for file in books.files:
                again = self._options.again or self._options.mode is not LoadMode.APPEND
                if not files.record(connection, name, result.load_id, file, again=again):
                    raise loaded_meanwhile(name, file[0])
            status = "failed" if books.failed else "succeeded"
            runs.finish_load(connection, result, status, books.failed or None)
            self._write_checks(connection, name, result)
        runs.finish_run(connection, self._run, "succeeded")

    def failed(
        self, error: BaseException, books: Sequence[TableBooks], tables: Sequence[Prepared]
    ) -> None:
        """Keep what is known of a unit that was rolled back, in a transaction of its own.

        Tables without books were not reached: they failed with the others.

        The ledger must not hide the error that it records: where it cannot be written, the run
        stays `running` and is marked as interrupted by the next one.
        """
        afterwards = self._target.afterwards
        if not self._on or (self._target.joined and afterwards is None):
            return
        said = str(error) or type(error).__name__
        # Nothing is wrong with rows that are loaded once more at once (`penstock.events`).
        anew = isinstance(error, BeginsAnew)
        if isinstance(error, KeyboardInterrupt):
            said = "interrupted by Ctrl-C"
        kept = [self._kept(one, said) for one in books]
        reached = {one.prepared.load_id for one in books}
        away = f"not reached before the load of another table failed: {said}" if books else said
        kept += [
            self._kept(TableBooks(one, self._options, Spool(one.origin)), away)
            for one in tables
            if one.load_id not in reached
        ]

        def keep(committed: bool) -> None:
            with suppress(psycopg.Error, PenstockError), self._connection() as connection:
                if anew:
                    self._keep_anew(connection, kept)
                else:
                    self._keep(connection, said, kept, committed=committed)

        keep(False) if afterwards is None else afterwards.append(keep)

    def _kept(self, books: TableBooks, said: str) -> _Kept:
        result = replace(
            books.result(self.run_id, self._target.label, books.seconds),
            inserted=0,
            updated=0,
            unchanged=0,
            ignored=0,
            deleted=0,
            inferred=0,
        )
        # What waits already is no new reject.
        new = books.spool.rows and not books.prepared.retry_of
        rows = list(books.spool.first_of_each()) if new else []
        return _Kept(books.prepared, result, said, rows, books.origin)

    def _keep(
        self,
        connection: psycopg.Connection[Any],
        said: str,
        kept: Sequence[_Kept],
        *,
        committed: bool,
    ) -> None:
        with connection.transaction():
            if self._target.joined:  # what was recorded within went with the transaction
                self._begin(connection, [one.prepared for one in kept])
            for one in kept:
                open_still = runs.finish_load(connection, one.result, "failed", one.said)
                if open_still:
                    self._write_checks(connection, one.prepared.spec.name, one.result)
                if open_still and one.rows:
                    name, load_id = one.prepared.spec.name, one.result.load_id
                    rejects.write_void(connection, load_id, name, one.rows, one.origin)
            if not committed:  # the other loads of a unit may have gone on without this one
                runs.finish_run(connection, self._run, "failed", said)

    def _keep_anew(self, connection: psycopg.Connection[Any], kept: Sequence[_Kept]) -> None:
        with connection.transaction():
            if self._target.joined:
                self._begin(connection, [one.prepared for one in kept])
            for one in kept:
                runs.finish_load(connection, one.result, "anew", one.said)

    def _write_checks(
        self, connection: psycopg.Connection[Any], table: TableName, result: LoadResult
    ) -> None:
        """Keep what is not as declared: of what is, `penstock check` keeps a record."""
        bad = [one for one in result.checks if one.bad]
        checks.write(connection, self._run, table, bad, load_id=result.load_id)

    def dry_run(self, results: Sequence[LoadResult]) -> None:
        """Record a load that was rolled back because that was asked for."""
        if not self._on:
            return
        connection = self._target.connection
        for result in results:
            runs.finish_load(connection, result, "dry_run")
        runs.finish_run(connection, self._run, "dry_run")
        if not self._target.joined:
            connection.commit()

    def _connection(self) -> psycopg.Connection[Any]:
        return self._target.another()


def loaded_meanwhile(table: TableName, file: str) -> TryAgain:
    """The error for a content that another load brought into the table."""
    return TryAgain(
        f"{file}: the same content was loaded into {table} by another load while this one ran. "
        "Nothing was changed; a new try will skip the file.",
        code="files",
    )


def commit(target: Target, load_id: str) -> None:
    """COMMIT; where the answer is lost, find out what became of it instead of trying again.

    Args:
        target: Its transaction is ours.
        load_id: One of the loads in it, by which the ledger is asked; empty without a ledger.

    Raises:
        TryAgain: It did not commit, or nobody can say.
        TargetError: The server refused it.
    """
    try:
        target.connection.commit()
    except psycopg.Error as error:
        if kind_of(error) is not Kind.TRANSIENT or not target.connection.closed:
            raise translated(error, "commit the load") from None
        try:
            status = _became(target, load_id)
        except (psycopg.Error, PenstockError):
            status = None
        if status == "succeeded":
            return
        if status is None:
            raise TryAgain(
                "The connection was lost while the load was being committed, and it is not known "
                "whether it was. Look with: penstock runs; then run it again if it was not.",
                code="40003",
            ) from None
        raise TryAgain(
            "The connection was lost before the load was committed. Nothing was changed; "
            "try again.",
            code="08006",
        ) from None


def _became(target: Target, load_id: str) -> str | None:
    """The status of a load whose COMMIT was not answered; None where no ledger has it."""
    if not load_id:
        return None
    with target.another() as connection, connection.transaction():
        return runs.status_of(connection, load_id)
