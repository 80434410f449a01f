"""The steps of a flow without running them: `--plan`. Not for: running them (`etl`).

The flow's own function is called with a `Recording` in place of an `Etl`. Nothing is connected to,
fetched from outside or written; every job is taken to have succeeded, with no row.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.errors import UsageError
from penstock.flow import housekeeping
from penstock.flow.attempts import attempts_of
from penstock.flow.choice import Choice
from penstock.flow.fetching import Fetched
from penstock.flow.outcome import Outcome
from penstock.flow.running import JobResult, Runnable, name_of, run_of
from penstock.ledger.flows import FlowRun, JobRecord
from penstock.project.environment import Environment

#: Columns of the names of steps, in the text for people.
_WIDTH = 8


@dataclass(slots=True, kw_only=True)
class Recording:
    """Stands for an `Etl`, and notes what a flow does with it.

    Attributes:
        env: The settings, with names in place of what comes from outside.
        name: Of the flow.
        choice: Which jobs would be run.
        steps: What was noted, in order; each has `step`, the others as the method's arguments.
    """

    env: Environment
    name: str = "main"
    choice: Choice = field(default_factory=Choice)
    dry_run: bool = True
    steps: list[dict[str, Any]] = field(default_factory=list)
    _jobs: int = 0

    @property
    def flow(self) -> str:
        """Project and name."""
        return f"{self.env.project}/{self.name}"

    @property
    def run_id(self) -> str:
        """An id as a run would have; of no run."""
        return FlowRun(self.flow).run_id

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.env.folder

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """The jobs of all steps."""
        return [job for step in self.steps for job in step.get("jobs", ())]

    def start(self) -> None:
        """As `Etl.start`."""
        self._note("start")

    def fetch(self, name: str, pattern: str, to: str | Path = housekeeping.IMPORT) -> Fetched:
        """As `Etl.fetch`; nothing comes."""
        self._note("fetch", source=name, pattern=pattern, to=str(to))
        return Fetched()

    def run(
        self,
        *jobs: Runnable,
        mail: bool = False,
        only: Sequence[str] | None = None,
        parallel: int = 1,
    ) -> Outcome:
        """As `Etl.run`; every job succeeds, and nothing is missing."""
        del only
        noted: list[dict[str, Any]] = []
        results = []
        for one in jobs:
            self._jobs += 1
            noted.append(self._job(one, noted[-1:] if parallel == 1 else ()))
            record = JobRecord(number=self._jobs, job=name_of(one), status="succeeded")
            results.append(JobResult(record=record, seconds=0.0))
        self._note("run", parallel=parallel, mail=mail, jobs=noted)
        return Outcome(tuple(results), (), lambda loads, column: ())

    def mail(self, files: Sequence[Any], to: str | None = None) -> None:
        """As `Etl.mail`."""
        del files
        self._note("mail", to=to)

    def backup(self, pattern: str = "*") -> list[Path]:
        """As `Etl.backup`."""
        self._note("backup", pattern=pattern)
        return []

    def purge(self, days: float) -> int:
        """As `Etl.purge`."""
        self._note("purge", days=days)
        return 0

    def end(self) -> int:
        """As `Etl.end`."""
        self._note("end")
        return 0

    def shown(self) -> dict[str, Any]:
        """The plan as JSON has it."""
        return {"flow": self.flow, "environment": self.env.name, "steps": self.steps}

    def lines(self) -> Iterator[str]:
        """The plan for people."""
        yield f"{self.flow}, {self.env.name}"
        for number, step in enumerate(self.steps, start=1):
            said = "\n".join(_said(step)).replace("\n", "\n" + " " * (_WIDTH + 5))
            yield f"{number:>3}  {step['step']:<{_WIDTH}}{said}".rstrip()

    def _note(self, step: str, **more: Any) -> None:
        self.steps.append({"step": step, **more})

    def _job(self, one: Runnable, before: Sequence[dict[str, Any]]) -> dict[str, Any]:
        function, name = run_of(one), name_of(one)
        tries = attempts_of(one, name, self.env)
        return {
            "number": self._jobs,
            "job": name,
            "module": str(getattr(one, "__module__", None) or one.__name__),
            "file": _file_of(function, self.root),
            "docs": (inspect.getdoc(one) or inspect.getdoc(function) or "").partition("\n")[0],
            "after": [job["job"] for job in before],
            "retries": tries.retries,
            "backoff": tries.backoff,
            "left_out": self.choice.why_not(name),
        }


def record(flow: Callable[[Any], None], env: Environment, name: str, choice: Choice) -> Recording:
    """What a flow would do.

    Args:
        flow: The function of the main; what it does beside its steps is done.
        env: The settings.
        name: Of the flow.
        choice: Which jobs would be run.

    Raises:
        UsageError: The function asks for something that only a run has.
    """
    recording = Recording(env=env, name=name, choice=choice)
    try:
        flow(recording)
    except AttributeError as error:
        if error.obj is not recording:
            raise
        raise UsageError(f"The flow cannot be planned: it asks for etl.{error.name}") from None
    return recording


def _said(step: dict[str, Any]) -> list[str]:
    """What a step says beside its name, line by line."""
    kind = step["step"]
    if kind == "fetch":
        return [f"{step['source']} {step['pattern']} -> {step['to']}"]
    if kind == "mail":
        return [f"to {step['to'] or 'whom the jobs name'}"]
    if kind == "backup":
        return [step["pattern"]]
    if kind == "purge":
        return [f"{step['days']:g} days"]
    if kind != "run":
        return [""]
    head = [] if step["parallel"] == 1 else [f"side by side, {step['parallel']} at a time:"]
    return head + [_job_said(job) for job in step["jobs"]]


def _job_said(job: dict[str, Any]) -> str:
    said = f"{job['job']} ({job['file']})"
    said += f": {job['docs']}" if job["docs"] else ""
    said += f" After {', '.join(job['after'])}." if job["after"] else ""
    said += f" Up to {job['retries'] + 1} attempts." if job["retries"] else ""
    return f"{said} Left out: {job['left_out']}." if job["left_out"] else said


def _file_of(function: Callable[..., Any], root: Path) -> str:
    """Where its code is: within the project relative to it."""
    found = getattr(sys.modules.get(function.__module__), "__file__", None)
    if found is None:
        return ""
    path = Path(found).resolve()
    return str(path.relative_to(root) if path.is_relative_to(root) else path)
