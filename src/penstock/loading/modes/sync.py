"""`sync`: the table becomes as the input is, within a scope. Not for: new rows (`keyed`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import psycopg
from psycopg import sql

from penstock.errors import ShrinkRefused, TargetError
from penstock.loading.fill import Filled
from penstock.loading.modes.keyed import KeyedFilling
from penstock.loading.refused_keys import RefusedKeys
from penstock.model.options import LoadOptions
from penstock.postgres.keyed import Difference, KeyedStage
from penstock.postgres.offenders import Stage
from penstock.postgres.removal import Removal
from penstock.postgres.scope import Scope

#: Not less than this share of the rows may stay, where nothing else is said.
_SHRINK = 0.5


@dataclass(slots=True)
class _Removed:
    """What became of the rows that are gone; `later` removes them when the others are written."""

    rows: int = 0
    before: int = 0
    gone: int = 0
    removal: Removal | None = None
    compared: bool = False
    later: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncFilling(KeyedFilling):
    """Fills a table by `sync`.

    Attributes:
        scope: The part of the table that the input is about.
        watch: The keys of rows that the client refused: they came, and stay.
    """

    scope: Scope
    watch: RefusedKeys
    removed: _Removed = field(default_factory=_Removed)

    def _judge(self, stage: KeyedStage) -> None:
        stage.outside(self.scope)

    def _look_at_keys(self, stage: Stage) -> None:
        super(SyncFilling, self)._look_at_keys(stage)
        if self.removed.removal is None:
            removal = Removal(self.connection, stage, self.key, self.scope, self.options.missing)
            removal.keep(self.watch.frames)
            if self.watch.group is not None:
                removal.keep_groups(self.watch.group, self.watch.groups)
            self.removed.removal = removal

    def _write(self, stage: KeyedStage) -> tuple[int, int]:
        written = super(SyncFilling, self)._write(stage)
        if self.removed.later is not None:
            try:
                self.removed.rows = self.removed.later()
            except psycopg.errors.ForeignKeyViolation as error:
                raise _referred_to(stage, error) from None
        # Not before: what the server refuses of a group keeps the others of the group there.
        guard(str(stage.spec.name), self.options, self.removed.before, self.removed.gone)
        return written

    def _compare(self, stage: KeyedStage) -> Difference:
        removal = self.removed.removal
        # One join finds both, where a removal leaves the rows that stay as they are. Triggers may
        # change or remove them: then nothing is compared before they were at work.
        at_once = not (self.scope.bounds or self.removed.compared or self.unread(stage))
        if removal is None or not at_once or removal.acts():
            self._remove(stage)
            return stage.difference()
        self.removed.compared = True
        difference = stage.difference(gone=removal.may_go())
        self._carry_out(removal, stage, difference.gone, stage.gone())
        return difference

    def _remove(self, stage: KeyedStage) -> None:
        removal = self.removed.removal
        self.removed.rows = self.removed.before = self.removed.gone = 0
        self.removed.later = None
        if removal is not None and not self.unread(stage):
            self._carry_out(removal, stage, removal.find())

    def _carry_out(
        self,
        removal: Removal,
        stage: KeyedStage,
        gone: int,
        keys: sql.Composable | None = None,
    ) -> None:
        self.removed.rows = 0
        self.removed.later = None
        self.removed.before, self.removed.gone = removal.before(), gone
        if not gone:
            return
        try:
            with self.connection.transaction():
                self.removed.rows = removal.carry_out(keys)
        except psycopg.errors.ForeignKeyViolation as error:
            # Rows that stay may refer to others once they are written. What triggers then did
            # would be in no book.
            if not stage.spec.own_keys or removal.acts():
                raise _referred_to(stage, error) from None
            self.removed.later = partial(removal.carry_out, keys)

    def _isolated(self, stage: Stage) -> list[tuple[int, str, str, str]]:
        assert isinstance(stage, KeyedStage)  # noqa: S101  `fill` made it
        with self.connection.transaction(force_rollback=True):
            self._remove(stage)  # what goes is in nobody's way
            return super(SyncFilling, self)._isolated(stage)

    def unread(self, stage: KeyedStage) -> int:
        """Rows whose key could not be read: any row of the table may be one of them."""
        return self.watch.unread + stage.keyless()

    def _book(self, filled: Filled, stage: KeyedStage, live: int) -> None:
        super(SyncFilling, self)._book(filled, stage, live)
        filled.deleted = self.removed.rows
        unread = self.unread(stage)
        if unread:
            noun = "row has" if unread == 1 else "rows have"
            filled.warnings.append(
                f"nothing was removed: {unread:,} refused {noun} no key that can be read"
            )
        elif self.removed.removal is not None and (keyless := self.removed.removal.keyless()):
            said = "row of the table has" if keyless == 1 else "rows of the table have"
            stay = "stays" if keyless == 1 else "stay"
            filled.warnings.append(
                f"{keyless:,} {said} no {' or '.join(self.key.columns)} and {stay}"
            )
        verb = "marked" if self.options.missing else "removed"
        filled.notes.append(
            f"{verb} what is gone" + (f" within {self.scope}" if self.scope.bounds else "")
        )


def _referred_to(stage: KeyedStage, error: psycopg.Error) -> TargetError:
    name = stage.spec.name
    own = (error.diag.schema_name, error.diag.table_name) == (name.schema, name.table)
    advice = "load that table first"
    if own:
        advice = "let the rows of the table that stay refer to others first, by an upsert"
    return TargetError(
        f"{name}: rows that the input no longer has cannot be removed: "
        f"{error.diag.message_detail or error.diag.message_primary} The load was rolled "
        f"back. Mark them instead, with --missing COLUMN=VALUE, or {advice}.",
        code="23503",
    )


def guard(name: str, options: LoadOptions, before: int, gone: int) -> None:
    """May so many rows go?

    Args:
        name: Of the table, for the message.
        options: With `max_deletes` and `allow_shrink`.
        before: Rows within the scope.
        gone: Those that the input no longer has.

    Raises:
        ShrinkRefused: They may not.
    """
    most = options.max_deletes
    if most is not None:
        if not most.allows(gone, before):
            raise ShrinkRefused(
                f"{name}: {gone:,} of {before:,} rows are not in the input, and --max-deletes is "
                f"{most}. The load was rolled back.",
                code="shrink",
            )
        return
    if before - gone < _SHRINK * before and not options.allow_shrink:
        raise ShrinkRefused(
            f"{name}: {gone:,} of {before:,} rows are not in the input: more than half would go. "
            f"The load was rolled back. If that is right: --max-deletes {gone}.",
            code="shrink",
        )
