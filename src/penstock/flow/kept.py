"""What of a load or send crosses the border of a process: its books, not its rows."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.model.result import LoadResult


@dataclass(frozen=True, slots=True)
class Kept:
    """A load of a job that ran in another process.

    Attributes:
        result: Its books.
        table: Where to, as the job named it.
    """

    result: LoadResult
    table: str
