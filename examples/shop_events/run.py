"""The whole example, from the events' senders to the balance: python run.py.

Not for: projects of your own, where others run the servers, and a service manager the workers.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psycopg
from api import Api
from generate import generate
from moto.server import ThreadedMotoServer
from partner import SECRET, post_all

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import projects  # noqa: E402  beside the examples

SHARE = HERE / "share"
#: Seconds; what a killed worker had claimed is free when its lease is over.
_PATIENCE = 90.0
#: How often the intake is started again because the API did something wrong.
_TRIES = 10
_WAITING = "select coalesce(sum(waiting), 0) from penstock.event_balance"
_TYPES = """
select type, count(*), count(distinct user_id), sum(quantity * price)
from events group by type order by type
"""
_FUNNEL = """
select funnel, count(*), count(distinct user_id), count(*) filter (where returning_user),
    count(*) filter (where first_purchase)
from user_sessions group by funnel
order by array_position(array['visit', 'product', 'cart', 'purchase'], funnel)
"""


class Drops:
    """An S3 server in this process, with the bucket `drops`, until `close`.

    Attributes:
        variables: Where it is, for the settings.
    """

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self._url = f"http://{host}:{port}"
        self.variables = {"S3_URL": self._url}
        self._put("drops", None)

    def drop(self, path: Path) -> None:
        """Put a file into the bucket."""
        self._put(f"drops/events/{path.name}", path.read_bytes())

    def close(self) -> None:
        """Listen no more."""
        self._server.stop()

    def _put(self, name: str, content: bytes | None) -> None:
        kind = {"Content-Type": "application/octet-stream"}
        with urlopen(Request(f"{self._url}/{name}", content, kind, method="PUT")):  # noqa: S310
            pass


class Running:
    """A penstock command that runs beside this one, until `stop`.

    Args:
        words: Of the command.
        variables: For the settings.
    """

    def __init__(self, words: Sequence[str], variables: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "tied.py"), str(os.getpid()), *words],
            cwd=HERE,
            env={**os.environ, **variables},
            stderr=subprocess.PIPE,
            text=True,
        )

    def line_with(self, text: str) -> str:
        """The first line it says that has this text."""
        assert self._process.stderr is not None  # noqa: S101  it is a pipe
        for line in self._process.stderr:
            if text in line:
                return line.strip()
        raise SystemExit(f"{text} was not said")

    def stop(self) -> str:
        """Let it finish what it has begun; gives its last line."""
        self._process.send_signal(signal.SIGTERM)
        _, said = self._process.communicate(timeout=_PATIENCE)
        return said.strip().splitlines()[-1]


def run() -> None:
    """Everything in turn."""
    url = projects.database(HERE, HERE / "sql" / "create_tables.sql")
    generate(SHARE)
    api, drops = Api(_events(SHARE / "api.ndjson")), Drops()
    variables = {**api.variables, **drops.variables, "PARTNER_SECRET": SECRET}
    workers = Running(("work", "shop_events", "--processes", "2"), variables)
    receiver = Running(("serve", "--port", "0"), variables)
    try:
        with ThreadPoolExecutor(1) as pool:
            address = receiver.line_with("/in/partner")
            answered = pool.submit(post_all, address, _lines(SHARE / "partner.ndjson"))
            first, *later = sorted((SHARE / "drops").iterdir())
            drops.drop(first)
            ingest(variables)
            for path in later:
                drops.drop(path)
            api.store_late()
            ingest(variables)
            answers = answered.result()
        wait(url)
    finally:
        receiver.stop()
        workers.stop()
        api.close()
        drops.close()
    projects.run(HERE, variables)
    show(url)
    said = ", ".join(f"{count} x {name}" for name, count in api.troubles.items())
    print(f"\nThe API: {said}")
    said = ", ".join(f"{count} x {status}" for status, count in sorted(answers.items()))
    print(f"The partner was answered {said}")


def ingest(variables: Mapping[str, str]) -> None:
    """Take what is new of the API and of the drops, again where the API did something wrong."""
    for _ in range(_TRIES):
        words = [sys.executable, "-m", "penstock", "ingest", "shop_events"]
        done = subprocess.run(
            words,
            cwd=HERE,
            env={**os.environ, **variables},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        print(done.stderr.partition("\n")[2], end="")
        if done.returncode == 0:
            return
        if done.returncode != 1:
            raise SystemExit(done.returncode)
    raise SystemExit("The API does not come to its senses.")


def wait(url: str) -> None:
    """Until the workers have seen every event."""
    end = time.monotonic() + _PATIENCE
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(_WAITING).fetchone() != (0,):
            if time.monotonic() > end:
                raise SystemExit("The workers do not come to an end.")
            time.sleep(0.05)


def show(url: str) -> None:
    """Print each source's balance, the events that failed, and what is in the table."""
    listed = subprocess.run(
        [sys.executable, "-m", "penstock", "events", "list", "--json"],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=True,
    )
    balances, _, _ = listed.stderr.partition("\n\n")
    print(f"\n{balances}\n")
    reasons = json.loads(listed.stdout)["reasons"]
    for one in sorted(reasons, key=lambda one: (one["source"], one["reason"])):
        print(f"{one['events']} {one['status']}, {one['source']}: {one['reason']} ({one['code']})")
    print(f"\n{'type':<14}{'events':>8}{'users':>8}{'amount':>12}")
    with psycopg.connect(url) as connection:
        for kind, events, users, amount in connection.execute(_TYPES):
            print(f"{kind:<14}{events:>8}{users:>8}{amount or '-':>12}")
        print(f"\n{'sessions to':<14}{'number':>8}{'users':>8}{'returning':>12}{'first buys':>12}")
        for funnel, *counts in connection.execute(_FUNNEL):
            number, users, returning, first = counts
            print(f"{funnel:<14}{number:>8}{users:>8}{returning:>12}{first:>12}")


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def _events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _lines(path)]


if __name__ == "__main__":
    run()
