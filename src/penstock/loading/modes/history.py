"""`scd2`: what changes becomes a new version, and the old one stays. Not for: one row a key."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.loading.fill import Filled, next_stage
from penstock.loading.modes.keyed import KeyedFilling
from penstock.loading.placeholders import add_parents_of_stage
from penstock.loading.steps import Step
from penstock.model.options import OrphanPolicy
from penstock.model.table import Key
from penstock.postgres.connection import expecting_cached
from penstock.postgres.deferred import make_immediate
from penstock.postgres.keyed import KeyedStage
from penstock.postgres.locks import lock_out_writers
from penstock.postgres.offenders import Stage, Winner
from penstock.postgres.staging import OVERTAKEN
from penstock.postgres.versions import FROM, VersionStage


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilling(KeyedFilling):
    """Fills a table by `scd2`."""

    def _stage(self) -> KeyedStage:
        return VersionStage(
            self.connection,
            self.prepared.spec,
            self.columns,
            next_stage(),
            key=self.key,
            overwritten=self.options.type1,
            place=self._place(),
        )

    def _look_at_keys(self, stage: Stage) -> None:
        dated = any(column.name == FROM for column in self.columns)
        names = (*self.key.columns, FROM) if dated else self.key.columns
        if not self._once(self.key):
            stage.repeated(Key(name="", columns=names), Winner(last=True, others=OVERTAKEN))

    def _goes_in_turn(self, stage: Stage) -> bool:
        del stage
        return False

    def _insert_all(self, stage: Stage) -> tuple[int, int]:
        assert isinstance(stage, VersionStage)  # noqa: S101  `fill` made it
        with self.connection.transaction():
            # Versions of one key that two loads make at once would overlap; readers go on.
            lock_out_writers(self.connection, stage.spec.name, self.options.lock_timeout)
            inferred = sum(
                add_parents_of_stage(self.connection, stage, parents)
                for parents in self._of_policy(OrphanPolicy.PLACEHOLDER)
            )
            stage.inserted = stage.updated = stage.closed = 0
            if stage.compare():
                self.observer.step(Step.WRITE, str(stage.spec.name))
                with expecting_cached(self.connection):
                    stage.arrange()
                    stage.apply()
            make_immediate(self.connection, stage.spec.oid)
        return inferred, stage.inserted

    def _book(self, filled: Filled, stage: KeyedStage, live: int) -> None:
        super(HistoryFilling, self)._book(filled, stage, live)
        assert isinstance(stage, VersionStage)  # noqa: S101  `fill` made it
        filled.unchanged = stage.unchanged
        if stage.closed:
            filled.notes.append(f"ended {stage.closed:,} versions")
