"""Keeps the ledger true: before work, with the data, after a rollback, and when nobody answered.

Not for: the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg

from penstock.errors import PenstockError, TryAgain
from penstock.ledger import files, rejects, runs
from penstock.ledger.runs import RunRecord
from penstock.loading.books import TableBooks
from penstock.loading.prepare import Prepared
from penstock.model.options import LoadMode, LoadOptions
from penstock.model.result import LoadResult
from penstock.model.table import TableName
from penstock.postgres.connection import Target, translated
from penstock.postgres.sqlstates import Kind, kind_of


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
        runs.begin_run(connection, self._run, self._target.label)
        for prepared in tables:
            runs.begin_load(
                connection,
                self._run,
                prepared.load_id,
                table=prepared.spec.name,
                mode=self._options.mode.value,
                sources=[one.name for one, _ in prepared.inputs],
            )
        if not self._target.joined:
            connection.commit()

    def write_rejects(
        self, connection: psycopg.Connection[Any], tables: Sequence[TableBooks]
    ) -> None:
        """Keep the refused rows, in the transaction of the data."""
        if not self._on:
            return
        for books in tables:
            load_id, name = books.prepared.load_id, books.prepared.spec.name
            if books.spool.rows:
                rejects.write(connection, load_id, name, books.spool.frames(), books.origin)
            if self._options.mode is LoadMode.TRUNCATE and books.prepared.inputs:
                rejects.supersede(connection, load_id, name)
            rejects.resolve(connection, load_id, books.prepared.spec, books.open_rejects)

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
            runs.finish_load(connection, result, "succeeded")
        runs.finish_run(connection, self._run, "succeeded")

    def failed(self, error: BaseException, tables: Sequence[TableBooks]) -> None:
        """Keep what is known of a load that was rolled back, in a transaction of its own.

        The ledger must not hide the error that it records: where it cannot be written, the run
        stays `running` and is marked as interrupted by the next one.
        """
        if not self._on or self._target.joined:
            return
        said = str(error) or type(error).__name__
        if isinstance(error, KeyboardInterrupt):
            said = "interrupted by Ctrl-C"
        try:
            with self._connection() as connection, connection.transaction():
                for books in tables:
                    tried = books.result(self.run_id, self._target.label, books.seconds)
                    result = replace(tried, inserted=0, deleted=0, inferred=0, ignored=0)
                    open_still = runs.finish_load(connection, result, "failed", said)
                    if open_still and books.spool.rows:
                        rejects.write_void(
                            connection,
                            result.load_id,
                            books.prepared.spec.name,
                            books.spool.first_of_each(),
                            books.origin,
                        )
                runs.finish_run(connection, self._run, "failed", said)
        except (psycopg.Error, PenstockError):
            return

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

    def became(self, load_id: str) -> str | None:
        """The status of a load whose COMMIT was not answered; None without a ledger."""
        if not self._on:
            return None
        with self._target.another() as connection, connection.transaction():
            return runs.status_of(connection, load_id)

    def _connection(self) -> psycopg.Connection[Any]:
        return self._target.another()


def loaded_meanwhile(table: TableName, file: str) -> TryAgain:
    """The error for a content that another load brought into the table."""
    return TryAgain(
        f"{file}: the same content was loaded into {table} by another load while this one ran. "
        "Nothing was changed; a new try will skip the file.",
        code="files",
    )


def commit(target: Target, recorder: Recorder, results: Sequence[LoadResult]) -> None:
    """COMMIT; where the answer is lost, find out what became of it instead of trying again.

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
            status = recorder.became(results[0].load_id)
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
