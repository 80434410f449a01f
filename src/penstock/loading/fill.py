"""Fills one table inside the load's transaction. Not for: the transaction itself (`unit`).

Two ways: `direct` sends the rows into the table (once all are checked, where locks would else be
held too long); `staged` sends them into a staging table, lets the server check them by set, and
inserts what is left.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from penstock.loading.intake import Intake
from penstock.loading.isolate import ORPHAN, Refused, isolate
from penstock.loading.kept import kept_on_disk
from penstock.loading.observe import Observer
from penstock.loading.overlap import Ahead
from penstock.loading.parents import Parents
from penstock.loading.placeholders import (
    add_missing_parents,
    add_parents_of_stage,
    refuse_children,
)
from penstock.loading.prepare import Prepared
from penstock.loading.steps import Step
from penstock.loading.strategy import Decision, Way
from penstock.model.options import OrphanPolicy, Progress
from penstock.model.table import Column, ForeignKey, Key
from penstock.postgres.constraints.recreate import put_back, take_off
from penstock.postgres.copy import compare_count, copy_in
from penstock.postgres.deferred import make_immediate
from penstock.postgres.judged import has_grammar
from penstock.postgres.names import qualified
from penstock.postgres.offenders import Stage
from penstock.postgres.sqlstates import Kind, kind_of

_numbers = itertools.count()


def next_stage() -> int:
    """A number that no other stage of this process has."""
    return next(_numbers)


class ServerRefusedRows(Exception):
    """The server refused rows of a way that cannot tell which: the next attempt stages."""

    def __init__(self, load_id: str, error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.load_id = load_id
        self.error = error


@dataclass(slots=True)
class Filled:
    """What came of one table.

    Attributes:
        inserted: Rows inserted.
        updated: Rows updated.
        unchanged: Rows that the table has just so.
        ignored: Exact copies within the input, rows overtaken by others with their key, and rows
            that the mode leaves alone.
        deleted: Rows removed, or marked as gone.
        inferred: Placeholder parents made.
        stages: Stages whose refused rows are to be fetched.
        notes: Parts of the strategy's text.
        warnings: What a person should know.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    ignored: int = 0
    deleted: int = 0
    inferred: int = 0
    stages: list[Stage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """One table to be filled.

    Attributes:
        connection: Inside the load's transaction.
        prepared: The table and its inputs.
        parents: Its foreign keys with policies and known keys.
        decision: The way.
        intake: The client's half.
        observer: Is told of steps.
        emptied: True where all rows of the table will be of this load.
        freeze: True where the table was emptied in this very transaction, outside of savepoints.
        make_room: Locks and empties the table; called when the way is ready for it.
    """

    connection: psycopg.Connection[Any]
    prepared: Prepared
    parents: Sequence[Parents]
    decision: Decision
    intake: Intake
    observer: Observer
    emptied: bool
    freeze: bool
    make_room: Callable[[], None]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The target columns supplied, in the order of the COPY."""
        return self.prepared.inputs[0][1].columns

    def run(self) -> Filled:
        """Fill the table.

        Raises:
            ServerRefusedRows: Some rows are refused, and this way cannot tell which.
            PenstockError: Anything else that is wrong.
        """
        try:
            return self.fill()
        except psycopg.Error as error:
            if kind_of(error) is Kind.ROW:
                raise ServerRefusedRows(self.prepared.load_id, error) from error
            raise

    def fill(self) -> Filled:
        """Fill the table in the decided way."""
        return self._staged() if self.decision.way is Way.STAGED else self._direct()

    # Direct ------------------------------------------------------------------------------

    def _direct(self) -> Filled:
        spec, filled = self.prepared.spec, Filled()
        options: sql.Composable = self.intake.encoder.options
        if self.freeze and spec.plain:
            options = sql.SQL("{}, freeze").format(options)
        first = self.decision.way is Way.CHECKED_FIRST
        with self._pieces(first=first) as pieces:
            self.make_room()
            self._take_off()
            self.observer.step(Step.COPY, str(spec.name))
            filled.inserted = self._copy(qualified(spec.name), options, pieces)
        placeholders = self._of_policy(OrphanPolicy.PLACEHOLDER)
        if placeholders:
            self.observer.step(Step.PARENTS, str(spec.name))
            for parents in placeholders:
                filled.inferred += add_missing_parents(self.connection, spec, parents)
        self._put_back()
        if self.intake.late is not None and self.intake.late.frames:
            self._late(filled)
        form = "binary COPY" if "binary" in options.as_string() else "CSV COPY"
        filled.notes += [
            "checked first, then direct" if first else "direct",
            form + (" with FREEZE" if "freeze" in options.as_string() else ""),
        ]
        return filled

    @contextmanager
    def _pieces(self, *, first: bool = False) -> Iterator[Iterator[bytes]]:
        """The bytes of the COPY, as the inputs are read; `first`: when all of them were read."""
        with Ahead(self.intake.frames()) as frames:
            pieces = self.intake.pieces(self._watched(frames))
            if not first:
                yield pieces
                return
            self.observer.step(Step.READ, str(self.prepared.spec.name))
            with kept_on_disk(pieces) as kept:
                yield kept

    def _copy(self, table: sql.Identifier, options: sql.Composable, pieces: Iterator[bytes]) -> int:
        taken = copy_in(self.connection, table, self.intake.columns, options, pieces)
        compare_count(self.prepared.spec.name, self.intake.books.sent, taken)
        return taken

    def _watched(self, frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        table = str(self.prepared.spec.name)
        total = sum(one.size for one, _ in self.prepared.inputs)
        for frame in frames:
            if self.observer.due():
                books = self.intake.books
                self.observer.progress(
                    Progress(
                        table=table,
                        rows=books.read,
                        rejects=self.intake.spool.rows,
                        read_bytes=books.read_bytes,
                        total_bytes=total,
                    )
                )
            yield frame

    def _take_off(self) -> None:
        if self.decision.take_off.anything:
            self.observer.step(Step.TAKE_OFF, str(self.prepared.spec.name))
            take_off(self.connection, self.prepared.spec.name, self.decision.take_off)

    def _put_back(self) -> None:
        if self.decision.take_off.anything:
            self.observer.step(Step.PUT_BACK, str(self.prepared.spec.name))
            put_back(self.connection, self.prepared.spec.name, self.decision.take_off)

    def _late(self, filled: Filled) -> None:
        """Rows held back: the table, with all its constraints again, says what they are."""
        assert self.intake.late is not None  # noqa: S101  the caller asked
        self.observer.step(Step.LATE, str(self.prepared.spec.name))
        stage = Stage(self.connection, self.prepared.spec, self.columns, next_stage())
        stage.create()
        encoded = self.intake.encode_late()
        taken = copy_in(
            self.connection, stage.table, encoded.columns, encoded.options, encoded.pieces
        )
        compare_count(self.prepared.spec.name, encoded.rows, taken)
        stage.rows = taken
        for key in self._keys():
            stage.existing(key, of_this_load=True)
            stage.repeated(key)
        filled.inserted += self._insert_live(stage, filled)

    # Staged ------------------------------------------------------------------------------

    def _staged(self) -> Filled:
        spec, filled = self.prepared.spec, Filled()
        stage = Stage(self.connection, spec, self.columns, next_stage())
        self.observer.step(Step.STAGE, str(spec.name))
        stage.create()
        with self._pieces() as pieces:
            stage.rows = self._copy(stage.table, self.intake.encoder.options, pieces)
        self.observer.step(Step.CHECK, str(spec.name))
        self._check(stage)
        self.make_room()
        self._take_off()
        self.observer.step(Step.INSERT, str(spec.name))
        filled.inserted = self._insert_live(stage, filled)
        self._put_back()
        filled.notes.append("staged")
        return filled

    def _check(self, stage: Stage) -> None:
        stage.invalid_input()
        stage.altered()
        for parents in self.parents:
            key = parents.key
            own = self._along_with(key)
            if parents.known is not None or own or not self._by_set(key):
                continue
            if parents.policy is OrphanPolicy.NULL:
                self.intake.books.change("orphans_nulled", stage.null_orphans(key))
            elif parents.policy is OrphanPolicy.QUARANTINE:
                stage.orphans(key)
        self._check_order(stage)

    def _check_order(self, stage: Stage) -> None:
        """Keys and references among the rows themselves, until no more row is freed."""
        own = self._own(OrphanPolicy.QUARANTINE)
        while True:
            self._look_at_keys(stage)
            for reference in own:
                stage.self_orphans(reference, in_table=not self.emptied)
            if not stage.release(own):
                break
        for reference in self._own(OrphanPolicy.NULL):
            changed = stage.null_self_orphans(reference, in_table=not self.emptied)
            self.intake.books.change("orphans_nulled", changed)

    def _own(self, policy: OrphanPolicy) -> list[ForeignKey]:
        """Foreign keys of the table to itself that are judged by set."""
        return [
            parents.key
            for parents in self._of_policy(policy)
            if self._along_with(parents.key) and self._by_set(parents.key)
        ]

    def _along_with(self, key: ForeignKey) -> bool:
        """True where rows of the input may be what others of it refer to.

        Not so where the table makes the keys: a row can only refer to what has one.
        """
        supplied = {column.name for column in self.columns}
        return key.parent == self.prepared.spec.name and supplied >= set(key.parent_columns)

    def _look_at_keys(self, stage: Stage) -> None:
        for key in self._keys():
            if not self._once(key):
                stage.repeated(key)
            if not self.emptied:
                stage.existing(key, of_this_load=False)

    def _once(self, key: Key) -> bool:
        """True where the order of the input has proven that no value of the key occurs twice."""
        proof = self.intake.ascending
        return proof is not None and proof.holds and key.columns == (proof.column,)

    def _by_set(self, key: ForeignKey) -> bool:
        supplied = {column.name for column in self.columns if has_grammar(column)}
        return (
            key.enforced and key.readable and not key.row_security and supplied >= set(key.columns)
        )

    def _keys(self) -> list[Key]:
        """Keys that the input supplies whole, in types that can be compared before the INSERT."""
        supplied = {column.name for column in self.columns if has_grammar(column)}
        if self.prepared.spec.row_security:
            return []  # rows that the role does not see count too: the constraint decides
        return [key for key in self.prepared.spec.keys if supplied >= set(key.columns)]

    def _of_policy(self, policy: OrphanPolicy) -> list[Parents]:
        return [parents for parents in self.parents if parents.policy is policy]

    def _insert_live(self, stage: Stage, filled: Filled) -> int:
        live, inserted = self._insert(stage, filled)
        compare_count(stage.spec.name, live, inserted)
        return inserted

    def _insert(self, stage: Stage, filled: Filled) -> tuple[int, int]:
        """Insert what nothing is held against; gives those rows, and how many went in."""
        while True:
            try:
                inferred, inserted = self._insert_all(stage)
                break
            except psycopg.Error as error:
                refused = stage.spec.row_security and error.sqlstate == "42501"
                if kind_of(error) is not Kind.ROW and not refused:
                    raise
                self.observer.step(Step.ISOLATE, str(stage.spec.name))
                parentless = sum(
                    refuse_children(self.connection, stage, parents)
                    for parents in self._of_policy(OrphanPolicy.PLACEHOLDER)
                )
                found = [] if parentless else self._isolated(stage)
                if not found and not parentless:
                    if self._goes_in_turn(stage):
                        continue
                    raise  # what refuses is no row: nothing would change by another try
                stage.refuse(found)
                if stage.release(()) or stage.spec.own_keys:
                    self._check_order(stage)
        filled.inferred += inferred
        staged, copies, bad = stage.counts()
        filled.ignored += copies
        filled.stages.append(stage)
        return staged - copies - bad, inserted

    def _goes_in_turn(self, stage: Stage) -> bool:
        """May the rows, each of which goes, be written one after the other instead of at once?"""
        del stage
        return False

    def _insert_all(self, stage: Stage) -> tuple[int, int]:
        with self.connection.transaction():
            inferred = sum(
                add_parents_of_stage(self.connection, stage, parents)
                for parents in self._of_policy(OrphanPolicy.PLACEHOLDER)
            )
            inserted = stage.insert()
            make_immediate(self.connection, stage.spec.oid)
        return inferred, inserted

    def _isolated(self, stage: Stage) -> list[tuple[int, str, str, str]]:
        found: list[Refused] = []
        with self.connection.transaction(force_rollback=True):
            stage.index()
            for parents in self._of_policy(OrphanPolicy.PLACEHOLDER):
                add_parents_of_stage(self.connection, stage, parents)
            make_immediate(self.connection, stage.spec.oid)
            found = isolate(self.connection, stage)
        # Rows that refer to refused ones, or to each other: which of them go is seen by set.
        own = {", ".join(key.columns) for policy in OrphanPolicy for key in self._own(policy)}
        return [
            (bad.row, bad.column, bad.code, bad.said)
            for bad in found
            if bad.code != ORPHAN or bad.column not in own
        ]
