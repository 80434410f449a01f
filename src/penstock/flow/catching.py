"""Refused rows of a job, as files for people. Not for: mailing them (`telling`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from penstock.flow.housekeeping import ERRORS
from penstock.flow.running import JobResult
from penstock.ledger.outbox import not_mailed
from penstock.ledger.quarantine import Selection
from penstock.loading.export import export_rejects


@dataclass(frozen=True, slots=True)
class ErrorFile:
    """The rows that one load of a job refused.

    Attributes:
        path: Where they are.
        job: Which job.
        table: Which table refused them.
        to: Who is told: a list's name, an address or several; None: the project's usual ones.
        ids: The rejects, in the ledger.
        reasons: The commonest reasons, each with how often.
    """

    path: Path
    job: str
    table: str
    to: str | tuple[str, ...] | None
    ids: tuple[int, ...]
    reasons: tuple[tuple[str, int], ...]

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return len(self.ids)


def catch(
    connection: psycopg.Connection[Any], root: Path, run_id: str, result: JobResult
) -> list[ErrorFile]:
    """Write the rows that a job's caught loads refused, one file for each job and table.

    Rows that an earlier run has mailed are not written again.

    Args:
        connection: To the ledger.
        root: The project's.
        run_id: The flow's run.
        result: The job's.
    """
    files = []
    for caught in result.caught:
        for loaded in caught.loaded:
            ids = not_mailed(connection, [loaded.result.load_id])
            if not ids:
                continue
            name = f"{run_id[:8]}-{result.record.job}-{loaded.table.replace('.', '-')}.xlsx"
            path = root / ERRORS / name
            path.parent.mkdir(parents=True, exist_ok=True)
            export_rejects(connection, path, Selection(ids=tuple(ids)))
            files.append(
                ErrorFile(
                    path=path,
                    job=result.record.job,
                    table=loaded.table,
                    to=caught.to,
                    ids=tuple(ids),
                    reasons=reasons_of(loaded.result.reasons),
                )
            )
    return files


def reasons_of(found: Sequence[Any]) -> tuple[tuple[str, int], ...]:
    """The commonest reasons of a load, in words, each with how often."""
    return tuple(
        (f"{one.column or 'the row'}: {one.samples[0][3] if one.samples else one.code}", one.rows)
        for one in found[:5]
    )
