"""Which jobs of a flow are run: `--only`, `--from`, `--resume`. Not for: running them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from penstock.errors import UsageError


@dataclass(slots=True, kw_only=True)
class Choice:
    """What was asked for; everything, by default.

    Attributes:
        only: Names of the jobs that are run; None: all.
        first: The job from which on jobs are run; None: from the beginning.
        done: Job -> the earlier run that has done it.
    """

    only: frozenset[str] | None = None
    first: str | None = None
    done: Mapping[str, str] = field(default_factory=dict)
    _met: bool = field(init=False, default=False)

    @property
    def leaves_out(self) -> bool:
        """True where jobs may be left undone: how they would have fared nobody knows."""
        return self.only is not None or self.first is not None

    def why_not(self, job: str) -> str:
        """Why the next job of the flow is left out; empty where it is run."""
        self._met = self._met or self.first in (None, job)
        if not self._met:
            return f"before {self.first} (--from)"
        if self.only is not None and job not in self.only:
            return f"not {' or '.join(sorted(self.only))} (--only)"
        return f"done by run {self.done[job][:8]} (--resume)" if job in self.done else ""

    def check(self, jobs: Iterable[str]) -> None:
        """Hold the names against those of the flow.

        Raises:
            UsageError: There is no such job, where the nearest one is named; or both options
                together leave none.
        """
        steps = list(jobs)
        there = list(dict.fromkeys(steps))
        wanted = [("--only", name) for name in sorted(self.only or ())]
        wanted += [("--from", self.first)] if self.first is not None else []
        unknown = [(option, name) for option, name in wanted if name not in there]
        if not unknown:
            self._check_some(steps)
            return
        lines = []
        for option, name in unknown:
            near = difflib.get_close_matches(name, there, n=1)
            meant = f", did you mean {near[0]}?" if near else ""
            lines.append(f"{option}: this flow has no job {name!r}{meant}")
        raise UsageError("\n".join([*lines, f"Its jobs: {', '.join(there) or 'none'}"]))

    def _check_some(self, steps: list[str]) -> None:
        """A job that --only names comes at or after the one that --from names."""
        if self.only is None or self.first is None:
            return
        left = list(dict.fromkeys(steps[steps.index(self.first) :]))
        if self.only.isdisjoint(left):
            names = ", ".join(sorted(self.only))
            verb = "comes" if len(self.only) == 1 else "come"
            raise UsageError(
                f"--from {self.first} --only {names}: nothing is left to run, as {names} {verb} "
                f"before {self.first}. From {self.first} on: {', '.join(left)}"
            )
