"""Loads several tables as one transaction, with its ledger and its books.

Three transactions: the run is recorded before work; data, rejects, counts and outcome commit
together; after a rollback the run, its counts and its rejects are kept by a third. Not for: what
users call (`load`), nor how one table is filled (`fill`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import psycopg

from penstock.errors import BudgetExceeded, LoadError, PenstockError
from penstock.ledger.quarantine import Selection
from penstock.ledger.runs import RunRecord
from penstock.loading.altered import altered
from penstock.loading.books import TableBooks, stopping
from penstock.loading.export import SpoolPart, export_rejects, export_spools
from penstock.loading.fallen import Fallen, GroupsFell
from penstock.loading.fill import ServerRefusedRows
from penstock.loading.observe import Observer
from penstock.loading.outcome import Recorder, commit, loaded_meanwhile
from penstock.loading.prepare import Prepared, not_loaded_before
from penstock.loading.replaying import RejectsInput
from penstock.loading.room import Room
from penstock.loading.spool import Spool
from penstock.loading.steps import Step
from penstock.loading.tableload import TableLoad
from penstock.loading.waited import not_tried, patience
from penstock.model.options import LoadMode, LoadOptions
from penstock.model.result import LoadResult
from penstock.postgres.connection import Target, set_locally, translated
from penstock.postgres.deferred import make_deferred, make_immediate

#: The server may refuse rows of a table twice before its load stages with all constraints kept.
_MOST_REFUSALS = 2


class Unit:
    """Tables that are loaded in one transaction.

    Args:
        target: Where to.
        tables: The tables in the order in which they are filled, parents first.
        options: Of all of them.
        run: The run that the loads belong to.
        observer: Is told of steps and progress.
    """

    def __init__(
        self,
        target: Target,
        tables: Sequence[Prepared],
        options: LoadOptions,
        run: RunRecord,
        observer: Observer,
    ) -> None:
        self._target = target
        self._connection = target.connection
        self._tables = tables
        self._options = options
        self._observer = observer
        self._recorder = Recorder(target, options, run)
        self._refusals: dict[str, int] = {}
        self._books: list[TableBooks] = []
        self._fallen = Fallen(tables)

    def execute(self) -> list[LoadResult]:
        """Load all tables, or change nothing.

        Raises:
            PenstockError: The load failed; what it refused is kept in the ledger as `void`.
        """
        self._observer.step(Step.RECORD)
        self._recorder.begin(self._tables)
        try:
            return self._exported(_folded(self._attempts(), self._tables))
        except BaseException as error:
            # Also Ctrl-C: the refused rows of a failed load are still needed when its transaction
            # is gone; then the error goes on.
            told = _as_ours(error)
            self._recorder.failed(told, self._books, self._tables)
            told = self._export_failed(told)
            if isinstance(told, LoadError) and not self._target.joined:
                told.run_id = self._recorder.run_id
            if told is error:
                raise
            raise told from None
        finally:
            self._forget()

    def _exported(self, results: list[LoadResult]) -> list[LoadResult]:
        """Write the file of refused rows; the load stands, whether that works or not."""
        path, options = self._options.rejects_file, self._options
        if path is None:
            return results
        try:
            if options.ledger and not options.dry_run and not self._target.joined:
                loads = tuple(result.load_id for result in results)
                with self._target.another() as connection:
                    export_rejects(connection, path, Selection(loads=loads))
            else:
                export_spools(path, self._spools())
        except (PenstockError, OSError, psycopg.Error) as error:
            said = f"the refused rows could not be written to {path}: {error}"
            return [replace(one, warnings=(*one.warnings, said)) for one in results]
        return results

    def _export_failed(self, error: BaseException) -> BaseException:
        """Write what a failed load refused; gives the error with where it is."""
        path = self._options.rejects_file
        if path is None or not isinstance(error, LoadError):
            return error
        if not any(books.spool.rows and not books.prepared.retry_of for books in self._books):
            return error
        try:
            rows = export_spools(path, self._spools())
            said = f"The refused {'row is' if rows == 1 else 'rows are'} in {path} ({rows:,})."
        except (PenstockError, OSError) as failed:
            said = f"{path} was not written: {failed}"
        return type(error)(f"{error.message} {said}", code=error.code)

    def _spools(self) -> list[SpoolPart]:
        return [
            SpoolPart(books.prepared.spec.name, books.spool.frames, books.origin)
            for books in self._books
            if not books.prepared.retry_of
        ]

    def _forget(self) -> None:
        for books in self._books:
            books.spool.close()
        self._books = []

    def _attempts(self) -> list[LoadResult]:
        while True:
            try:
                return self._attempt()
            except GroupsFell:
                continue
            except ServerRefusedRows as refused:
                count = self._refusals.get(refused.load_id, 0) + 1
                self._refusals[refused.load_id] = count
                if count > _MOST_REFUSALS:
                    raise refused.error from None
                self._not_loaded_meanwhile()

    def _not_loaded_meanwhile(self) -> None:
        """Rows may be refused because another load brought the same files while this one ran."""
        options = self._options
        if not options.ledger or options.again or options.mode is not LoadMode.APPEND:
            return
        for prepared in self._tables:
            inputs = [one for one, _ in prepared.inputs]
            spec, gone = prepared.spec, prepared.gone
            _, skipped = not_loaded_before(self._connection, spec, inputs, gone)
            if skipped:
                raise loaded_meanwhile(prepared.spec.name, skipped[0])

    def _attempt(self) -> list[LoadResult]:
        began = time.perf_counter()
        with ExitStack() as stack:
            if self._target.joined:
                dry = self._options.dry_run
                stack.enter_context(self._connection.transaction(force_rollback=dry))
            else:
                stack.callback(_rollback, self._connection)
            results = self._load(began)
            if self._target.joined:
                for prepared in self._tables:
                    make_deferred(self._connection, prepared.spec.oid)
                if not self._options.dry_run:
                    return results
            self._observer.step(Step.COMMIT)
            if not self._options.dry_run:
                commit(self._target, results[0].load_id if self._options.ledger else "")
            elif not self._target.joined:
                self._connection.rollback()
        if self._options.dry_run:
            self._recorder.dry_run(results)
        self._observer.step(Step.COMMITTED)
        return results

    def _load(self, began: float) -> list[LoadResult]:
        connection, options = self._connection, self._options
        set_locally(connection, self._tables[0].spec.name.schema)
        self._tables = [altered(connection, one, options.lock_timeout) for one in self._tables]
        if self._target.joined:
            # What the caller deferred on these tables must not be in the way of ours.
            for prepared in self._tables:
                make_immediate(connection, prepared.spec.oid)
        room = Room(connection, self._tables, options, self._observer)
        self._forget()
        loads: list[TableLoad] = []
        for prepared in self._tables:
            if not prepared.retry_of:
                loads.append(self._table_load(prepared, room, loads))
                self._books.append(loads[-1].books)
                self._fill(loads[-1])
                continue
            if not loads[-1].prepared.retry_of:
                loads[-1].resolve()  # a row that came anew is newer than the one that waits
            loads += self._tried_again(prepared, room, loads)
        self._stand_or_fall()
        self._observer.step(Step.VERIFY)
        try:
            for load in loads:
                make_immediate(connection, load.prepared.spec.oid)
        except psycopg.Error as error:
            raise self._whose(error) from error
        for load in loads:
            load.verify()
        self._observer.step(Step.REJECTS)
        self._recorder.write_rejects(connection, loads)
        for books in self._books:
            for stage in books.filled.stages:
                stage.drop()
        self._observer.step(Step.BOOKS)
        own = [books for books in self._books if not books.prepared.retry_of]
        for books in own:
            books.conclude()
        alone = len(own) == 1
        results = [
            books.result(
                self._recorder.run_id,
                self._target.label,
                time.perf_counter() - began if alone and books is own[0] else books.seconds,
            )
            for books in self._books
        ]
        self._recorder.succeeded(connection, self._books, results)
        self._tell_along(own)
        return results

    def _tell_along(self, own: Sequence[TableBooks]) -> None:
        """What the caller writes in the same transaction, last of all, where no check stops it."""
        if self._options.on_books is not None:
            for books in own:
                written = books.filled.inserted + books.filled.updated
                self._options.on_books(books.prepared.load_id, written, books.refused_rows())
        if (stopped := stopping(own)) is not None:
            raise stopped
        if self._options.along is not None:
            self._options.along(self._connection)

    def _table_load(self, prepared: Prepared, room: Room, along: Sequence[TableLoad]) -> TableLoad:
        return TableLoad(
            self._connection,
            prepared,
            self._options if prepared.replaying is None else prepared.reading,
            room,
            self._observer,
            along=tuple(along),
            refused=self._refusals.get(prepared.load_id, 0),
            joined=self._target.joined,
            groups=self._fallen.filter_for(prepared),
        )

    def _tried_again(
        self, prepared: Prepared, room: Room, along: Sequence[TableLoad]
    ) -> list[TableLoad]:
        """The load of rows that waited; none where it fails, which is not the others' fault."""
        connection = self._connection
        load = self._table_load(prepared, room, along)
        self._books.append(load.books)
        try:
            with connection.transaction(), patience(connection):
                load.fill()
        except (PenstockError, psycopg.Error, ServerRefusedRows) as error:
            load.books.spool.close()
            cause = error.error if isinstance(error, ServerRefusedRows) else error
            rows = sum(one.rows for one, _ in prepared.inputs if isinstance(one, RejectsInput))
            self._books[-1] = TableBooks(prepared, prepared.reading, Spool(prepared.origin))
            self._books[-1].failed = not_tried(connection, rows, cause)
            return []
        return [load]

    def _fill(self, load: TableLoad) -> None:
        try:
            load.fill()
        except BudgetExceeded:
            if load.books.refused == load.books.spool.rows:
                self._stand_or_fall()  # the other rows of their groups count too
            raise

    def _stand_or_fall(self) -> None:
        if self._fallen.learn(self._books):
            raise GroupsFell

    def _whose(self, error: psycopg.Error) -> Exception:
        """A deferred constraint failed: the table it is on is staged in the next attempt."""
        named = error.diag.table_name
        for prepared in self._tables:
            if prepared.spec.name.table == named or len(self._tables) == 1:
                return ServerRefusedRows(prepared.load_id, error)
        return error


def _folded(results: Sequence[LoadResult], tables: Sequence[Prepared]) -> list[LoadResult]:
    """The results of the loads, each with what came of the rows that it tried again."""
    after = {prepared.load_id: prepared.retry_of for prepared in tables}
    folded: dict[str, LoadResult] = {}
    for result in results:
        main = folded.get(after[result.load_id])
        if main is None:
            folded[result.load_id] = result
            continue
        warnings = (*main.warnings, *result.warnings)
        waited = main.waited + result.waited
        folded[main.load_id] = replace(main, waited=waited, warnings=warnings)
    return list(folded.values())


def _rollback(connection: psycopg.Connection[Any]) -> None:
    if not connection.closed:
        connection.rollback()


def _as_ours(error: BaseException) -> BaseException:
    if isinstance(error, psycopg.Error):
        return translated(error, "load")
    return error
