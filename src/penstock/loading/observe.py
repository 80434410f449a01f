"""Tells observers which step begins and how far a load is. Not for: printing."""

from __future__ import annotations

import time

from penstock.loading.steps import Step
from penstock.model.options import LoadOptions, Progress

#: Seconds between two reports of progress.
_INTERVAL = 0.1


class Observer:
    """The observers of one load, and the seconds that each step took."""

    def __init__(self, options: LoadOptions) -> None:
        self.seconds: dict[str, float] = {}
        self._on_step = options.on_step
        self._on_progress = options.on_progress
        self._step = ""
        self._since = time.perf_counter()
        self._told = 0.0

    def step(self, step: Step, table: str = "") -> None:
        """A step begins; the one before it ends."""
        now = time.perf_counter()
        if self._step:
            self.seconds[self._step] = self.seconds.get(self._step, 0.0) + now - self._since
        self._step, self._since = step.value, now
        if self._on_step is not None:
            self._on_step(step.value)
        if self._on_progress is not None:
            self._on_progress(Progress(table=table, step=step.value))

    def due(self) -> bool:
        """True where an observer wants to hear of progress now."""
        now = time.perf_counter()
        if self._on_progress is None or now - self._told < _INTERVAL:
            return False
        self._told = now
        return True

    def progress(self, progress: Progress) -> None:
        """How far the load is."""
        if self._on_progress is not None:
            self._on_progress(progress)
