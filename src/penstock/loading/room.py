"""Makes room: locks the tables of a unit in one order and empties them. Not for: filling them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from penstock.errors import TargetError, TryAgain
from penstock.loading.observe import Observer
from penstock.loading.prepare import Prepared
from penstock.loading.steps import Step
from penstock.model.options import LoadMode, LoadOptions
from penstock.model.table import TableName
from penstock.postgres.constraints.plan import ConstraintPlan
from penstock.postgres.locks import lock_tables
from penstock.postgres.names import qualified
from penstock.postgres.rows import has_rows


class Room:
    """What is locked and emptied in one transaction.

    Attributes:
        deleted: Rows removed from each table.
        locked: Tables locked, in order.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        tables: Sequence[Prepared],
        options: LoadOptions,
        observer: Observer,
    ) -> None:
        self.deleted: dict[TableName, int] = {}
        self.locked: list[TableName] = []
        self._connection = connection
        self._tables = [prepared.spec for prepared in tables if prepared.inputs]
        self._options = options
        self._observer = observer
        self._since = 0.0

    def make(self, table: TableName, take_off: ConstraintPlan, *, empty: bool) -> None:
        """Lock what the way of this table needs, and empty the unit's tables where asked.

        Args:
            table: The table that is about to be filled.
            take_off: What will be taken off it: its parents are locked with it.
            empty: True where the decision rests on the table being empty.

        Raises:
            TryAgain: A lock could not be had in time.
            TargetError: Tables outside of the unit refer to one that would be emptied.
        """
        parents = [part.parent for part in take_off.foreign_keys if part.lockable]
        if self._options.mode is LoadMode.TRUNCATE:
            if self.deleted:
                self._lock(table, parents)
            else:
                self._lock(table, [*parents, *(spec.name for spec in self._tables)])
                self._empty()
        elif take_off.anything:
            self._lock(table, [*parents, table])
            if empty and has_rows(self._connection, table):
                raise TryAgain(
                    f"{table} was empty when the load began, and another session has filled it. "
                    "Nothing was changed; try again.",
                    code="40001",
                )

    def seconds(self) -> float:
        """Since the first lock was had; 0 where none was taken."""
        return time.perf_counter() - self._since if self.locked else 0.0

    def _lock(self, table: TableName, names: Sequence[TableName]) -> None:
        wanted = [name for name in dict.fromkeys(names) if name not in self.locked]
        if not wanted:
            return
        self._observer.step(Step.LOCK, str(table))
        lock_tables(self._connection, wanted, self._options.lock_timeout)
        if not self.locked:
            self._since = time.perf_counter()
        self.locked += wanted

    def _empty(self) -> None:
        names = [spec.name for spec in self._tables]
        for spec in self._tables:
            others = [name for name in spec.referenced_by if name not in names]
            if others:
                raise TargetError(
                    f"{spec.name} cannot be emptied alone: {', '.join(map(str, others))} refers to "
                    "it. Load them together with load-star, or empty them too with: penstock "
                    f"clear {spec.name} --cascade",
                    code="0A000",
                )
        self._observer.step(Step.EMPTY)
        for name in names:
            row = self._connection.execute(
                sql.SQL("select count(*) from {}").format(qualified(name))
            ).fetchone()
            self.deleted[name] = 0 if row is None else row[0]
        self._connection.execute(
            sql.SQL("truncate {}").format(sql.SQL(", ").join(map(qualified, names)))
        )
