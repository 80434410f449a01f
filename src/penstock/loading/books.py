"""The books of one table's load, and the guards that read them. Not for: counting (`intake`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from penstock.errors import BalanceError, BudgetExceeded, LoadError, ShrinkRefused
from penstock.loading.fill import Filled
from penstock.loading.intake import Books
from penstock.loading.prepare import Prepared
from penstock.loading.spool import Spool
from penstock.model.batch import ROW, record_of
from penstock.model.checked import QUALITY, CheckResult
from penstock.model.options import LoadMode, LoadOptions
from penstock.model.result import LoadResult, Sample, Waited
from penstock.quality.rows import RowChecks

#: `truncate` refuses to leave less than this share of the rows.
_SHRINK = 0.5
#: SQLSTATEs of texts that are no value of their column begin so (class 22, data exception).
_UNREADABLE = "22"
#: Reasons that the error of a failed load names.
_REASONS = 8
#: Codes of rows whose parent is not there, or was refused.
_ORPHAN = ("23503", "parent_refused")
#: What is told of the first fault of a refused row.
_FAULT = ("columns", "codes", "reasons")


class TableBooks:
    """What is known of one table's load.

    Attributes:
        prepared: The table and its inputs.
        spool: The refused rows.
        client: What the client's half counted.
        filled: What came of the server's half.
        deleted: Rows that were removed to make room.
        refused: Rows refused; more than the spool holds where too many were refused to fetch.
        strategy: How it was done.
        seconds: That filling the table took.
        files: Name, sha256 and bytes of each file that was read.
        open_rejects: Ids of rejects that wait for a row that was not there before the load.
        keys_wait: True where rejects wait whose key the load may bring again.
        superseded: Rows that waited for their parents, and whose place rows of the load took.
        row_checks: Tries the declared quality checks, or None; not on rows that are tried again.
        checks: What they found, once all rows were read.
        failed: Why rows that waited could not be tried again, which the load itself survives; else
            empty.
    """

    def __init__(self, prepared: Prepared, options: LoadOptions, spool: Spool) -> None:
        self.prepared = prepared
        self.spool = spool
        self.client = Books()
        self.filled = Filled()
        self.deleted = 0
        self.refused = 0
        self.strategy = ""
        self.seconds = 0.0
        self.files: list[tuple[str, str, int]] = []
        self.open_rejects: list[int] = []
        self.keys_wait = False
        self.superseded = 0
        self.row_checks = _row_checks(prepared, options)
        self.checks: tuple[CheckResult, ...] = ()
        self.failed = ""
        self._options = options

    def origin(self, row: int) -> tuple[str, int]:
        """The source's name and the record number of a `_row`."""
        return self.prepared.origin(row)

    def place(self, row: int) -> str:
        """How people find a row that has no line."""
        if self.prepared.retry_of and self.prepared.replaying is not None:
            return f"reject #{self.prepared.replaying.held[row]}"
        return f"row {self.prepared.origin(row)[1]}"

    def refused_rows(self) -> list[tuple[int, str, str]]:
        """Of each refused row its number, from 1 as they were given, code and reason."""
        found = []
        for frame in self.spool.frames():
            faults = frame.select(ROW, *(pl.col(name).list.first() for name in _FAULT))
            for row, column, code, reason in faults.iter_rows():
                found.append((record_of(row), code, f"{column}: {reason}" if column else reason))
        return found

    def _all_wait(self) -> bool:
        """True where every refused row only waits for its parents."""
        reasons, awaited = self.spool.reasons(), self.prepared.awaited
        return all(one.code in _ORPHAN and one.column in awaited for one in reasons)

    def guard(self) -> None:
        """Hold the books against the user's guards.

        Raises:
            BudgetExceeded: More rows were refused than allowed, or all of them.
            ShrinkRefused: `truncate` would leave less than half of the rows.
            BalanceError: The equation does not hold.
        """
        read, inserted = self.client.read, self.filled.inserted
        taken = inserted + self.filled.updated + self.filled.unchanged + self.filled.ignored
        name, budget = self.prepared.spec.name, self._options.budget
        alone = self.prepared.replaying is None and not self._options.one_of_many
        if self.refused and not taken and alone and not self._all_wait():
            raise BudgetExceeded(
                f"{name}: every row was refused ({self.refused:,} of {read:,}). "
                f"The load was rolled back.{self._reasons()}",
                code="budget",
            )
        if not budget.allows(self.refused, read):
            share = f" ({self.refused / read:.1%})" if read else ""
            raise BudgetExceeded(
                f"{name}: {self.refused:,} of {read:,} rows were refused{share}, the budget is "
                f"{budget}. The load was rolled back. Correct the input, or allow more: "
                f"--max-rejects {self.refused}.{self._reasons()}",
                code="budget",
            )
        shrinks = self._options.mode is LoadMode.TRUNCATE and not self._options.allow_shrink
        if shrinks and self.prepared.inputs and inserted < _SHRINK * self.deleted:
            raise ShrinkRefused(
                f"{name} has {self.deleted:,} rows and would have {inserted:,}: less than half. "
                "The load was rolled back. If that is right, allow it with --allow-shrink.",
                code="shrink",
            )
        accounted = taken + self.client.filtered + self.refused
        if min(inserted, self.filled.updated, self.filled.unchanged, self.filled.ignored) < 0:
            accounted = -1  # two wrong counts may have the right sum
        if read != accounted:
            raise BalanceError(
                f"{name}: {read:,} rows were read, {accounted:,} are accounted for ({inserted:,} "
                f"inserted, {self.filled.updated:,} updated, {self.filled.unchanged:,} unchanged, "
                f"{self.filled.ignored:,} ignored, {self.client.filtered:,} filtered, "
                f"{self.refused:,} refused). The load was rolled back.",
                code="balance",
            )

    def conclude(self) -> None:
        """Note what the quality checks found: all rows were read."""
        if self.row_checks is not None:
            self.checks = self.row_checks.results(self._place_of)

    def _place_of(self, row: int, line: int) -> str:
        """How a row is named that a check found."""
        name, record = self.prepared.origin(row)
        return Sample(name, line, None, "", record).place

    def _reasons(self) -> str:
        """The commonest reasons, a line each, each with where it occurred first."""
        reasons = self.spool.reasons()
        lines = []
        for reason in reasons[:_REASONS]:
            first = reason.samples[0]
            rows = "1 row" if reason.rows == 1 else f"{reason.rows:,} rows"
            lines.append(f"\n  {reason.column or 'whole row'} {reason.code}, {rows}: ")
            lines.append(f"{first.reason} ({first.place})")
        more = len(reasons) - _REASONS
        return "".join(lines) + (f"\n  and {more} more reasons" if more > 0 else "")

    def result(self, run_id: str, target: str, seconds: float) -> LoadResult:
        """The load's result."""
        return LoadResult(
            run_id=run_id,
            load_id=self.prepared.load_id,
            target=target,
            table=str(self.prepared.spec.name),
            mode=self._options.mode.value,
            read=self.client.read,
            inserted=self.filled.inserted,
            updated=self.filled.updated,
            unchanged=self.filled.unchanged,
            deleted=self.deleted,
            inferred=self.filled.inferred,
            ignored=self.filled.ignored,
            filtered=self.client.filtered,
            quarantined=self.refused,
            seconds=round(seconds, 3),
            strategy=self.strategy,
            changes=_sorted(self.client.changes),
            reasons=self.spool.reasons(),
            skipped=self.prepared.skipped,
            warnings=(
                *self.prepared.warnings,
                *self.filled.warnings,
                *self._groupless(),
                *([self.failed] if self.failed else []),
                *(str(one) for one in self.checks if one.bad),
            ),
            dry_run=self._options.dry_run,
            ddl=self.prepared.ddl,
            waited=self._waited(),
            checks=self.checks,
        )

    def _groupless(self) -> tuple[str, ...]:
        """Refused rows of which nobody can say to which group they belong."""
        group = self.prepared.group
        if group is None:
            return ()
        lost = self.spool.unsplit + sum(
            one.rows
            for one in self.spool.reasons()
            if one.column == group.name and one.code.startswith(_UNREADABLE)
        )
        if not lost:
            return ()
        rows = "1 refused row has" if lost == 1 else f"{lost:,} refused rows have"
        return (
            f"{rows} no {group.name} that can be read: the rest of "
            f"{'its group' if lost == 1 else 'their groups'} may have been loaded",
        )

    def _waited(self) -> Waited:
        replaying = self.prepared.replaying
        if not self.prepared.retry_of or replaying is None:
            return Waited(superseded=self.superseded)
        return Waited(
            tried=self.client.read,
            inserted=self.filled.inserted,
            updated=self.filled.updated,
            unchanged=self.filled.unchanged,
            ignored=self.filled.ignored,
            waiting=replaying.waiting,
            refused=self.refused - replaying.waiting,
        )


def stopping(tables: Sequence[TableBooks]) -> LoadError | None:
    """The error of a load that its quality checks stop; None where none does."""
    bad = [(one.prepared.spec.name, each) for one in tables for each in one.checks if each.stopped]
    if not bad:
        return None
    figures = "; ".join(
        f"{name}: {one.name} failed, {one.reason} ({one.bound})" for name, one in bad
    )
    such = [f"\n  {one.name}: such as {', '.join(one.examples)}" for _, one in bad if one.examples]
    return LoadError(
        f"{figures}. The load was rolled back.{''.join(such)}\nMend the input; or let the check "
        'mark the load (stops=False), only warn (severity="warn"), or allow more (at_least=).',
        code=QUALITY,
    )


def _row_checks(prepared: Prepared, options: LoadOptions) -> RowChecks | None:
    if not options.quality or prepared.retry_of or not prepared.inputs:
        return None
    supplied = {column.name for column in prepared.inputs[0][1].columns}
    return RowChecks(options.quality, prepared.spec, supplied)


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
