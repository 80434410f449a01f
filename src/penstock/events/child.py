"""The workers of one process: `python -m penstock.events.child`. Run by `crew` alone.

The order is the first line of its standard input, names only: secrets are read here. What it did is
told line by line on standard output. Not for: people.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial, reduce
from pathlib import Path
from typing import Any

import psycopg

from penstock.errors import PenstockError
from penstock.events import queue
from penstock.events.project import open_project
from penstock.events.worker import Worker, added, in_turn
from penstock.postgres.connection import connect


def main() -> int:
    """Carry the order out; gives the exit code."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the parent
    line = sys.stdin.buffer.readline()
    if not line:
        return 1
    order: dict[str, Any] = json.loads(line)
    gone: list[Callable[[], None]] = []
    threading.Thread(target=_watch, args=(gone,), daemon=True).start()
    try:
        opened = open_project(Path(order["folder"]), order["env"])
        workers: list[Worker] = []
        for name in order["pipelines"]:
            pipeline = opened.pipeline(name)
            dsn = opened.dsn(pipeline)
            gone.append(partial(_let_go, dsn, pipeline.name, order["worker"]))
            worker = Worker(pipeline, dsn, name=order["worker"], stop=stop, key=opened.key)
            worker.on_batch = lambda _: _tell(workers)
            workers.append(worker)
        in_turn(workers, stop, once=order["once"])
        _tell(workers)
    except PenstockError as error:
        _say({"error": error.message, "exit_code": error.exit_code})
        return error.exit_code
    return 0


def _tell(workers: Sequence[Worker]) -> None:
    _say(asdict(reduce(added, (one.worked for one in workers))))


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201  this is how it talks to its parent


def _watch(gone: Sequence[Callable[[], None]]) -> None:
    """End with the parent: nobody would notice what becomes of the worker.

    Args:
        gone: What is done before, as soon as it is known how.
    """
    while os.read(sys.stdin.fileno(), 1):
        pass
    for one in gone:
        one()
    os._exit(1)


def _let_go(dsn: str, pipeline: str, worker: str) -> None:
    """What this worker had claimed is free at once: it ends now, and commits no more."""
    with suppress(PenstockError, psycopg.Error), connect(dsn) as connection:
        queue.let_go(connection, pipeline, worker)


if __name__ == "__main__":
    sys.exit(main())
