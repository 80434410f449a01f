"""Which files of `data/import` a run is done with. Not for: moving them (`housekeeping`).

What comes while jobs run, or belongs to a job that was left out, was read by nobody: it stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from penstock.connectors.places import FileState, state_of
from penstock.flow.housekeeping import IMPORT
from penstock.postgres.encodings import writable


class Imported:
    """The files of one run.

    Args:
        root: The project's.

    Attributes:
        partial: True where jobs were left out: then what no connector read stays.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / IMPORT
        self._there: dict[Path, FileState] | None = None
        self._read: set[tuple[str, int, int]] = set()
        self.partial = False

    def begin(self) -> None:
        """Jobs are about to run: what is there before the first of them, all of them could read."""
        if self._there is None:
            self._there = _states(self._folder.rglob("*"))

    def came(self, files: Iterable[Path]) -> None:
        """Files that the flow fetched between its jobs."""
        if self._there is not None:
            self._there |= _states(files)

    def read(self, details: Mapping[str, Any]) -> None:
        """What a job has read, as `JobRecord.details` has it."""
        files = details.get("files", ())
        self._read |= {(writable(path), size, modified) for path, size, modified in files}

    def done(self, pattern: str | None) -> tuple[dict[Path, FileState], Sequence[Path]]:
        """The files that may go, as they were judged, and those that stay.

        Args:
            pattern: Which go unread, if they were there before the first job; None: none of them.
        """
        self.begin()
        found = _states(sorted(self._folder.iterdir()))
        own = {} if pattern is None else _states(self._folder.glob(pattern))
        gone = {path: state for path, state in found.items() if self._is_done(path, state, own)}
        return gone, [path for path in found if path not in gone]

    def _is_done(self, path: Path, state: FileState, own: Mapping[Path, FileState]) -> bool:
        if (writable(str(path.resolve())), *state) in self._read:
            return True
        known = {} if self._there is None or self.partial else self._there
        return path in own and known.get(path) == state


def _states(paths: Iterable[Path]) -> dict[Path, FileState]:
    """Plain files with their states; those whose names begin with a dot are somebody's own."""
    found = {path: state_of(path) for path in paths if not path.name.startswith(".")}
    return {path: state for path, state in found.items() if state is not None}
