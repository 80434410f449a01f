"""Refused rows of a job, as files for people. Not for: mailing them (`telling`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from penstock.flow.housekeeping import ERRORS
from penstock.flow.running import JobResult
from penstock.ledger.flows import FlowRun
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
    connection: psycopg.Connection[Any], root: Path, run: FlowRun, result: JobResult
) -> list[ErrorFile]:
    """Write the rows that a job's caught loads refused, one file for each table and addressee.

    Rows that an earlier run has mailed are not written again; rows that an earlier run of the job
    could not tell of, because it was killed, are.

    Args:
        connection: To the ledger.
        root: The project's.
        run: The flow's.
        result: The job's.
    """
    files: list[ErrorFile] = []
    seen: set[int] = set()
    for caught in result.caught:
        for table in dict.fromkeys(one.table for one in caught.loaded):
            loads = [one.result for one in caught.loaded if one.table == table]
            ids = [
                each
                for one in loads
                for each in not_mailed(connection, one.load_id, run.flow, result.record.job)
            ]
            ids = [each for each in dict.fromkeys(ids) if each not in seen]
            if not ids:
                continue
            seen.update(ids)
            path = _path(root, f"{run.run_id[:8]}-{result.record.job}-{table}", files)
            export_rejects(connection, path, Selection(ids=tuple(ids)))
            files.append(
                ErrorFile(
                    path=path,
                    job=result.record.job,
                    table=table,
                    to=caught.to,
                    ids=tuple(ids),
                    reasons=reasons_of([reason for one in loads for reason in one.reasons]),
                )
            )
    return files


def _path(root: Path, stem: str, others: Sequence[ErrorFile]) -> Path:
    folder = root / ERRORS
    folder.mkdir(parents=True, exist_ok=True)
    plain = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in stem)
    taken = {one.path.name for one in others}
    names = (f"{plain}{f'-{number}' if number else ''}.xlsx" for number in range(len(taken) + 1))
    return folder / next(name for name in names if name not in taken)


def reasons_of(found: Sequence[Any]) -> tuple[tuple[str, int], ...]:
    """The commonest reasons of a load, in words, each with how often."""
    return tuple(
        (f"{one.column or 'the row'}: {one.samples[0][3] if one.samples else one.code}", one.rows)
        for one in found[:5]
    )
