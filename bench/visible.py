"""How long an event takes from its acceptance until it is seen in the target; says the 99th of 100.

Two processes, `penstock serve` and `penstock work`; the target is looked at every 20 ms.

    PENSTOCK_DSN=... python -P bench/visible.py FOLDER EVENTS RATE
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.hooks_load import answers, post, requests

_LOOK = 0.02
#: Events before those that are measured.
_WARM = 50
_PENSTOCK = str(Path(sys.executable).with_name("penstock"))


def watch(seen: dict[str, float], every: int, over: threading.Event) -> None:
    """When each event was in the target first."""
    with psycopg.connect(os.environ["PENSTOCK_DSN"], autocommit=True) as connection:
        while len(seen) < every and not over.is_set():
            found = connection.execute("select event_id from shop_events").fetchall()
            now = time.perf_counter()
            for (name,) in found:
                seen.setdefault(name, now)
            time.sleep(_LOOK)


def main() -> int:
    folder, count, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve = [_PENSTOCK, "serve", "--port", str(port)]
    servers = [
        subprocess.Popen(one, cwd=folder, stderr=subprocess.DEVNULL)
        for one in (serve, [_PENSTOCK, "work", "hooks"])
    ]
    seen: dict[str, float] = {}
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(seen, count + _WARM, over))
    try:
        answers(port)
        watcher.start()
        until = time.monotonic() + 30
        asyncio.run(post(port, requests(_WARM, port), 5, 0))
        while len(seen) < _WARM and time.monotonic() < until:  # both are at work
            time.sleep(_LOOK)
        every = requests(count, port)
        accepted: dict[str, float] = {}
        asyncio.run(post(port, every, 32, rate, accepted))
        watcher.join(30)
    finally:
        over.set()
        for one in servers:
            one.terminate()
        for one in servers:
            one.wait()
    late = sorted(seen[name] - moment for name, moment in accepted.items())
    print(json.dumps({"seconds": late[int(len(late) * 0.99)], "steps": {}}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
