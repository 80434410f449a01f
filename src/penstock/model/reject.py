"""Reject: one refused input row with all its reasons. Not for: where rejects are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason why a row was refused.

    Attributes:
        column: The target column; empty where the whole row is at fault.
        code: An SQLSTATE or a rule name.
        reason: Plain words: value, rule, and the option that would change it.
        value: The raw text at fault; None for NULL or where no value is at fault.
    """

    column: str
    code: str
    reason: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """One refused input row.

    Attributes:
        row: Its `_row` (file number and record number).
        line: Physical line (from 1) on which it starts; 0 where there is none.
        raw: Its bytes as they stand in the source.
        faults: Every reason, at least one.
        values: Source column -> raw text, where the record could be split into fields.
        key: The values of the target's primary key as PostgreSQL text, where they are readable.
    """

    row: int
    line: int
    raw: bytes
    faults: tuple[Fault, ...]
    values: Mapping[str, str | None] | None = None
    key: tuple[str, ...] | None = None
