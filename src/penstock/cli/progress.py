"""Shows how far a load is: a live line on a terminal, plain lines in a log. Not for: its result."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from penstock.cli.answer import console, plain
from penstock.loading.steps import Step

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from penstock.model.options import Progress

#: Seconds before the first plain line, and between two.
_EVERY = 5.0


class Watch:
    """Follows one load, from its begin to its end.

    Args:
        quiet: True: shows nothing, and only remembers how far the load came.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = console()
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._began = self._told = time.monotonic()
        self._step = ""
        self._table = ""
        self._committing = self._committed = False

    def __enter__(self) -> Watch:
        if not self._quiet and self._console.is_interactive:
            self._bar = _bar(self._console)
            self._task = self._bar.add_task(
                "", total=None, step="connecting", rows="", rate="", rejects=""
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, name: str) -> None:
        """A step begins."""
        self._committing = name == Step.COMMIT.value
        self._committed = name == Step.COMMITTED.value

    def what_became(self) -> str:
        """What a person who pressed Ctrl-C is told."""
        if self._committed:
            return "the load was complete and is committed."
        if self._committing:
            return "the load was just being committed. Whether it was: penstock runs."
        return "the load was rolled back, nothing was changed."

    def progress(self, now: Progress) -> None:
        """The loader tells how far it is."""
        self._table = now.table or self._table
        self._step = now.step or self._step
        if self._bar is not None and self._task is not None:
            self._live(self._bar, self._task, now)
        elif not self._quiet:
            self._line(now)

    def _live(self, bar: Bar, task: TaskID, now: Progress) -> None:
        bar.update(task, description=plain(self._table), step=self._step)
        if now.step:  # it carries no counts
            return
        bar.update(
            task,
            total=now.total_bytes or None,
            completed=now.read_bytes,
            rows=f"{now.rows:,}",
            rate=f"{now.rows / max(time.monotonic() - self._began, 0.001):,.0f}/s",
            rejects=f"{now.rejects:,} refused" if now.rejects else "",
        )

    def _line(self, now: Progress) -> None:
        moment = time.monotonic()
        if moment - self._told < _EVERY:
            return
        self._told = moment
        took = moment - self._began
        parts = [f"{took:.0f} s", plain(self._table), self._step]
        if now.rows:
            parts += [f"{now.rows:,} rows", f"{now.rows / took:,.0f} rows/s"]
        if now.rejects:
            parts.append(f"{now.rejects:,} refused")
        if now.total_bytes and now.rows:
            parts.append(f"{min(1.0, now.read_bytes / now.total_bytes):.0%}")
        self._console.print(", ".join(part for part in parts if part))


def _bar(out: Console) -> Bar:
    """One line, gone when the load ends."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn("{task.description}", style="bold", markup=False),
        TextColumn("{task.fields[step]}", style="dim", markup=False),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]}", markup=False),
        TextColumn("{task.fields[rate]}", style="dim", markup=False),
        TextColumn("{task.fields[rejects]}", style="yellow", markup=False),
        console=out,
        transient=True,
        expand=True,
    )
