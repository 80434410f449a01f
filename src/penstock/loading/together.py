"""`unit`: several loads of any mode as one transaction. Not for: a folder (`load_star`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psycopg.pq import TransactionStatus

from penstock.errors import LoadError, UsageError
from penstock.ledger import install
from penstock.ledger.runs import RunRecord
from penstock.loading.load import load_into, options_from, table_named_by
from penstock.loading.outcome import commit
from penstock.model.result import LoadResult
from penstock.postgres.connection import Target, target_of

if TYPE_CHECKING:
    import psycopg
    import sqlalchemy


class LoadUnit:
    """Loads that become visible together, or not at all.

    Attributes:
        results: The books of the loads so far.
        run: The run that they belong to.
    """

    def __init__(self, target: Target, options: dict[str, Any]) -> None:
        self.results: list[LoadResult] = []
        self._target = target
        self._options = options
        self.run = RunRecord("unit")
        self._over = False

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """For statements of your own in the same transaction; do not commit it."""
        return self._target.connection

    def load(self, source: Any, table: str | None = None, **options: Any) -> LoadResult:
        """Load one table; arguments, result and errors as those of `load_table`.

        Raises:
            UsageError: The unit is over.
        """
        if self._over:
            raise UsageError("This unit is over: open another one")
        chosen = options_from(**{**self._options, **options})
        if chosen.dry_run:
            raise UsageError("dry_run is for single loads: raise an error to roll a unit back")
        name = table or table_named_by(source)
        (result,) = load_into(self._target, [(name, source)], chosen, self.run)
        self.results.append(result)
        return result

    def end(self) -> None:
        """No load may follow."""
        self._over = True


@contextmanager
def unit(where: str | sqlalchemy.Engine, **options: Any) -> Iterator[LoadUnit]:
    """Several loads as one transaction: readers see all of them, or none.

    It is committed at the end of the `with` block; an error within rolls all of it back. What
    was refused by the load that failed is kept in the ledger as `void`.

    Args:
        where: A libpq connection string or a SQLAlchemy Engine.
        **options: For every load, unless it says otherwise; as for `load_table`.

    Raises:
        UsageError: `where` is a Connection: its transaction is a unit already.
        PenstockError: As for `load_table`; also when the commit fails.
    """
    with target_of(where) as outer:
        if outer.joined:
            raise UsageError(
                "A Connection's transaction is a unit already: call load_table(connection, ...)"
            )
        if options_from(**options).ledger:
            install.ensure(outer.connection, outer.conninfo)
            outer.connection.rollback()
        afterwards: list[Callable[[bool], None]] = []
        committed = False
        target = replace(outer, joined=True, afterwards=afterwards)
        loads = LoadUnit(target, options)
        try:
            yield loads
            _commit(outer, loads.results)
            committed = True
        except BaseException:  # Ctrl-C too rolls the unit back; the error is raised
            if not outer.connection.closed:
                outer.connection.rollback()
            raise
        finally:
            loads.end()
            for keep in afterwards:
                keep(committed)


def _commit(target: Target, results: list[LoadResult]) -> None:
    if target.connection.info.transaction_status is TransactionStatus.INERROR:
        raise LoadError(
            "A statement within this unit failed, so that PostgreSQL rolls all of it back, "
            "although its error was caught. Nothing was changed.",
            code="25P02",
        )
    recorded = [result.load_id for result in results if result.run_id]
    commit(target, recorded[0] if recorded else "")
