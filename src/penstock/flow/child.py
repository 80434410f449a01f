"""One job in a process of its own: `python -m penstock.flow.child`. Run by `sidebyside` alone.

The order is the first line of its standard input, names only. Not for: people.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from penstock.connectors.ledgers import ledger_of
from penstock.connectors.registry import connectors
from penstock.errors import PenstockError
from penstock.flow.books import Books
from penstock.flow.job import Caught
from penstock.flow.kept import Kept
from penstock.flow.running import JobResult
from penstock.flow.sidebyside import answers_at
from penstock.flow.working import Work
from penstock.ledger.flows import FlowRun, JobRecord
from penstock.project.environment import choose, load_config


def main(words: list[str]) -> int:
    """Carry the order out, and answer; gives the exit code."""
    signal.signal(signal.SIGTERM, _stop)
    answers = answers_at(words[0])
    line = sys.stdin.buffer.readline()
    if not line:
        return 1
    threading.Thread(target=_watch, daemon=True).start()
    order = json.loads(line)
    try:
        result = _carry_out(order, lambda text: answers.send(("say", text)))
    except KeyboardInterrupt:
        return 130
    except PenstockError as error:
        name = order["attribute"] or order["module"].rpartition(".")[2]
        record = JobRecord(number=order["number"], job=name, status="failed", error=error.message)
        result = JobResult(record=record, seconds=0.0)
    answers.send(("result", result))
    return 0


def _carry_out(order: dict[str, Any], say: Any) -> JobResult:
    sys.path[:] = order["path"]
    folder = Path(order["folder"])
    env = choose(load_config(folder), order["env"], folder)
    found = import_module(order["module"])
    job = getattr(found, order["attribute"]) if order["attribute"] else found
    made = connectors(env, folder)
    books = Books(ledger_of(env, made))
    work = Work(
        env=env,
        connectors=made,
        run=FlowRun(order["flow"], order["run_id"]),
        books=books,
        dry_run=order["dry_run"],
        only=None if order["only"] is None else tuple(order["only"]),
        say=say,
    )
    try:
        return _sendable(work.carry_out(job, order["number"]))
    finally:
        books.close()
        for one in made.values():
            one.close()


def _sendable(result: JobResult) -> JobResult:
    """Without rows, and without ways to databases: those hold secrets."""
    caught = tuple(
        Caught(tuple(Kept(load.result, load.table) for load in one.loaded), one.to)
        for one in result.caught
    )
    return replace(result, caught=caught)


def _watch() -> None:
    """End when the flow is gone: another run of it may begin, and this job would be in its way."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def _stop(number: int, frame: object) -> NoReturn:
    """The flow ends this: loads close their books."""
    del number, frame
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
