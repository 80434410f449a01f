"""Times the load itself: everything is imported before the clock starts. Not for whole processes.

Prints one JSON object: the seconds of `load_table`, and of each of its steps.

    PENSTOCK_DSN=... python -P bench/itself.py FILE TABLE
"""

from __future__ import annotations

import json
import os
import sys
import time

# The first load would import these by itself.
import polars as pl
import psycopg
import sqlalchemy

from penstock.loading.load import load_table
from penstock.model.options import LoadMode


class Steps:
    """The seconds of each named step; told of each as it begins."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._name = "connect"
        self._since = time.perf_counter()

    def begins(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[self._name] = self.seconds.get(self._name, 0.0) + now - self._since
        self._name, self._since = name, now


def main() -> int:
    file, table = sys.argv[1:]
    versions = {
        "polars": pl.__version__,
        "psycopg": psycopg.__version__,
        "sqlalchemy": sqlalchemy.__version__,
    }
    began = time.perf_counter()
    steps = Steps()
    load_table(
        os.environ["PENSTOCK_DSN"],
        file,
        table,
        mode=LoadMode.TRUNCATE,
        on_step=steps.begins,
    )
    steps.begins("")
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "steps": steps.seconds, "versions": versions}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
