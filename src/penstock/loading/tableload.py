"""One table of a unit: decides the way, fills it, fetches what was refused, verifies.

Not for: the transaction (`unit`), nor the ways themselves (`fill`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import polars as pl
import psycopg
from psycopg import sql

from penstock.errors import UsageError
from penstock.ledger import rejects
from penstock.loading.books import TableBooks
from penstock.loading.group import GroupFilter
from penstock.loading.inputs import Origin
from penstock.loading.intake import Intake
from penstock.loading.late import Ascending, LateRows, can_ascend, ordering_key
from penstock.loading.lookups import read_lookups
from penstock.loading.modes.choice import filling_for
from penstock.loading.observe import Observer
from penstock.loading.parents import (
    Parents,
    as_compared,
    check_policy,
    comparable,
    read_keys,
)
from penstock.loading.prepare import Prepared
from penstock.loading.refusals import VALUE, readable_key, refused_later
from penstock.loading.refused_keys import RefusedKeys
from penstock.loading.room import Room
from penstock.loading.spool import KEPT_AFTER_ROLLBACK, Spool
from penstock.loading.steps import Step
from penstock.loading.strategy import Decision, Situation, Way, decide
from penstock.model.batch import RECORD_BITS, ROW, file_of
from penstock.model.options import LoadMode, LoadOptions, OrphanPolicy
from penstock.model.table import ForeignKey
from penstock.postgres.catalog import read_spec
from penstock.postgres.constraints.fingerprint import compare, fingerprint
from penstock.postgres.constraints.plan import ConstraintPlan, read_plan
from penstock.postgres.encodings import encoding_of
from penstock.postgres.offenders import Stage, may_alter
from penstock.postgres.rows import has_rows
from penstock.postgres.sequences import advance
from penstock.postgres.statistics import analyze, worth_analyzing

#: Modes that bring a row also where the table had one with its key.
_BRING = (LoadMode.UPSERT, LoadMode.SYNC, LoadMode.REPLACE_RANGE)
#: Modes in which the last row with a key counts.
_LAST_WINS = (LoadMode.UPSERT, LoadMode.SYNC)


class TableLoad:
    """One table of a unit, in one attempt.

    Args:
        connection: Inside the transaction, its settings set.
        prepared: The table and its inputs.
        options: Of the unit.
        room: Locks and empties.
        observer: Is told of steps.
        along: Tables of the unit that are filled already.
        refused: How often the server has refused rows of this table.
        joined: True inside a caller's transaction.
        groups: Finds rows that are refused with their groups, or None.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        prepared: Prepared,
        options: LoadOptions,
        room: Room,
        observer: Observer,
        *,
        along: Sequence[TableLoad],
        refused: int,
        joined: bool,
        groups: GroupFilter | None = None,
    ) -> None:
        self.prepared = prepared
        self.books = TableBooks(prepared, options, Spool(prepared.origin, options.conceal))
        self._connection = connection
        self._options = options
        self._room = room
        self._observer = observer
        self._along = along
        self._refused = refused
        self._joined = joined
        self._groups = groups
        self._spec = prepared.spec
        self._before: tuple[str, ...] = ()
        self._late: LateRows | None = None
        self._decision = Decision(Way.DIRECT, ConstraintPlan(), "")

    # Filling -----------------------------------------------------------------------------

    def fill(self) -> None:
        """Fill the table, fetch what was refused, and hold the books against the guards."""
        if not self.prepared.inputs:
            return  # every file is in the table already
        began = time.perf_counter()
        connection, spec, options = self._connection, self._spec, self._options
        self._observer.step(Step.PLAN, str(spec.name))
        if self.prepared.replaying is not None:
            self.prepared.replaying.hold(connection, options.lock_timeout)
        truncate = options.mode is LoadMode.TRUNCATE
        empty = truncate or not has_rows(connection, spec.name)
        plan = read_plan(connection, spec.oid)
        parents = self._parents()
        if options.ledger and not truncate:
            self._look_at_rejects()
        self._decision = decision = self._decide(plan, parents, empty=empty)
        if decision.take_off.anything:
            self._before = fingerprint(connection, spec.oid)
        direct = decision.way is not Way.STAGED
        watch = self._watch()
        intake = Intake(
            spec,
            self.prepared.inputs,
            self.prepared.reading.grammar,
            parents,
            self.books.spool,
            staged=not direct,
            hold_back=self._hold_back(empty=empty) if direct else None,
            watch=watch,
            lookups=read_lookups(connection, spec, self.prepared.reading),
            ascending=None if direct else self._ascending(),
            encoding=encoding_of(connection),
            groups=self._groups,
            checks=self.books.row_checks,
            key=readable_key(spec, self.prepared.reading),
        )
        self.books.client = intake.books
        self._late = intake.late
        given: dict[str, Any] = {
            "connection": connection,
            "prepared": self.prepared,
            "parents": parents,
            "decision": decision,
            "intake": intake,
            "observer": self._observer,
            "emptied": empty,
            "freeze": truncate and not self._joined,
            "make_room": lambda: self._room.make(spec.name, decision.take_off, empty=empty),
        }
        self.books.filled = filling_for(options, self.prepared, watch, given).run()
        self.books.deleted = self._room.deleted.get(spec.name, 0) + self.books.filled.deleted
        self.books.strategy = self._told()
        self._fetch_refused(parents)
        self.books.files = [
            (one.name, one.sha256(), one.size) for one, _ in self.prepared.inputs if one.sha256()
        ]
        self.books.seconds = time.perf_counter() - began
        self.books.guard()

    def _look_at_rejects(self) -> None:
        """Which rejects the load may resolve by bringing their row."""
        # Rows tried again are older than what waits beside them: they resolve nothing.
        spec, books = self._spec, self.books
        if self.prepared.retry_of or not rejects.any_key_waits(self._connection, spec):
            return
        # Which of two rejects with one key is newer, a replay decides by when they were seen.
        anew = self.prepared.replaying is None
        books.open_rejects = rejects.waiting_without_row(self._connection, spec, awaiting=anew)
        books.keys_wait = anew

    def resolve(self) -> None:
        """Resolve, once, the rejects whose row this load brought; what it refused itself is left.

        Rows that are tried again behind it bring nothing anew.
        """
        connection, books, spec = self._connection, self.books, self._spec
        load_id = self.prepared.load_id
        books.superseded += rejects.resolve(connection, load_id, spec, books.open_rejects)
        if books.keys_wait and self._options.mode in _BRING:
            for brought in self._brought():
                books.superseded += rejects.resolve_brought(
                    connection, load_id, spec, brought, self.prepared.supplied
                )
        books.open_rejects, books.keys_wait = [], False

    def newer(self) -> list[sql.Composed]:
        """Conditions under which a later row took the place of the row `i` that was refused."""
        if self._options.mode not in _LAST_WINS or self._spec.primary_key is None:
            return []
        later = self._brought("i.row")
        return [rejects.key_brought(self._spec, brought, "i") for brought in later]

    def _brought(self, after: LiteralString = "-1") -> list[sql.Composed]:
        """Conditions under which the load brought the table's row `t`; by rows after a number."""
        key = self.prepared.key or self._spec.primary_key
        supplied = {column.name for _, one in self.prepared.inputs for column in one.columns}
        if key is None or not supplied >= set(key.columns):
            return []
        return [stage.brought(key.columns, after) for stage in self.books.filled.stages]

    def _watch(self) -> RefusedKeys | None:
        key = self.prepared.key
        if key is None or self._options.mode is not LoadMode.SYNC:
            return None
        columns = [self._spec.column(name) for name in key.columns]
        if self._groups is None:
            return RefusedKeys(columns)
        fallen = self._groups.fallen.get_column("group")
        return RefusedKeys(columns, self._groups.column, fallen)

    def _ascending(self) -> Ascending | None:
        """What looks whether the rows come in the order of the key: then none needs comparing."""
        key = self.prepared.key or next(iter(self._spec.keys), None)
        if key is None or len(key.columns) != 1:
            return None
        supplied = {column.name: column for column in self.prepared.inputs[0][1].columns}
        column = supplied.get(key.columns[0])
        return Ascending(column.name) if column is not None and can_ascend(column) else None

    def _hold_back(self, *, empty: bool) -> str | None:
        """Rows can be held back where every row of the table will be this load's."""
        columns = self.prepared.inputs[0][1].columns
        return ordering_key(self._spec, columns) if empty else None

    def _decide(self, plan: ConstraintPlan, parents: Sequence[Parents], *, empty: bool) -> Decision:
        prepared = self.prepared
        if prepared.key is not None or prepared.scope is not None or prepared.retry_of:
            return Decision(Way.STAGED, ConstraintPlan(), "")
        names = {load.prepared.spec.name for load in self._along} | {self._spec.name}
        outside = [part.parent for part in plan.foreign_keys if part.parent not in names]
        altered = [c.name for c in self.prepared.inputs[0][1].columns if may_alter(c)]
        now = Situation(
            empty=empty,
            size=self.prepared.size,
            parents_along=not outside and self._options.mode is LoadMode.TRUNCATE,
            refused=self._refused,
            needs_server=f"only the server knows what {altered[0]} keeps" if altered else "",
        )
        decision = decide(self._spec, plan, self._options, now)
        if decision.way is Way.STAGED:
            return decision
        taken = {part.name for part in decision.take_off.foreign_keys}
        for one in parents:
            name = one.key.name
            if one.policy is OrphanPolicy.PLACEHOLDER and name not in taken:
                why = f"{name} stays, and placeholder parents come before their rows"
            elif one.policy is OrphanPolicy.NULL and one.known is None:
                why = f"orphans of {name} are found by the database"
            else:
                continue
            return Decision(Way.STAGED, decision.take_off, why)
        return decision

    def _parents(self) -> list[Parents]:
        supplied = {column.name for column in self.prepared.inputs[0][1].columns}
        return [
            self._one_parent(key)
            for key in self._spec.foreign_keys
            if supplied >= set(key.columns) and key.enforced
        ]

    def _one_parent(self, key: ForeignKey) -> Parents:
        policy = self.prepared.policies.get(key.name, OrphanPolicy.QUARANTINE)
        if policy is OrphanPolicy.WAIT:  # in this load there is no difference
            policy = OrphanPolicy.QUARANTINE
        if key.parent == self._spec.name:
            mark = check_policy(key, policy, self._spec, self._spec) or None
            if mark is not None and self._options.mode is LoadMode.SYNC:
                raise UsageError(
                    f"--orphans {key.columns[0]}=placeholder: sync would remove the placeholder "
                    f"rows of {self._spec.name} itself, which no input has. Take another policy, "
                    "or upsert."
                )
            return Parents(key, policy, mark=mark)
        parent = read_spec(self._connection, key.parent)
        mark = check_policy(key, policy, self._spec, parent) or None
        known = None
        if policy is not OrphanPolicy.PLACEHOLDER and comparable(key, self._spec, parent):
            known = read_keys(self._connection, key, self._spec)
        return Parents(key, policy, known, self._refused_parents(key), mark)

    def _refused_parents(self, key: ForeignKey) -> pl.DataFrame | None:
        """Keys of rows that were refused from the parent earlier in this unit."""
        for load in self._along:
            if load.prepared.spec.name != key.parent or not load.books.spool.rows:
                continue
            by_target = load.by_target()
            if any(name not in by_target for name in key.parent_columns):
                return None
            rows = list(load.books.spool.refused([by_target[n] for n in key.parent_columns]))
            frame = pl.DataFrame(rows, schema=dict.fromkeys(key.columns, pl.String()), orient="row")
            return frame.select(as_compared(self._spec, n) for n in key.columns).drop_nulls()
        return None

    def by_target(self) -> dict[str, str]:
        """Target column -> source column, of the first input."""
        return {column.name: name for name, column in self.prepared.inputs[0][1].pairs}

    def _told(self) -> str:
        """The strategy in words."""
        decision, notes = self._decision, list(self.books.filled.notes)
        off = [part.name for part in decision.take_off.foreign_keys]
        off += [part.constraint or part.name for part in decision.take_off.indexes]
        if off:
            notes.append(f"re-created {', '.join(off)}")
        if decision.reason:
            notes.append(decision.reason)
        if self._groups is not None and self._groups.fallen.height:
            notes.append(
                f"read again without the groups that are refused by {self._groups.column.name}"
            )
        if self._room.locked:
            names = ", ".join(map(str, self._room.locked))
            notes.append(f"locked {names} for {self._room.seconds():.2f} s")
        return "; ".join(notes)

    # What the server refused -------------------------------------------------------------

    def _fetch_refused(self, parents: Sequence[Parents]) -> None:
        bad = sum(stage.counts()[2] for stage in self.books.filled.stages)
        self.books.refused = self.books.spool.rows + bad
        if not bad:
            return
        allowed = self._options.budget.allows(self.books.refused, self.books.client.read)
        most = None if allowed else KEPT_AFTER_ROLLBACK
        key = readable_key(self._spec, self.prepared.reading)
        for stage in self.books.filled.stages:
            faults = self._faults(stage, most, parents)
            for file, part in faults.group_by(
                pl.col(ROW) // (1 << RECORD_BITS), maintain_order=True
            ):
                place = int(str(file[0]))
                one, matching = next(i for i in self.prepared.inputs if i[0].file == place)
                firsts = {row for row in part["other"].drop_nulls() if file_of(row) == place}
                wanted = {*part[ROW], *firsts}
                fetched = {} if self._late is None else self._late.origins_of(wanted)
                if missing := wanted - set(fetched):
                    fetched |= one.fetch(missing)
                origins: dict[int, Origin] = {row: fetched[row] for row in part[ROW].unique()}
                lines = {row: fetched[row][0] for row in firsts}
                part = part.with_columns(reason=self._with_lines(part, lines)).drop("other")
                by_target = {column.name: name for name, column in matching.pairs}
                self.books.spool.add(refused_later(origins, part, by_target, key))

    def _faults(self, stage: Stage, most: int | None, parents: Sequence[Parents]) -> pl.DataFrame:
        owners = {", ".join(one.key.columns): one.key.parent for one in parents}
        rows = []
        for row, column, code, other, message in stage.faults(most):
            if message is not None:
                reason = message
            elif code == "23503":
                reason = f"{VALUE} is not in {owners.get(column, 'its parent')}"
            elif other is not None:
                reason = f"{column} {VALUE} came first in "
            elif self._decision.way is not Way.STAGED:  # a late row: all others are this load's
                reason = f"{column} {VALUE} came before in the input"
            else:
                reason = f"{column} {VALUE} is in {self._spec.name} already"
            rows.append((row, column, code, reason, other))
        text = pl.String()
        schema = {ROW: pl.Int64(), "column": text, "code": text, "reason": text}
        return pl.DataFrame(rows, schema=schema | {"other": pl.Int64()}, orient="row")

    def _with_lines(self, faults: pl.DataFrame, lines: Mapping[int, int]) -> pl.Series:
        """The reasons, with where the row that came first stands."""
        told = []
        for reason, other in faults.select("reason", "other").iter_rows():
            if other is None:
                told.append(reason)
            elif lines.get(other):
                told.append(f"{reason}line {lines[other]}")
            elif other in lines:
                told.append(f"{reason}{self.books.place(other)}")
            else:
                told.append(f"{reason}{self.prepared.origin(other)[0]}")
        return pl.Series("reason", told, dtype=pl.String)

    # Afterwards --------------------------------------------------------------------------

    def verify(self) -> None:
        """The table is as it was but for its rows; sequences and statistics are up to date.

        Raises:
            LoadError: Something other than rows would have changed.
        """
        if not self.prepared.inputs:
            return
        spec, connection = self._spec, self._connection
        if self._before:
            compare(spec.name, self._before, fingerprint(connection, spec.oid))
        columns = [column.name for column in self.prepared.inputs[0][1].columns]
        if self.books.filled.inserted and not self._options.dry_run:
            advance(connection, spec, columns)
        filled, many = self.books.filled, self._options.one_of_many
        if not many and worth_analyzing(connection, spec, filled.inserted, filled.updated):
            self._observer.step(Step.ANALYZE, str(spec.name))
            analyze(connection, spec)
