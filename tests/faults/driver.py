"""One load in a process of its own, which may be told to die at a step. Run by the fault tests.

No production code knows of it: it observes the load's steps as anyone may (`on_step`).
Arguments: one JSON object with `url`, `folder` or `source` and `table`, `options`, and, to die,
`die_at` (the number of the step, from 0) and `marker` (a file that proves that it came so far).
Prints the steps it saw, one JSON array, when it lives.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from penstock import load_star, load_table


def main() -> None:
    order: dict[str, Any] = json.loads(sys.argv[1])
    steps: list[str] = []

    def on_step(name: str) -> None:
        if order.get("die_at") == len(steps):
            Path(order["marker"]).write_text(name, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)
        steps.append(name)

    options = order.get("options", {})
    if "folder" in order:
        load_star(order["url"], order["folder"], on_step=on_step, **options)
    else:
        load_table(order["url"], order["source"], order["table"], on_step=on_step, **options)
    sys.stdout.write(json.dumps(steps))


if __name__ == "__main__":
    main()
