"""The receiver and a worker under a steady load: what memory they take, and whether it grows.

Each minute's requests are made anew, as their signatures hold for five. Writes `bench/steady.md`.
Not for: how quick they are (`run`).

    python -m bench.steady [MINUTES] [RATE]
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from bench.events import project
from bench.hooks_load import answers, post, requests
from bench.server import HERE, server

_PENSTOCK = str(Path(sys.executable).with_name("penstock"))
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Seconds between two looks at the processes' memory.
_LOOK = 5.0
_BALANCE = """
select received::int, (waiting + loaded + dropped + failed + dead)::int, waiting::int, balanced
from penstock.event_balance
"""


class Memory:
    """Resident memory of processes with their children, looked at until `stop`.

    Args:
        processes: By name.

    Attributes:
        seen: Bytes by name, in the order of the looks.
    """

    def __init__(self, processes: Mapping[str, int]) -> None:
        self.seen: dict[str, list[int]] = {name: [] for name in processes}
        self._processes = processes
        self._over = threading.Event()
        self._looker = threading.Thread(target=self._look, daemon=True)
        self._looker.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._looker.join()

    def _look(self) -> None:
        while not self._over.wait(_LOOK):
            for name, pid in self._processes.items():
                self.seen[name].append(max(map(_resident, [pid, *_children(pid)]), default=0))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except OSError:  # it has ended
        return 0


def _children(pid: int) -> list[int]:
    try:
        said = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(one) for one in said.split()]


def main() -> int:
    minutes, rate = (int(one) for one in (*sys.argv[1:], "30", "200")[:2])
    with server() as here:
        variables = here.environment(None)
        subprocess.run([_PENSTOCK, "migrate"], env=variables, cwd=here.folder, check=True)
        here.execute((HERE / "events.sql").read_bytes())
        folder = project(here.folder / "events", Path("nothing.ndjson"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        words = {"receiver": ("serve", "--port", str(port)), "worker": ("work", "hooks")}
        running = {
            name: subprocess.Popen(
                [_PENSTOCK, *one], cwd=folder, env=variables, stderr=subprocess.DEVNULL
            )
            for name, one in words.items()
        }
        try:
            answers(port)
            memory = Memory({name: one.pid for name, one in running.items()})
            late: list[float] = []
            for _ in range(minutes):
                late += asyncio.run(post(port, requests(60 * rate, port), 32, rate))
            with psycopg.connect(variables["PENSTOCK_DSN"], autocommit=True) as connection:
                balance = _settled(connection)
            memory.stop()
        finally:
            for one in running.values():
                one.terminate()
            for one in running.values():
                one.wait()
        version = here.said
    if balance[0] != len(late) or not balance[3]:
        raise SystemExit(f"{len(late)} were accepted, and the balance says {balance}")
    said = _page(minutes, rate, version, memory.seen, sorted(late))
    (HERE / "steady.md").write_text(said, encoding="utf-8")
    print(said)
    return 0


def _settled(connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
    """The balance, when nothing waits any more; at most 30 seconds later."""
    until = time.monotonic() + 30
    while True:
        row = connection.execute(_BALANCE).fetchone()
        if row is not None and (row[2] == 0 or time.monotonic() > until):
            return tuple(row)
        time.sleep(0.2)


def _page(
    minutes: int, rate: int, version: str, seen: Mapping[str, list[int]], late: list[float]
) -> str:
    """What was seen, as Markdown."""
    lines = [
        "# A steady load",
        "",
        f"Written by `python -m bench.steady`, {datetime.now(UTC):%Y-%m-%d}. {minutes} minutes of "
        f"{rate} signed bodies of 1 KB a second (`penstock serve`), worked on as they come by one "
        f"`penstock work`; PostgreSQL {version}. Memory is the resident one of the largest process "
        "of each, looked at every 5 seconds.",
        "",
        f"| process | first {minutes // 3 or 1} minutes, most | last, most | goal |",
        "|---|---|---|---|",
    ]
    for name, sizes in seen.items():
        third = max(1, len(sizes) // 3)
        first, last = (max(part) / 2**20 for part in (sizes[:third], sizes[-third:]))
        kept = "met" if last <= 300 else "**missed**"
        lines.append(f"| {name} | {first:.0f} MB | {last:.0f} MB | flat, <= 300 MB: {kept} |")
    lines += [
        "",
        f"{len(late):,} were accepted, all are in the balance; 99 of 100 were answered within "
        f"{late[int(len(late) * 0.99)] * 1000:.0f} ms.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
