"""What a quality check found. Not for: declaring or trying checks (`penstock.quality`)."""

from __future__ import annotations

from dataclasses import dataclass

#: What a check may come to, the worst last. `skipped`: there was nothing that it could judge.
PASSED, SKIPPED, WARNED, FAILED = "passed", "skipped", "warned", "failed"
#: The code of a load that a check has stopped, and of events that it kept from their target.
QUALITY = "quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: The check's.
        columns: That it looks at; none of a query or an expression.
        severity: `fail` or `warn`.
        outcome: `passed`, `warned`, `failed` or `skipped`.
        figure: What was found: a share of rows from 0 to 1; of `fresh` the age in seconds, of
            `row_count` the last day's rows by the mean of the days before, of `sql` a number of
            rows. None: there is none.
        bound: What it is held against, in words: `at least 0.99`.
        rows: Rows looked at: those with a value, where the check is about values.
        wrong: Of these, such as are not as they should be.
        examples: Where the first of them are, at most five: `orders.csv line 7`, or their key.
        reason: What that means, or why the check was skipped, in words; empty where it passed.
        stops: True: a load in which it fails is rolled back.
    """

    name: str
    columns: tuple[str, ...] = ()
    severity: str = "fail"
    outcome: str = PASSED
    figure: float | None = None
    bound: str = ""
    rows: int = 0
    wrong: int = 0
    examples: tuple[str, ...] = ()
    reason: str = ""
    stops: bool = True

    @property
    def bad(self) -> bool:
        """It is not as declared: it failed or warned."""
        return self.outcome in (FAILED, WARNED)

    @property
    def stopped(self) -> bool:
        """It failed, and a load in which it does so is rolled back."""
        return self.outcome == FAILED and self.stops

    def __str__(self) -> str:
        such = f", such as {', '.join(self.examples)}" if self.examples else ""
        said = f": {self.reason}{such}" if self.reason else ""
        return f"{self.name} {self.outcome}{said}"
