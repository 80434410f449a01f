"""`insert_new` and `upsert`: rows are matched with the table's by a key. Not for: `sync`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from penstock.errors import BalanceError, TargetError, TryAgain
from penstock.loading.fill import Filled, Filling, next_stage
from penstock.loading.keys import winner_of
from penstock.loading.placeholders import add_parents_of_stage
from penstock.loading.steps import Step
from penstock.model.options import LoadMode, LoadOptions, OrphanPolicy
from penstock.model.table import Key
from penstock.postgres.deferred import make_immediate
from penstock.postgres.keyed import Difference, KeyedStage
from penstock.postgres.locks import lock_out_writers
from penstock.postgres.offenders import Stage
from penstock.postgres.unlogged import Place, place_for

#: Times that other writers may come between the difference and the writing, before they are
#: locked out.
_TRIES = 4


class _Meanwhile(Exception):
    """Another session has changed rows since the difference was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedFilling(Filling):
    """Fills a table by `insert_new` or `upsert`.

    Attributes:
        options: Of the load.
        key: The key by which rows are matched.
    """

    options: LoadOptions
    key: Key

    def fill(self) -> Filled:
        """Stage, check, compare, write what differs."""
        filled = Filled()
        stage = self._stage()
        self.observer.step(Step.STAGE, str(self.prepared.spec.name))
        stage.create()
        with self._pieces() as pieces:
            stage.rows = self._copy(stage.table, self.intake.encoder.options, pieces)
        self.observer.step(Step.CHECK, str(self.prepared.spec.name))
        stage.null_keys()
        self._judge(stage)
        self._check(stage)
        self.observer.step(Step.COMPARE, str(self.prepared.spec.name))
        live, _ = self._insert(stage, filled)
        how = "staged unlogged" if stage.place.unlogged else "staged"
        filled.notes.append(f"{how}, compared by {', '.join(self.key.columns)}")
        self._book(filled, stage, live)
        return filled

    def _judge(self, stage: KeyedStage) -> None:
        """What a mode demands of rows, besides a key."""

    def _place(self) -> Place:
        size = sum(one.size for one, _ in self.prepared.inputs)
        return place_for(self.connection, self.prepared.spec.name.schema, size)

    def _stage(self) -> KeyedStage:
        return KeyedStage(
            self.connection,
            self.prepared.spec,
            self.columns,
            next_stage(),
            key=self.key,
            update=self.options.mode is not LoadMode.INSERT_NEW,
            revive=self.options.missing,
            carried=self.options.carried,
            place=self._place(),
        )

    def _book(self, filled: Filled, stage: KeyedStage, live: int) -> None:
        filled.inserted, filled.updated = stage.inserted, stage.updated
        overtaken = stage.overtaken()
        if overtaken:
            filled.warnings.append(self._told(overtaken))
        rest = live - stage.inserted - stage.updated
        if self.options.mode is LoadMode.INSERT_NEW:
            filled.ignored += rest
        else:
            filled.unchanged = rest

    def _told(self, overtaken: Sequence[tuple[int, int]]) -> str:
        """Which rows were overtaken, the first of them by name."""
        count, (row, other) = len(overtaken), overtaken[0]
        noun = "row was" if count == 1 else "rows were"
        mine, its = (self.prepared.origin(one)[1] for one in (row, other))
        return (
            f"{count:,} {noun} overtaken by another row with the same "
            f"{', '.join(self.key.columns)}: record {mine:,} by record {its:,}"
            f"{' and others' if count > 1 else ''}"
        )

    def _look_at_keys(self, stage: Stage) -> None:
        for key in self._keys():
            if self._once(key):
                continue
            if set(key.columns) == set(self.key.columns):
                stage.repeated(key, winner_of(self.options))
            else:
                stage.repeated(key)

    def _insert_all(self, stage: Stage) -> tuple[int, int]:
        assert isinstance(stage, KeyedStage)  # noqa: S101  `fill` made it
        for left in reversed(range(_TRIES)):
            try:
                with self.connection.transaction():
                    if not left:
                        lock_out_writers(
                            self.connection, stage.spec.name, self.options.lock_timeout
                        )
                    return self._write(stage)
            except (_Meanwhile, psycopg.errors.DeadlockDetected):
                continue
            except psycopg.errors.ObjectNotInPrerequisiteState as error:
                raise TargetError(
                    f"{self.options.mode.value} cannot go by {', '.join(self.key.columns)} of "
                    f"{stage.spec.name}: {error.diag.message_primary}. Name another unique key "
                    "with --key.",
                    code="55000",
                ) from None
        raise self._swallowed(stage)

    def _goes_in_turn(self, stage: Stage) -> bool:
        # Rows may exchange the values of another unique key: then their order in the file decides.
        assert isinstance(stage, KeyedStage)  # noqa: S101  `fill` made it
        before, stage.in_turn = stage.in_turn, True
        return not before

    def _write(self, stage: KeyedStage) -> tuple[int, int]:
        inferred = sum(
            add_parents_of_stage(self.connection, stage, parents)
            for parents in self._of_policy(OrphanPolicy.PLACEHOLDER)
        )
        if stage.in_turn:
            self._remove(stage)
            stage.write_in_turn()
            make_immediate(self.connection, stage.spec.oid)
            return inferred, stage.inserted
        difference = self._compare(stage)
        self.observer.step(Step.WRITE, str(stage.spec.name))
        if difference.changed:
            stage.lock_changed()
        stage.inserted = stage.insert_new() if difference.new else 0
        stage.updated = stage.update_changed() if difference.changed else 0
        make_immediate(self.connection, stage.spec.oid)
        if (stage.inserted, stage.updated) != (difference.new, difference.changed):
            raise _Meanwhile
        return inferred, stage.inserted

    def _compare(self, stage: KeyedStage) -> Difference:
        """The difference to be written, after what is to be removed has been."""
        return stage.difference()

    def _remove(self, stage: KeyedStage) -> None:
        """What a mode removes before anything is inserted."""

    def _swallowed(self, stage: KeyedStage) -> Exception:
        """With all writers locked out, something of the table itself is in the way."""
        name = stage.spec.name
        if stage.spec.has_triggers:
            return BalanceError(
                f"{name}: fewer rows were written than there were to write: a trigger swallows "
                "some. The load was rolled back.",
                code="balance",
            )
        return TryAgain(
            f"{name}: other sessions change the same rows all the time. Nothing was changed; "
            "try again later.",
            code="40001",
        )
