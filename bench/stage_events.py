"""Stages events that no transform looks at, so many in each commit.

python -P bench/stage_events.py FOLDER PIPELINE FEW ALL
"""

from __future__ import annotations

import sys
from pathlib import Path

from penstock.events.project import open_project, ready
from penstock.events.staging import Delivery, provide_days, source_id, stage
from penstock.postgres.connection import connect


def main() -> int:
    folder, pipeline, few, every = sys.argv[1:]
    with open_project(Path(folder), None) as opened:
        dsn = opened.dsn(opened.pipeline(pipeline))
    ready(dsn)
    with connect(dsn) as connection:
        provide_days(connection)
        source = source_id(connection, pipeline, "noop")
        for begin in range(0, int(every), int(few)):
            made = [Delivery(str(begin + one), b'{"n": 1}') for one in range(int(few))]
            with connection.transaction():
                stage(connection, source, made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
