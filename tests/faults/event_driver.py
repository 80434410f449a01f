"""Workers in processes of their own, told to die or to pause at a point. Run by the fault tests.

No production code knows of it: what a worker calls is wrapped here. It reads orders, one a line,
and carries each out in a child, as `driver` does. An order is a JSON object with `url`, and, for a
fault, `at` (the number of the point, from 0), `signal` and `marker` (a file that proves that it
came so far). It answers with the exit code and the points that were met; of a child that is paused,
with its pid at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from penstock.events import processing, queue
from penstock.events.pipeline import Pipeline
from penstock.events.worker import Worker

NAME = "the driver's"


def row_of(one: dict[str, Any]) -> dict[str, Any]:
    """The transform."""
    return {"event_id": one["id"], "kind": one["kind"], "occurred_at": one["at"], "qty": one["qty"]}


PIPELINE = Pipeline(
    name="shop", target="events", key="event_id", time="occurred_at", transform=row_of
)


def watched(point: Callable[[str], None], put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Tell of each point that a worker comes to; `put` sets what is wrapped in its module."""

    def after(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*words: Any, **more: Any) -> Any:
            found = call(*words, **more)
            point(name)
            return found

        return called

    work: Any = processing  # what it imports is none of its own
    real = work.options_from
    put(queue, "claim", after("claimed", queue.claim))
    put(queue, "read", after("read", queue.read))
    put(work, "transformed", after("transformed", work.transformed))
    put(queue, "finish", after("acknowledged", queue.finish))
    put(work, "run_load", after("committed", work.run_load))

    def observed(**words: Any) -> Any:
        return replace(real(**words), on_step=lambda step: point(f"load: {step}"))

    put(work, "options_from", observed)


def carry_out(order: dict[str, Any]) -> list[str]:
    """A worker, until nothing waits; gives the points."""
    points: list[str] = []

    def point(name: str) -> None:
        if order.get("at") == len(points):
            points.append(name)
            Path(order["marker"]).write_text(name, encoding="utf-8")
            os.kill(os.getpid(), order["signal"])
        else:
            points.append(name)

    queue.LEASE = 1.0  # a test need not wait long until it is over
    watched(point)
    worked = Worker(PIPELINE, order["url"], name=NAME).run(once=True)
    return [*points, *(f"trouble: {said}" for said in worked.troubles)]


def main() -> None:
    """A child for each order."""
    for line in sys.stdin:
        order = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            said: dict[str, Any] = {"error": ""}
            try:
                said["points"] = carry_out(order)
            except BaseException:  # noqa: BLE001  told to the test, which fails
                said["error"] = traceback.format_exc()
            os.write(write, json.dumps(said).encode())
            os._exit(0)
        os.close(write)
        if order.get("signal") == signal.SIGSTOP:
            _answer({"pid": child})
        with os.fdopen(read, "rb") as answer:
            told = answer.read()
        _, status = os.waitpid(child, 0)
        _answer({"returncode": os.waitstatus_to_exitcode(status), **json.loads(told or b"{}")})


def _answer(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
