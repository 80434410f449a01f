"""Runs one job and books what came of it. Not for: which jobs, and in which order (`etl`)."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from penstock.errors import PenstockError
from penstock.flow.attempts import is_transient
from penstock.flow.connection import NothingToDo
from penstock.flow.job import Caught, Job
from penstock.ledger.flows import JobRecord
from penstock.postgres.encodings import writable

#: A module with `run(job)`, or such a function itself.
Runnable = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What became of a job.

    Attributes:
        record: As in the ledger.
        seconds: That it took.
        caught: What it wants told.
        loads: Ids of the loads that it made.
        runs: Ids of their runs.
        trace: Where its code failed, for the log; empty otherwise.
        notes: What a person should know.
        again: True where what it failed by may be over soon.
        unlinked: Tables with refused rows, and how many references of theirs no link could set.
    """

    record: JobRecord
    seconds: float
    caught: tuple[Caught, ...] = ()
    loads: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    trace: str = field(default="", repr=False)
    notes: tuple[str, ...] = ()
    again: bool = False
    unlinked: tuple[tuple[str, int], ...] = ()

    @property
    def failed(self) -> bool:
        """True where it did not do its work."""
        return self.record.status in ("failed", "skipped")


def name_of(job: Runnable) -> str:
    """A job's name: the last part of its module's, or the function's own."""
    return str(job.__name__).rpartition(".")[2]


def run_of(job: Runnable) -> Callable[[Job], Any]:
    """What is called: `run` of a module, or the function itself.

    Raises:
        TypeError: It is neither.
    """
    found = getattr(job, "run", job)
    if not callable(found):
        raise TypeError(f"{name_of(job)} has no function run(job)")
    return found  # type: ignore[no-any-return]


def run_job(run: Callable[[Job], Any], job: Job, number: int, *, strict: bool = False) -> JobResult:
    """Run a job to its end.

    An error of the job is not raised: it is in the result, and in the log.

    Args:
        run: The job's function.
        job: What it is given.
        number: Its place in the run.
        strict: True: rows that got lost on the way fail the job.
    """
    record = JobRecord(number=number, job=job.name)
    began, trace, again = time.perf_counter(), "", False
    try:
        with job.stack:
            run(job)
        record.status = "succeeded"
    except NothingToDo as nothing:
        record.error = _left(job, nothing)
        record.status = "failed" if record.error else "succeeded"
        job.tally.notes.append(str(nothing))
    except PenstockError as error:
        record.status, record.error = "failed", writable(error.message)
        trace = traceback.format_exc()
        again = is_transient(error)
    except Exception as error:  # noqa: BLE001  a job's own code may raise anything: it is told
        record.status, trace = "failed", traceback.format_exc()
        record.error = writable(f"{type(error).__name__}: {error}")
        again = is_transient(error)
    tally, dropped = job.tally, job.tally.dropped()
    if record.status == "succeeded":
        _account(record, job, dropped, strict=strict)
    record.extracted = tally.extracted
    record.loaded, record.rejected = tally.counts()["loaded"], tally.counts()["rejected"]
    details: dict[str, Any] = {
        "dropped": dropped,
        "ignored": sum(one.ignored for one in tally.results),
        "not linked": sum(one.quarantined for one in tally.linked_by),
        "notes": tally.notes,
        "files": tally.files,
        # For the next run, should this one be killed before it mails them.
        "caught": [
            [load.result.load_id, load.table, one.to] for one in job.caught for load in one.loaded
        ],
    }
    record.details = details | ({"dry_run": True} if job.dry_run else {})
    return JobResult(
        record=record,
        seconds=time.perf_counter() - began,
        caught=tuple(job.caught),
        loads=tuple(one.load_id for one in tally.everything),
        runs=tuple(one.run_id for one in tally.everything if one.run_id),
        trace=trace,
        notes=tuple(tally.notes),
        again=again,
        unlinked=tuple(tally.unlinked),
    )


def _left(job: Job, nothing: NothingToDo) -> str | None:
    """Why a job that ends for a lack of input has failed: what it read would count as done."""
    lost, _ = job.tally.lost()
    if not lost:
        return None
    rows, them = ("row that was", "it") if lost == 1 else ("rows that were", "them")
    return (
        f"{nothing}, but {lost:,} {rows} read before it reached no load: load {them} first, or "
        f"read first what may not be there"
    )


def _account(record: JobRecord, job: Job, dropped: dict[str, int], *, strict: bool) -> None:
    """Every row that was read reached a load, was left out by name, or got lost."""
    lost, samples = job.tally.lost()
    record.dropped = lost + sum(dropped.values())
    undone = job.tally.undone()
    if undone and job.cursors.moved():
        job.tally.notes.append(
            f"the cursor stays: {undone:,} rows were given to a load that was rolled back, and to "
            "no other"
        )
    if not lost:
        return
    rows = "row was" if lost == 1 else "rows were"
    told = f"{lost:,} {rows} read and reached no load: {', '.join(samples)}"
    if strict:
        record.status = "failed"
        record.error = f"{told}. Name them with job.drop(rows, because=...)."
        return
    dropped["lost in TRANSFORM"] = lost
    job.tally.notes.append(told)
