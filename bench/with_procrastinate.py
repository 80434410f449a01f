"""procrastinate: no-op jobs, 20 at once in one worker, done ones deleted; says its own seconds.

PENSTOCK_DSN=... python -P bench/with_procrastinate.py JOBS
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

# Not among the dependencies of development: `make bench` installs it.
import procrastinate  # type: ignore[import-not-found,unused-ignore]

_CONCURRENT = 20


async def main() -> int:
    jobs = int(sys.argv[1])
    connector = procrastinate.PsycopgConnector(conninfo=os.environ["PENSTOCK_DSN"])
    app = procrastinate.App(connector=connector)

    @app.task(name="nothing")  # type: ignore[untyped-decorator,unused-ignore]
    async def nothing(number: int) -> None:
        del number

    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        for begin in range(0, jobs, 1000):
            many: Any = [{"number": begin + one} for one in range(min(1000, jobs - begin))]
            await nothing.batch_defer_async(*many)
        began = time.perf_counter()
        await app.run_worker_async(
            wait=False, concurrency=_CONCURRENT, delete_jobs="always", install_signal_handlers=False
        )
        seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "steps": {}}))
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
