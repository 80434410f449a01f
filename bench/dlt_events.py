"""dlt: events of an NDJSON file, merged by their id.

PENSTOCK_DSN=... python -P bench/dlt_events.py FILE
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Not among the dependencies of development: `make bench` installs them.
import dlt  # type: ignore[import-not-found,import-untyped,unused-ignore]


def events(path: Path) -> Iterator[list[Any]]:
    with path.open(encoding="utf-8") as file:
        while lines := file.readlines(8 << 20):
            yield [json.loads(line) for line in lines]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "bench_events",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(os.environ["PENSTOCK_DSN"]),
            dataset_name="dlt_sales",
        )
        pipeline.run(
            dlt.resource(events(Path(sys.argv[1])), name="events", primary_key="id"),
            write_disposition="merge",
        ).raise_on_failed_jobs()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
