"""One worker in a process of its own: `python -m penstock.events.child`. Run by `crew` alone.

The order is the first line of its standard input, names only: secrets are read here. What it did is
told line by line on standard output. Not for: people.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError
from penstock.events.project import open_project
from penstock.events.worker import Worked, Worker


def main() -> int:
    """Carry the order out; gives the exit code."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the parent
    line = sys.stdin.buffer.readline()
    if not line:
        return 1
    order: dict[str, Any] = json.loads(line)
    threading.Thread(target=_watch, daemon=True).start()
    try:
        opened = open_project(Path(order["folder"]), order["env"])
        pipeline = opened.pipeline(order["pipeline"])
        worker = Worker(
            pipeline,
            opened.dsn(pipeline),
            name=order["worker"],
            stop=stop,
            on_batch=_tell,
        )
        _tell(worker.run(once=order["once"]))
    except PenstockError as error:
        _say({"error": error.message, "exit_code": error.exit_code})
        return error.exit_code
    return 0


def _tell(worked: Worked) -> None:
    _say(asdict(worked))


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201  this is how it talks to its parent


def _watch() -> None:
    """End with the parent: nobody would notice what becomes of the worker."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
