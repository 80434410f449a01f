"""Loads in processes of their own, told to die at a step or not. Run by the fault tests.

No production code knows of it: it observes the load's steps as anyone may (`on_step`).
It reads orders, one a line, and carries each out in a child: what is imported is imported once. No
thread has been started when it divides. An order is a JSON object with `url`, `options` and what to
do: a `folder` (a star), `replay` (a table), `unit` (source, table and options of each load), or
`source` and `table`; and, to die, `die_at` (the number of the step, from 0) and `marker` (a file
that proves that it came so far). It answers with the exit code and, of a child that lives, the
steps it saw and its error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock import load_star, load_table, replay_rejects, unit


def carry_out(order: dict[str, Any], on_step: Callable[[str], None] | None = None) -> None:
    """What the order says, in this process."""
    options = order.get("options", {}) | ({} if on_step is None else {"on_step": on_step})
    url = order["url"]
    if "folder" in order:
        load_star(url, order["folder"], **options)
    elif "replay" in order:
        replay_rejects(url, table=order["replay"], **options)
    elif "unit" in order:
        with unit(url, **options) as loads:
            for source, table, own in order["unit"]:
                loads.load(source, table, **own)
    else:
        load_table(url, order["source"], order["table"], **options)


def dying(order: dict[str, Any]) -> list[str]:
    """Carry it out, unless it is to die; gives the steps."""
    steps: list[str] = []

    def on_step(name: str) -> None:
        if order.get("die_at") == len(steps):
            Path(order["marker"]).write_text(name, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)
        steps.append(name)

    carry_out(order, on_step)
    return steps


def main() -> None:
    """A child for each order; answers with how it ended and which steps it saw."""
    for line in sys.stdin:
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            said: dict[str, Any] = {"error": ""}
            try:
                said["steps"] = dying(json.loads(line))
            except BaseException:  # noqa: BLE001  told to the test, which fails
                said["error"] = traceback.format_exc()
            os.write(write, json.dumps(said).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as answer:
            told = answer.read()
        _, status = os.waitpid(child, 0)
        ended = {"returncode": os.waitstatus_to_exitcode(status), **json.loads(told or b"{}")}
        sys.stdout.write(json.dumps(ended) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
