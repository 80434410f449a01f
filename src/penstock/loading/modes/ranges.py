"""`replace_range`: the rows of a range go, those of the input come. Not for: matching by key."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from penstock.errors import BalanceError, ShrinkRefused
from penstock.loading.fill import Filled, Filling, next_stage
from penstock.loading.steps import Step
from penstock.model.options import LoadOptions
from penstock.postgres.locks import lock_out_writers
from penstock.postgres.names import qualified
from penstock.postgres.offenders import Stage
from penstock.postgres.scope import Scope

#: Not less than this share of the rows may come back, where nothing else is said.
_SHRINK = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeFilling(Filling):
    """Fills a range of a table.

    Attributes:
        options: Of the load.
        scope: The range.
    """

    options: LoadOptions
    scope: Scope

    def fill(self) -> Filled:
        """Stage, check, remove the range, insert."""
        spec, filled = self.prepared.spec, Filled()
        stage = Stage(self.connection, spec, self.columns, next_stage())
        self.observer.step(Step.STAGE, str(spec.name))
        stage.create()
        with self._pieces() as pieces:
            stage.rows = self._copy(stage.table, self.intake.encoder.options, pieces)
        self.observer.step(Step.LOCK, str(spec.name))
        # Two loads of one range must not both see it empty; readers are not blocked.
        lock_out_writers(self.connection, spec.name, self.options.lock_timeout)
        self.observer.step(Step.EMPTY, str(spec.name))
        filled.deleted = self.connection.execute(
            sql.SQL("delete from {} t where {}").format(
                qualified(spec.name), self.scope.condition("t")
            )
        ).rowcount
        left = self.connection.execute(
            sql.SQL("select exists (select from {} t where {})").format(
                qualified(spec.name), self.scope.condition("t")
            )
        ).fetchone()
        if left != (False,):
            raise BalanceError(
                f"{spec.name}: rows within {self.scope} could not be removed: a trigger keeps "
                "them. The load was rolled back.",
                code="balance",
            )
        self.observer.step(Step.CHECK, str(spec.name))
        stage.outside(self.scope)
        self._check(stage)
        self.observer.step(Step.INSERT, str(spec.name))
        filled.inserted = self._insert_live(stage, filled)
        if filled.inserted < _SHRINK * filled.deleted and not self.options.allow_shrink:
            raise ShrinkRefused(
                f"{spec.name} has {filled.deleted:,} rows within {self.scope} and would have "
                f"{filled.inserted:,}: less than half. The load was rolled back. If that is "
                "right, allow it with --allow-shrink.",
                code="shrink",
            )
        filled.notes.append(f"staged, replaced {self.scope}")
        return filled
