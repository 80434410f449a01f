"""A `main.py` as a program: its command line and its exit code. Not for: the flow (`etl`)."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any, NoReturn, Protocol

from penstock.errors import PenstockError, UsageError
from penstock.flow.beginning import requirements
from penstock.flow.choice import Choice
from penstock.flow.plan import Recording, record
from penstock.model.secret import Secret
from penstock.project.environment import Environment, choose
from penstock.project.keys import ProjectKey

#: What a shell says of a program that Ctrl-C ended.
_INTERRUPTED = 130
#: What a shell says of a program that wrote into a pipe which nobody reads any more.
_NOT_READ = 141


class Program(Protocol):
    """A run of a flow, as far as its command line needs it."""

    exit_code: int

    def abandon(self, error: BaseException) -> None:
        """Close the run after an error in the flow itself."""
        ...

    def finish(self) -> None:
        """End a run that the flow itself did not end."""
        ...


def run_program(
    make: Callable[..., Program],
    flow: Callable[[Any], None],
    env: Mapping[str, Any],
    argv: Sequence[str] | None = None,
) -> int:
    """Run a flow as its `main.py` was called; gives the exit code.

    Args:
        make: Makes the run: `env`, `name`, `dry_run`, `chosen`, `first`, `resume`, `requires`.
        flow: What the main describes.
        env: Of `config.py`.
        argv: Words of the command line; default: the program's.
    """
    main = Path(getattr(sys.modules.get("__main__"), "__file__", None) or "main.py").resolve()
    given = _parser(main.name).parse_args(argv)
    try:
        if given.password is not None:
            return _encrypt(env, main.parent, given.password)
        if given.plan:
            return _show_plan(flow, env, main, given)
        if given.as_json:
            raise UsageError("--json belongs to --plan")
        if given.only or given.start:
            _planned(flow, env, main, given)  # an unknown name, before anything is done
        return _run(make, flow, choose(env, given.env, main.parent), main, given)
    except PenstockError as error:
        print(error.message, file=sys.stderr)  # noqa: T201  this is a program
        return error.exit_code


def _run(
    make: Callable[..., Program],
    flow: Callable[[Any], None],
    environment: Environment,
    main: Path,
    given: argparse.Namespace,
) -> int:
    etl = make(
        env=environment,
        name=main.stem,
        dry_run=given.dry_run,
        chosen=frozenset(given.only) if given.only else None,
        first=given.start,
        resume=given.resume,
        requires=requirements(getattr(flow, "__globals__", {}).get("requires", ())),
    )
    with suppress(ValueError):  # not in the main thread, which has the signals
        signal.signal(signal.SIGTERM, _stop)
    try:
        flow(etl)
    except KeyboardInterrupt as error:
        etl.abandon(error)
        print("Interrupted.", file=sys.stderr)  # noqa: T201
        return _INTERRUPTED
    except BaseException as error:  # whatever it is, the run is closed, and the error raised
        etl.abandon(error)
        raise
    etl.finish()
    return etl.exit_code


def _stop(number: int, frame: object) -> NoReturn:
    """A service manager's stop is as Ctrl-C: the run is closed."""
    del number, frame
    raise KeyboardInterrupt


def _planned(
    flow: Callable[[Any], None], env: Mapping[str, Any], main: Path, given: argparse.Namespace
) -> Recording:
    """The flow's steps.

    Raises:
        UsageError: There is no job of a name that was given.
    """
    only = frozenset(given.only) if given.only else None
    choice = Choice(only=only, first=given.start)
    environment = choose(env, given.env, main.parent, fetch=False)
    with redirect_stdout(sys.stderr):  # standard output is for the plan
        planned = record(flow, environment, main.stem, choice)
    choice.check(job["job"] for job in planned.jobs)
    return planned


def _show_plan(
    flow: Callable[[Any], None], env: Mapping[str, Any], main: Path, given: argparse.Namespace
) -> int:
    if given.resume is not None:
        raise UsageError("--plan asks no ledger: leave --resume out")
    planned = _planned(flow, env, main, given)
    shown = planned.shown()
    text = json.dumps(shown, indent=2) if given.as_json else "\n".join(planned.lines())
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:  # who reads it, such as `head`, has seen enough
        # Otherwise Python tries again when it ends, and fails in its own words.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NOT_READ
    return 0


def _encrypt(env: Mapping[str, Any], folder: Path, value: str) -> int:
    """Print the encrypted form of a password; with none given, it is asked for without echo."""
    key = ProjectKey(str(env.get("project", folder.name)))
    if not key.exists():
        key.make()
        print(  # noqa: T201
            f"Made the key {key.path}. Copy it to the server that runs this project; "
            "without it nothing that it encrypts can be read.",
            file=sys.stderr,
        )
    if not value:
        asked = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline()
        value = asked.rstrip("\n")
    if not value:
        raise UsageError("There is nothing to encrypt")
    print(key.encrypt(Secret(value)))  # noqa: T201
    return 0


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python {name}",
        description="Run this flow.",
        epilog="Exit codes: 0 all went well, 3 rows were refused, 1 a job failed, 75 try again.",
    )
    parser.add_argument("-e", "--env", metavar="NAME", help="dev, test or prod; default: dev")
    parser.add_argument(
        "-p",
        "--password",
        nargs="?",
        const="",
        metavar="TEXT",
        help="print the encrypted form of a password; without TEXT it is asked for, which keeps "
        "it out of the shell's history",
    )
    parser.add_argument("--only", action="append", metavar="JOB", help="run this job alone")
    parser.add_argument(
        "--from", dest="start", metavar="JOB", help="leave out the jobs before this one"
    )
    parser.add_argument("--resume", metavar="RUN", help="leave out what this run has done")
    parser.add_argument("--dry-run", action="store_true", help="do everything, then roll it back")
    parser.add_argument("--plan", action="store_true", help="show the steps; connect to nothing")
    parser.add_argument(
        "--json", dest="as_json", action="store_true", help="with --plan: as one JSON object"
    )
    return parser
