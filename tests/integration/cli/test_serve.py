"""`penstock serve` receives what the project declares, says where, and ends as told."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.flows import until
from tests.fixtures.postgres import Database
from tests.fixtures.webhooks import GITHUB_SECRET, PARTNER, github_signed, signed
from tests.integration.cli.program import command, environment, penstock

PIPELINE = """
from datetime import timedelta

from penstock.events.pipeline import Pipeline
from penstock.events.sources import WebhookSource
from penstock.events.webhooks.schemes import Scheme

events = Pipeline(
    name="shop_events",
    target="events",
    key="event_id",
    transform=lambda event: event,
    sources=[
        WebhookSource(name="partner", secret="partner.secret"),
        WebhookSource(name="code", scheme="github", secret="code.secret", max_bytes=1000),
        WebhookSource(
            name="own", scheme=Scheme(signature="x-sig", id="x-id"), secret="code.secret",
            tolerance=timedelta(seconds=30), rate=0.001, burst=1,
        ),
    ],
)
"""
BODY = b'{"id": "e-1"}'


@pytest.fixture
def folder(ledger_database: Database, tmp_path: Path) -> Path:
    """A project with three webhooks; the secret of `partner` is being rotated."""
    env: dict[str, Any] = {
        "project": "shop",
        "partner": {"secret": ["env:OLD", "env:NEW"]},
        "code": {"secret": GITHUB_SECRET},
        "dev": {"warehouse": {"kind": "postgres", "url": ledger_database.url}},
    }
    (tmp_path / "config.py").write_text(f"env = {env!r}\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "events.py").write_text(PIPELINE)
    (tmp_path / ".env").write_text(f"OLD=whsec_b2xkIHNlY3JldA==\nNEW={PARTNER.reveal()}\n")
    return tmp_path


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The command, and its port; ended if the test has not done so."""
    running = subprocess.Popen(
        command("serve", "--port", "0", *words),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        said = [running.stderr.readline() for _ in range(4)]
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/in/partner\n", said[1])
        assert found, said
        assert said[0] == "shop, dev\n"
        assert [one.rpartition("/")[2] for one in said[1:]] == ["partner\n", "code\n", "own\n"]
        yield running, int(found[1])
    finally:
        running.kill()
        running.communicate()


def post(port: int, path: str, headers: dict[str, str], body: bytes = BODY) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body=body, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_receives_until_it_is_stopped(
    folder: Path, ledger_database: Database, stop: signal.Signals
) -> None:
    with serving(folder, "--json") as (running, port):
        assert post(port, "/in/partner", signed(BODY, "msg_1")) == 200
        assert post(port, "/in/partner", signed(BODY, "msg_1")) == 200
        old = signed(BODY, "msg_2", key=b"old secret")
        assert post(port, "/in/partner", old) == 200
        assert post(port, "/in/code", github_signed(BODY, "d-1")) == 200
        long = b"x" * 1001
        assert post(port, "/in/code", github_signed(long, "d-2"), long) == 413
        own = github_signed(BODY, "")["x-hub-signature-256"].removeprefix("sha256=")
        assert post(port, "/in/own", {"x-sig": own, "x-id": "o-1"}) == 200
        assert post(port, "/in/own", {"x-sig": own, "x-id": "o-2"}) == 429
        assert post(port, "/in/own", {}) == 401
        os.kill(running.pid, stop)
        out, error = running.communicate(timeout=30)
    assert running.returncode == 0, error
    slowed, ended = error.splitlines()
    assert slowed.endswith("own sends more than 0.001 requests a second: it is slowed.")
    assert ended == "Stopped: 4 received, 1 repeated, 1 x 401, 1 x 413, 1 x 429."
    told = {"received": 4, "repeated": 1, "refused": {"401": 1, "413": 1, "429": 1}}
    assert json.loads(out) == told
    with ledger_database.connect() as connection:
        found = connection.execute(
            "select s.pipeline, s.source, i.delivery_id from penstock.event_ids i "
            "join penstock.sources s using (source_id) order by 2, 3"
        ).fetchall()
    assert found == [
        ("shop_events", "code", "d-1"),
        ("shop_events", "own", "o-1"),
        ("shop_events", "partner", "msg_1"),
        ("shop_events", "partner", "msg_2"),
    ]


def test_told_twice_it_ends_at_once_and_what_was_begun_is_not_accepted(
    folder: Path, ledger_database: Database
) -> None:
    answers: list[int | None] = []

    def send(port: int) -> None:
        try:
            answers.append(post(port, "/in/partner", signed(BODY, "msg_1")))
        except (OSError, http.client.HTTPException):
            answers.append(None)

    waiting = (
        "select 1 from pg_locks l join pg_database d on d.oid = l.database "
        "where d.datname = current_database() and not granted"
    )
    with (
        serving(folder) as (running, port),
        ledger_database.connect() as holding,
        ledger_database.connect() as looking,
    ):
        holding.execute("begin")
        holding.execute("lock table penstock.event_ids in access exclusive mode")
        sender = threading.Thread(target=send, args=(port,))
        sender.start()
        until(lambda: looking.execute(waiting).fetchone(), "it writes")
        os.kill(running.pid, signal.SIGTERM)
        until(lambda: refused(port), "it has understood")
        os.kill(running.pid, signal.SIGTERM)
        _, error = running.communicate(timeout=5)
        sender.join(30)
        holding.execute("rollback")
    assert running.returncode == 0
    assert error == "Stopped: 0 received, 0 repeated.\n"
    assert answers in ([None], [500])


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def test_a_port_that_is_taken_is_said(folder: Path) -> None:
    with serving(folder) as (_, port):
        done = penstock(folder, "serve", "--port", str(port))
    assert done.returncode == 1
    assert f"Could not listen on 127.0.0.1:{port}: Address already in use." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_does_not_answer_is_said(folder: Path) -> None:
    config = folder / "config.py"
    text = re.sub(r"postgresql://[^']+", "postgresql://me@127.0.0.1:1/shop", config.read_text())
    config.write_text(text)
    done = penstock(folder, "serve", "--port", "0")
    assert done.returncode == 75, done.stderr
    assert "Could not connect" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('secret="partner.secret"', 'secret="partner.key"', 'env has no secret "partner.key"'),
        ('secret="partner.secret"', 'secret="project"', 'env has no secret "project"'),
        ('name="partner"', 'name="a/b"', "webhook a/b: name: letters"),
        ('scheme="github"', 'scheme="gitlab"', "scheme: one of standard, github, stripe, or"),
        ("max_bytes=1000", "max_bytes=1 << 30", "max_bytes: 1 to 16,777,216"),
        ("seconds=30", "days=2", "tolerance: more than nothing, and up to a day"),
        ("rate=0.001", "rate=0", "rate: more than 0 requests a second"),
        ("rate=0.001, ", "", "burst: at least 1 request, and only with rate"),
        ("burst=1", "burst=0", "burst: at least 1 request"),
        ('secret="code.secret", max', 'scheme_="", max', "unexpected keyword"),
        ("WebhookSource(name=", "print(dict(name=", "SyntaxError"),
    ],
)
def test_what_is_declared_wrongly_is_said(folder: Path, old: str, new: str, said: str) -> None:
    path = folder / "pipelines" / "events.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    done = penstock(folder, "serve", "--port", "0")
    assert done.returncode == 2
    assert said in done.stderr
    assert "canary" not in done.stderr


@pytest.mark.parametrize(
    ("value", "said"), [("", "Secret 2 of the webhook is empty"), ("whsec_!", "is not base64")]
)
def test_a_secret_that_proves_nothing_is_refused_at_the_start(
    folder: Path, value: str, said: str
) -> None:
    (folder / ".env").write_text(f"OLD=whsec_b2xkIHNlY3JldA==\nNEW={value}\n")
    done = penstock(folder, "serve", "--port", "0")
    assert done.returncode == 2
    assert said in done.stderr


def test_a_project_without_webhooks_is_told_how_to_declare_one(folder: Path) -> None:
    (folder / "pipelines" / "events.py").write_text("")
    done = penstock(folder, "serve", "--port", "0")
    assert done.returncode == 2
    assert "sources=[WebhookSource(" in done.stderr
