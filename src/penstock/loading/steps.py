"""The named steps of a load, in order. Not for: doing them.

They are what progress shows and what an observer (`LoadOptions.on_step`) is told as each begins.
"""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    """One step; the value is what a person reads."""

    LEDGER = "ledger"
    PLAN = "plan"
    RECORD = "record"
    READ = "read"
    LOCK = "lock"
    EMPTY = "empty"
    TAKE_OFF = "take off constraints"
    COPY = "copy"
    STAGE = "stage"
    CHECK = "check"
    COMPARE = "compare"
    WRITE = "write"
    ISOLATE = "isolate"
    INSERT = "insert"
    PARENTS = "placeholder parents"
    PUT_BACK = "put back constraints"
    LATE = "late rows"
    VERIFY = "verify"
    ANALYZE = "analyze"
    REJECTS = "rejects"
    BOOKS = "books"
    COMMIT = "commit"
    COMMITTED = "committed"
