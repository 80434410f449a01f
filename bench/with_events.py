"""Two workers, while the file is taken in: until every event is worked on.

python -P bench/with_events.py FOLDER PIPELINE ingest|replay|work
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from penstock.events.project import open_project, ready
from penstock.events.queue import waiting
from penstock.postgres.connection import connect

_PENSTOCK = str(Path(sys.executable).with_name("penstock"))


def main() -> int:
    folder, pipeline, what = sys.argv[1:]
    with open_project(Path(folder), None) as opened:
        dsn = opened.dsn(opened.pipeline(pipeline))
    ready(dsn)
    work = subprocess.Popen([_PENSTOCK, "work", pipeline, "--processes", "2"], cwd=folder)
    try:
        if what != "work":
            subprocess.run([_PENSTOCK, what, pipeline], cwd=folder, check=True)
        with connect(dsn) as connection:
            while waiting(connection, pipeline)[0]:
                time.sleep(0.02)
    finally:
        work.terminate()
        work.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
