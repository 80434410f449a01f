"""An hour of GitHub by file and by webhook into one table, by the commands, twice each.

The counts are those of EXPECTED.md beside the data.
"""

from __future__ import annotations

import gzip
import http.client
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.test_real_events import DATA, HOUR, TYPES
from tests.fixtures.postgres import Database
from tests.fixtures.webhooks import PARTNER, signed
from tests.integration.cli.program import command, environment, penstock

pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not on this machine"),
    pytest.mark.slow,
]
_CONNECTIONS = 8
CONFIG = """
env = {
    "project": "github",
    "github": {"secret": "env:PARTNER_SECRET"},
    "dev": {"warehouse": {"kind": "postgres", "url": "env:PENSTOCK_DSN"}},
}
"""
PIPELINE = """
from penstock import FileSource, Pipeline, WebhookSource


def row(event):
    return {"event_id": event["id"], "type": event["type"], "occurred_at": event["created_at"]}


github = Pipeline(
    name="github",
    target="events",
    key="event_id",
    time="occurred_at",
    transform=row,
    sources=[
        FileSource(files="in/*"),
        WebhookSource(name="hook", secret="github.secret"),
    ],
)
"""
TABLE = """
create table events (
    event_id text not null, type text not null, occurred_at timestamptz not null,
    primary key (event_id, occurred_at)) partition by range (occurred_at);
create table events_2015 partition of events for values from ('2015-01-01') to ('2016-01-01');
"""


@contextmanager
def serving(project: Path, variables: dict[str, str]) -> Iterator[int]:
    """`penstock serve`; gives its port, and stops it as a service manager does."""
    running = subprocess.Popen(
        command("serve", "--port", "0"),
        cwd=project,
        env=environment(**variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    line = next(line for line in running.stderr if "/in/hook" in line)
    try:
        yield int(line.rpartition("/in/")[0].rpartition(":")[2])
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
    assert running.returncode == 0


def post(port: int, events: Sequence[bytes]) -> Counter[int]:
    """Each in a signed request, over a few connections that are kept; gives the answers."""

    def some(first: int) -> Counter[int]:
        answered = Counter[int]()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in range(first, len(events), _CONNECTIONS):
            body = events[number]
            connection.request("POST", "/in/hook", body, signed(body, f"msg_{number}"))
            answer = connection.getresponse()
            answer.read()
            answered[answer.status] += 1
        connection.close()
        return answered

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return sum(pool.map(some, range(_CONNECTIONS)), Counter[int]())


def test_an_hour_of_github_by_file_and_by_webhook_twice_each(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "github.py").write_text(PIPELINE)
    with database.connect() as connection:
        connection.execute(TABLE)
    variables = {"PENSTOCK_DSN": database.url, "PARTNER_SECRET": PARTNER.reveal()}
    content = HOUR.read_bytes()
    events = gzip.decompress(content).splitlines()
    # The second file is another content, with the same events.
    files = {"a.ndjson.gz": content, "b.ndjson.gz": content + gzip.compress(b"\n")}
    (tmp_path / "in").mkdir()
    with serving(tmp_path, variables) as port:
        for name, held in files.items():
            path = tmp_path / "in" / name
            path.write_bytes(held)
            os.utime(path, (1, 1))
            assert penstock(tmp_path, "ingest", "github", **variables).returncode == 0
            assert post(port, events) == {200: len(events)}
            done = penstock(tmp_path, "work", "github", "--processes", "2", "--once", **variables)
            assert done.returncode == 0, done.stderr
            with database.connect() as connection:
                found = connection.execute("select type, count(*) from events group by 1")
                assert dict(found.fetchall()) == TYPES
    with database.connect() as connection:
        books = connection.execute(
            "select source, received, repeated, waiting, loaded, dropped, failed, dead"
            " from penstock.event_balance order by source"
        ).fetchall()
        staged = connection.execute("select raw from penstock.events").fetchall()
    assert books == [
        ("files", 2 * 8273, 8273, 0, 8273, 0, 0, 0),
        ("hook", 2 * 8273, 8273, 0, 8273, 0, 0, 0),
    ]
    assert Counter(bytes(raw) for (raw,) in staged) == Counter(2 * events)
