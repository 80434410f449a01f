"""What became of the jobs of one `run()`, also in words. Not for: running them (`working`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penstock.flow.catching import ErrorFile
from penstock.flow.running import JobResult


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the jobs of one `run()`.

    Attributes:
        results: One for each job that was run, or skipped because one before it failed, in order;
            jobs that `--only`, `--from` or `--resume` leave out are not among them.
        error_files: Files with the rows that they refused.
        find: Asks the ledger for `missing`.
    """

    results: tuple[JobResult, ...]
    error_files: tuple[ErrorFile, ...]
    find: Callable[[Sequence[str], str], tuple[str, ...]] = field(repr=False)

    def missing(self, column: str) -> tuple[str, ...]:
        """The values of a column that refer to nothing, of rows that these jobs refused."""
        return self.find([load for one in self.results for load in one.loads], column)

    @property
    def failed(self) -> bool:
        """True where a job failed or was skipped."""
        return any(one.failed for one in self.results)


def told(result: JobResult, files: Sequence[ErrorFile], root: Path) -> Iterator[str]:
    """A job's result for people, line by line.

    Args:
        result: The job's.
        files: What it refused.
        root: Where paths begin.
    """
    record = result.record
    if record.status == "succeeded":
        ignored = record.details.get("ignored", 0)
        counts = [f"{record.extracted:,} read", f"{record.loaded - ignored:,} loaded"]
        # Copies of other rows, or rows whose key a later one had, are in the table once.
        counts += [f"{ignored:,} ignored"] if ignored else []
        # What a link refused or lets wait was loaded: its own line tells it.
        counts += [f"{record.rejected - record.details.get('not linked', 0):,} refused"]
        counts += [f"{record.dropped:,} dropped"] if record.dropped else []
        said = f"{', '.join(counts)} ({result.seconds:.1f} s)"
    else:
        said = f"{record.status}: {record.error}"
    yield f"{record.job}: {said}"
    for note in result.notes:
        yield f"  {note}"
    for one in files:
        noun = "row" if one.rows == 1 else "rows"
        yield f"  {one.rows:,} refused {noun} of {one.table}: {one.path.relative_to(root)}"
