"""What came of a load. Not for: printing it (`cli.report`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from penstock.model.checked import CheckResult

#: Name of the input where rejects are replayed as they came; its records are their numbers.
REJECTS = "rejects"


class Sample(NamedTuple):
    """A refused value, and where it stands.

    Attributes:
        file: Name of the input.
        line: Physical line, from 1; 0 where only the record is known, as in flows and frames.
        value: The text; None where there is none.
        reason: Why it was refused.
        record: Number of the record, from 1, a header not counted; among rejects, their number.
    """

    file: str
    line: int
    value: str | None
    reason: str
    record: int

    @property
    def place(self) -> str:
        """Where people find it: `sales.csv line 31`, `sales.csv record 30`, `reject #7`."""
        if self.file == REJECTS and not self.line:
            return f"reject #{self.record}"
        if self.line:
            return f"{self.file} line {self.line:,}"
        return f"{self.file} record {self.record:,}" if self.record else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCount:
    """How often one reason refused a row, with samples.

    Attributes:
        column: The target column; empty where the whole row is at fault.
        code: An SQLSTATE or a rule name.
        rows: Refused rows with this reason.
        samples: At most two.
    """

    column: str
    code: str
    rows: int
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What became of rows that earlier loads let wait for their parents.

    `tried = inserted + updated + unchanged + ignored + waiting + refused`; `superseded` stands
    beside it. None of them is in the equation of the load that tried them: in the ledger each try
    is a load of its own, in the same run and the same transaction.

    Attributes:
        tried: Rows tried again.
        inserted: Of these, rows inserted.
        updated: Rows updated.
        unchanged: Rows that were there already, equal.
        ignored: Exact copies, and rows that their mode leaves alone.
        waiting: Rows whose parent is still missing: they wait on.
        refused: Rows refused for another reason: they wait to be corrected.
        superseded: Rows whose place newer rows of the load took: they are resolved.
    """

    tried: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    ignored: int = 0
    waiting: int = 0
    refused: int = 0
    superseded: int = 0

    def __add__(self, other: Waited) -> Waited:
        names = [one.name for one in fields(Waited)]
        return Waited(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def __bool__(self) -> bool:
        return bool(self.tried or self.superseded)

    def __str__(self) -> str:
        parts = [f"{self.tried:,} tried again"] if self.tried else []
        for name in ("inserted", "updated", "unchanged", "ignored"):
            if count := getattr(self, name):
                parts.append(f"{count:,} {name}")
        if self.waiting:
            parts.append(f"{self.waiting:,} {'waits' if self.waiting == 1 else 'wait'} on")
        parts += [f"{self.refused:,} refused"] if self.refused else []
        parts += [f"{self.superseded:,} superseded"] if self.superseded else []
        return f"rows that waited: {', '.join(parts)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """The books of one load into one table.

    `read = inserted + updated + unchanged + ignored + filtered + quarantined`; `deleted` and
    `inferred` stand beside it.

    Attributes:
        run_id: The run's id in the ledger; empty with `ledger=False`.
        load_id: The load's id.
        target: `user@host:port/database`.
        table: Schema-qualified where the schema is not `public`.
        mode: The load mode.
        read: Records met in the input.
        inserted: Rows inserted.
        updated: Rows updated.
        unchanged: Rows that were there already, equal.
        deleted: Rows that the load removed.
        inferred: Placeholder parents that the load made.
        ignored: Exact copies within the input.
        filtered: Wholly blank records.
        quarantined: Rows refused.
        seconds: From the first statement of the transaction to its commit; where several tables
            share it, what filling this one took.
        strategy: How it was carried out, with the reason, the locks and their time.
        changes: Values changed because the user said so: `rounded`, `trimmed`, `orphans_nulled`.
        reasons: The reasons of the refused rows, commonest first.
        skipped: Files skipped because the same content was loaded before.
        warnings: Things a person should know, such as source columns left out.
        dry_run: True where the load was rolled back after it succeeded.
        ddl: The statement that created the table or added columns, with a comment above each
            column that says which row decided its type; empty where there was none.
        waited: What became of rows that earlier loads let wait for their parents.
        checks: What the declared quality checks found, in their order.
    """

    run_id: str
    load_id: str
    target: str
    table: str
    mode: str
    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    inferred: int = 0
    ignored: int = 0
    filtered: int = 0
    quarantined: int = 0
    seconds: float = 0.0
    strategy: str = ""
    changes: Mapping[str, int] = field(default_factory=dict)
    reasons: tuple[ReasonCount, ...] = ()
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    dry_run: bool = False
    ddl: str = ""
    waited: Waited = Waited()
    checks: tuple[CheckResult, ...] = ()

    @property
    def balanced(self) -> bool:
        """True where every record read is accounted for."""
        return self.read == (
            self.inserted
            + self.updated
            + self.unchanged
            + self.ignored
            + self.filtered
            + self.quarantined
        )

    def __str__(self) -> str:
        parts = [f"{self.read:,} read"]
        for name in ("inserted", "updated", "unchanged", "ignored", "filtered", "quarantined"):
            count = getattr(self, name)
            if count or name == "inserted":
                parts.append(f"{count:,} {name}")
        beside = [f"{getattr(self, n):,} {n}" for n in ("deleted", "inferred") if getattr(self, n)]
        text = f"{self.table}: {', '.join(parts)}"
        text = f"{text} ({', '.join(beside)})" if beside else text
        return f"{text}; {self.waited}" if self.waited else text


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
    """What came of a replay of rejects.

    Attributes:
        target: `user@host:port/database`.
        loads: The books of each load: one for each table, or several where rejects of a table
            have different columns or were written in different ways; empty where none waits.
        replayed: Rejects whose rows were loaded; they are closed.
        waiting: Rejects whose rows were refused again.
        skipped: Reject -> why it was not tried: `replayed`, `resolved`, `discarded`, `void`,
            `unknown` (none of that number is meant), `unsplit` (its record has no fields yet),
            `closed` (by another session while this one waited for it).
    """

    target: str
    loads: tuple[LoadResult, ...]
    replayed: int
    waiting: int
    skipped: Mapping[int, str] = field(default_factory=dict)
