"""Decides how a table is loaded, and says why. Not for: doing it (`direct`, `staged`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.model.options import LoadOptions
from penstock.model.table import TableSpec
from penstock.postgres.constraints.plan import ConstraintPlan

#: Bytes of input (about 20,000 rows) below which taking constraints off costs more than it saves.
_PAYS_FROM = 1 << 20
#: Bytes of plain CSV that one second loads, for the estimate of how long locks would be held.
_BYTES_A_SECOND = 30 << 20


class Way(StrEnum):
    """How rows reach the table."""

    #: COPY into the table; what the client cannot check, constraints do.
    DIRECT = "direct"
    #: Read and check everything, then lock, then COPY into the table.
    CHECKED_FIRST = "checked first"
    #: COPY into a staging table, checks by set, then INSERT.
    STAGED = "staged"


@dataclass(frozen=True, slots=True)
class Decision:
    """How a table is loaded.

    Attributes:
        way: Direct or staged.
        take_off: What is taken off and put back; empty: all constraints stay.
        reason: Why, in plain words.
    """

    way: Way
    take_off: ConstraintPlan
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the decision depends on, besides the table and the options.

    Attributes:
        empty: The table is or will be empty when the rows go in.
        size: Bytes of input, unpacked as far as known.
        parents_along: Every parent is emptied in the same unit, so its readers wait anyway.
        refused: How often the server has refused rows of this input already: 0, 1 or 2.
        needs_server: Why only the server can check some rows, or empty.
    """

    empty: bool
    size: int
    parents_along: bool
    refused: int = 0
    needs_server: str = ""


def decide(spec: TableSpec, plan: ConstraintPlan, options: LoadOptions, now: Situation) -> Decision:
    """The way for one table."""
    keep = _why_keep(spec, plan, options, now)
    take_off = ConstraintPlan(kept=plan.kept) if keep else plan
    if spec.row_security:
        return Decision(Way.STAGED, take_off, "row security applies to the role")
    if now.refused:
        return Decision(Way.STAGED, take_off, "the server refused rows of a direct COPY")
    if now.needs_server:
        return Decision(Way.STAGED, take_off, now.needs_server)
    if not keep and plan.foreign_keys and not now.parents_along:
        seconds = now.size / _BYTES_A_SECOND
        if seconds > options.max_lock:
            why = f"else its parents would be locked for about {seconds:.0f} s"
            return Decision(Way.CHECKED_FIRST, take_off, why)
    return Decision(Way.DIRECT, take_off, keep)


def _why_keep(spec: TableSpec, plan: ConstraintPlan, options: LoadOptions, now: Situation) -> str:
    if options.keep_constraints:
        return "constraints are kept as asked"
    if not now.empty:
        return "constraints are kept: the table has rows"
    if plan.refusals:
        return f"constraints are kept: {plan.refusals[0]}"
    if now.refused > 1:
        return "constraints are kept: the server refused rows when they were put back"
    if now.size < _PAYS_FROM:
        return "constraints are kept: the input is small"
    if not plan.anything:
        if plan.kept:
            return f"constraints are kept: {plan.kept[0][0]}: {plan.kept[0][1]}"
        return ""
    return ""
