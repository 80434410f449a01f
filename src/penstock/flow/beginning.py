"""Whether a run may begin: a scheduler's start is its own, and what it depends on is fresh.

Not for: that one run of a flow goes on at a time (`lease`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from penstock.errors import TryAgain, UsageError
from penstock.ledger import flows, schedules
from penstock.ledger.flows import FlowRun
from penstock.project.environment import Environment

#: By which a scheduler tells a flow which start it is.
CLAIM = "PENSTOCK_START"
#: The flows that wait for one another: who is in it already is not run once more.
_WAITING = "PENSTOCK_REQUIRED_BY"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")


@dataclass(frozen=True, slots=True)
class Requirement:
    """Another flow whose data must be fresh.

    Attributes:
        flow: The stem of its main.
        age: How long ago it may have succeeded.
        said: The age as it was written.
        run: True: it is run where it is older.
    """

    flow: str
    age: timedelta
    said: str
    run: bool = False


def requirements(written: Any) -> list[Requirement]:
    """What a main says in `requires`: `[("companies", "24h")]`, or with `"run"` behind.

    Raises:
        UsageError: It is written otherwise; all mistakes are listed.
    """
    problems: list[str] = []
    entries = written if isinstance(written, (list, tuple)) else [written]
    found = [one for entry in entries for one in _read(entry, problems)]
    if problems:
        raise UsageError("\n".join(problems))
    return found


def _read(entry: Any, problems: list[str]) -> Iterator[Requirement]:
    match entry:
        case (str(flow), str(age)) | (str(flow), str(age), "run"):
            found = _AGE.fullmatch(age.strip())
            if found is not None:
                span = timedelta(**{_UNITS[found[2]]: float(found[1])})
                yield Requirement(flow, span, age, len(entry) > len((flow, age)))
                return
    problems.append(
        f'requires: {entry!r} must be ("flow", "24h") or ("flow", "24h", "run"), with an age in '
        "s, m, h or d"
    )


def begin(
    connection: psycopg.Connection[Any],
    run: FlowRun,
    env: Environment,
    required: Sequence[Requirement],
    say: Callable[[str], None],
    *,
    dry_run: bool = False,
) -> None:
    """Tell the scheduler, where one started this, and look at what the flow requires.

    Args:
        connection: To the ledger, in autocommit.
        run: That is to begin.
        env: Of the project.
        required: What must be fresh; a flow that is to be run is run in a process of its own.
        say: Prints a line for people.
        dry_run: True: no other flow is run.

    Raises:
        TryAgain: Another scheduler has this start by now, or a flow's data is too old.
    """
    claim = os.environ.pop(CLAIM, None)
    if claim is not None and not schedules.confirm(connection, run, claim):
        raise TryAgain(
            "Another scheduler has taken this start over, as the one that made it was not heard "
            "of any more. Nothing was done.",
            code="locked",
        )
    for one in required:
        _meet(connection, run, env, replace(one, run=one.run and not dry_run), say)


def _meet(
    connection: psycopg.Connection[Any],
    run: FlowRun,
    env: Environment,
    one: Requirement,
    say: Callable[[str], None],
) -> None:
    stale = _stale(connection, env, one)
    if stale is None:
        return
    advice = f"Run it: penstock run {one.flow}.py -e {env.name}."
    if one.run:
        say(f"{one.flow}: {stale}; it is run first")
        code = _run(run, env, one)
        stale = _stale(connection, env, one)
        if stale is None:
            return
        advice = f"It was run, and ended with exit code {code}."
    raise TryAgain(
        f"{run.flow} requires {one.flow}, not older than {one.said}: {stale}. Nothing was done. "
        f"{advice}",
        code="requires",
    )


def _stale(connection: psycopg.Connection[Any], env: Environment, one: Requirement) -> str | None:
    """What is wrong with its age; None: it is fresh."""
    last = flows.last_success(connection, f"{env.project}/{one.flow}")
    if last is None:
        return "it has never succeeded"
    if datetime.now(UTC) - last <= one.age:
        return None
    return f"it succeeded last on {last.astimezone(UTC):%Y-%m-%d at %H:%M} UTC"


def _run(run: FlowRun, env: Environment, one: Requirement) -> int:
    """Run the other flow; gives its exit code.

    Raises:
        UsageError: There is no such main, or it waits for this one.
    """
    main = env.folder / f"{one.flow}.py"
    if not main.is_file():
        raise UsageError(f"requires: There is no main {main.name} in {env.folder}")
    waiting = [name for name in os.environ.get(_WAITING, "").split(",") if name]
    waiting.append(run.flow.removeprefix(f"{env.project}/"))
    if one.flow in waiting:
        raise UsageError(f"Flows require one another: {' -> '.join([*waiting, one.flow])}")
    sys.stdout.flush()  # what was said stands before what it says
    done = subprocess.run(
        [sys.executable, main.name, "-e", env.name],
        cwd=env.folder,
        env={**os.environ, _WAITING: ",".join(waiting)},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode
