"""A folder of one process alone, for files on their way. Not for: what is in them."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import TryAgain


class Busy(TryAgain):
    """Another process of this machine does the same now."""


@contextmanager
def reserved(folder: Path, busy: str) -> Iterator[Path]:
    """An empty folder that no other process of this machine has meanwhile.

    Args:
        folder: What is in it is removed, before and afterwards.
        busy: What is said where another process has it.

    Raises:
        Busy: Another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(busy) from None
        shutil.rmtree(folder)  # what a process left that was stopped
        inside = folder / "files"
        inside.mkdir(parents=True)
        try:
            yield inside
        finally:
            shutil.rmtree(folder, ignore_errors=True)
