"""Refused rows of a job, as files for people. Not for: mailing them (`telling`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from penstock.connectors.places import local_name
from penstock.flow.housekeeping import ERRORS
from penstock.flow.job import Caught
from penstock.flow.kept import Kept
from penstock.flow.running import JobResult
from penstock.ledger.flows import FlowRun, JobRecord
from penstock.ledger.outbox import is_booked, not_mailed, not_told
from penstock.ledger.quarantine import Selection, reasons
from penstock.loading.export import export_rejects
from penstock.model.result import LoadResult, ReasonCount


@dataclass(frozen=True, slots=True)
class ErrorFile:
    """The rows that one load of a job refused.

    Attributes:
        path: Where they are.
        job: Which job.
        table: Which table refused them.
        to: Who is told: a list's name, an address or several; None: the project's usual ones.
        ids: The rejects, in the ledger.
        reasons: The reasons, commonest first, each with how many rows.
        unlinked: References of these rows that a link left out with them.
    """

    path: Path
    job: str
    table: str
    to: str | tuple[str, ...] | None
    ids: tuple[int, ...]
    reasons: tuple[tuple[str, int], ...]
    unlinked: int = 0

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return len(self.ids)


def catch(
    connection: psycopg.Connection[Any],
    root: Path,
    run: FlowRun,
    result: JobResult,
    warn: Callable[[str], None],
) -> list[ErrorFile]:
    """Write the rows that a job's caught loads refused, one file for each table and addressee.

    Rows that an earlier run has mailed are not written again; rows that an earlier run of the job
    could not tell of, because it was killed, are.

    Args:
        connection: To the ledger.
        root: The project's.
        run: The flow's.
        result: The job's.
        warn: Tells people what could not be written; it is tried again by the next run.
    """
    files: list[ErrorFile] = []
    seen: set[int] = set()
    unlinked: dict[str, int] = {}
    for table, references in result.unlinked:
        unlinked[table] = unlinked.get(table, 0) + references
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
                _elsewhere(connection, table, loads, warn)
                continue
            seen.update(ids)
            try:
                path = _path(root, f"{run.run_id[:8]}-{result.record.job}-{table}")
                export_rejects(connection, path, Selection(ids=tuple(ids)))
            except OSError as error:
                warn(
                    f"warning: the refused rows of {table} cannot be written to {ERRORS}: "
                    f"{error.strerror}; they wait, and are told by a later run"
                )
                continue
            files.append(
                ErrorFile(
                    path=path,
                    job=result.record.job,
                    table=table,
                    to=caught.to,
                    ids=tuple(ids),
                    reasons=_reasons(connection, ids),
                    unlinked=unlinked.pop(table, 0),
                )
            )
    return files


def _elsewhere(
    connection: psycopg.Connection[Any],
    table: str,
    loads: Sequence[LoadResult],
    warn: Callable[[str], None],
) -> None:
    """Say where rows wait that were refused by a database with a ledger of its own."""
    found = [one for one in loads if one.quarantined and not is_booked(connection, one.load_id)]
    if not found:
        return
    rows = sum(one.quarantined for one in found)
    warn(
        f"warning: {table}: {rows:,} refused rows wait in {found[0].target}, which does not keep "
        f"this flow's books: nobody is mailed of them. List them there: "
        f"penstock rejects list {table}"
    )


def untold(
    connection: psycopg.Connection[Any], root: Path, run: FlowRun, warn: Callable[[str], None]
) -> list[ErrorFile]:
    """Write the rows that jobs caught whose run could not mail them: it was killed, or had no disk.

    The jobs may not come to catch them again: their files are backed up, or they are left out.

    Args:
        connection: To the ledger.
        root: The project's.
        run: The flow's, which has closed those before it.
        warn: As for `catch`.
    """
    files: list[ErrorFile] = []
    for job, load, table, to in not_told(connection, run.flow):
        books = LoadResult(run_id="", load_id=load, target="", table=table, mode="")
        record = JobRecord(number=0, job=job)
        caught = (Caught((Kept(books, table),), to),)
        earlier = JobResult(record=record, seconds=0.0, caught=caught)
        files += catch(connection, root, run, earlier, warn)
    return files


def _path(root: Path, stem: str) -> Path:
    """A file that is not there yet: a job may catch twice, or what an earlier run left."""
    folder = root / ERRORS
    folder.mkdir(parents=True, exist_ok=True)
    plain = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in stem)
    number, path = 1, folder / local_name(f"{plain}.xlsx")
    short = path.stem
    while path.exists():
        path, number = folder / f"{short}-{number}.xlsx", number + 1
    return path


def _reasons(
    connection: psycopg.Connection[Any], ids: Sequence[int]
) -> tuple[tuple[str, int], ...]:
    """Why these rejects were refused, in words, commonest first, each with how many rows."""
    told = []
    for one, rows in reasons(connection, Selection(ids=tuple(ids))):
        said = f"{one.columns[0] or 'the row'}: {one.reasons[0]}"
        if one.awaits_parent and rows == 1:
            said += " (it waits for its parent; it is tried again by itself)"
        elif one.awaits_parent:
            said += " (they wait for their parents; they are tried again by themselves)"
        told.append((said, rows))
    return tuple(told)


def reasons_of(found: Sequence[ReasonCount]) -> tuple[tuple[str, int], ...]:
    """The reasons of a load, in words, commonest first, each with how often."""
    return tuple(
        (
            f"{one.column or 'the row'}: {one.samples[0].reason if one.samples else one.code}",
            one.rows,
        )
        for one in sorted(found, key=lambda one: -one.rows)
    )
