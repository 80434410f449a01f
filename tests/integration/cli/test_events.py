"""`penstock work`, `events` and `replay` as processes, in a project with one pipeline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.flows import until
from tests.fixtures.postgres import Database
from tests.integration.cli.program import penstock

TABLE = "create table events (event_id text primary key, kind text not null, qty int)"
PIPELINES = """
from penstock import FileSource, Pipeline


def row_of(event):
    if event["kind"] == "odd":
        raise ValueError("no such kind")
    return {"event_id": event["id"], "kind": event["kind"], "qty": event.get("qty")}


shop = Pipeline(
    name="shop", target="events", key="event_id", transform=row_of,
    sources=[FileSource(files="in/*.ndjson")],
)
"""
EVENTS = [
    {"id": "a", "kind": "view", "qty": 1},
    {"id": "b", "kind": "odd"},
    {"id": "c", "kind": "view", "qty": "many"},
]


@pytest.fixture
def project(ledger_database: Database, tmp_path: Path) -> Path:
    """With a file of three events that was taken in."""
    with ledger_database.connect() as connection:
        connection.execute(TABLE.encode())
    env: dict[str, Any] = {"dev": {"warehouse": {"kind": "postgres", "url": ledger_database.url}}}
    (tmp_path / "config.py").write_text(f"env = {env!r}\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/shop.py").write_text(PIPELINES)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.ndjson").write_text("".join(f"{json.dumps(one)}\n" for one in EVENTS))
    os.utime(tmp_path / "in/a.ndjson", (1, 1))
    done = penstock(tmp_path, "ingest", "shop")
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_a_role_without_a_workers_rights_is_told_so_at_once(
    project: Path, ledger_database: Database
) -> None:
    owner, receiver = ledger_database.role("owner"), ledger_database.role("receiver")
    rights = ("--owner", owner.name, "--ingest", receiver.name)
    given = penstock(project, "roles", *rights, "--dsn", ledger_database.url)
    assert given.returncode == 0, given.stderr
    env: dict[str, Any] = {"kind": "postgres", "url": receiver.url}
    (project / "config.py").write_text(f"env = {{'dev': {{'warehouse': {env!r}}}}}\n")
    done = penstock(project, "work", "shop")
    assert done.returncode == 1, done.stderr
    assert "Error: Could not work: permission denied for table" in done.stderr
    assert "penstock roles --worker ROLE" in done.stderr
    assert "Traceback" not in done.stderr


def test_events_are_worked_on_told_and_worked_on_again(
    project: Path, ledger_database: Database
) -> None:
    url = ledger_database.url
    done = penstock(project, "work", "shop", "--once", "--json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert (told["events"], told["loaded"], told["failed"], told["restarts"]) == (3, 1, 2, 0)
    assert "3 events, 1 row written, 2 failed" in done.stderr

    listed = penstock(project, "events", "list", "--dsn", url)
    assert listed.returncode == 0, listed.stderr
    assert listed.stderr.splitlines()[1:3] == [
        "source      received  repeated  waiting  loaded  dropped  failed  dead",
        "shop/files         3         0        0       1        0       2     0",
    ]
    assert "shop/files: 1 event failed (22P02)\n  qty: many is not an integer" in listed.stderr
    assert "ValueError: no such kind (shop.py, line 7)" in listed.stderr

    every = json.loads(penstock(project, "events", "list", "--all", "--json", "--dsn", url).stdout)
    assert {(one["pos"], one["code"]) for one in every["events"]} == {
        (1, "transform"),
        (2, "22P02"),
    }

    shown = penstock(project, "events", "show", "c", "--json", "--dsn", url)
    (one,) = json.loads(shown.stdout)["events"]
    assert json.loads(one["raw"]) == EVENTS[2]
    assert one["status"] == "failed"

    (project / "pipelines/shop.py").write_text(PIPELINES.replace('== "odd"', '== "none"'))
    again = penstock(project, "events", "requeue", "--code", "transform", "--json", "--dsn", url)
    counts = json.loads(again.stdout)
    assert (counts["chosen"], counts["requeued"]) == (1, 1)
    assert penstock(project, "work", "shop", "--once").returncode == 0
    gone = penstock(project, "events", "discard", "1/2", "--note", "a test", "--dsn", url)
    assert gone.returncode == 0, gone.stderr
    left = penstock(project, "events", "list", "--json", "--dsn", url)
    assert json.loads(left.stdout)["reasons"] == []
    with ledger_database.connect() as connection:
        rows = connection.execute("select event_id, kind, qty from events order by 1").fetchall()
    assert rows == [("a", "view", 1), ("b", "odd", None)]


def test_a_replay_is_shown_before_it_is_done(project: Path, ledger_database: Database) -> None:
    penstock(project, "work", "shop", "--once")
    changed = PIPELINES.replace('event.get("qty")', 'event.get("qty") and 7')
    (project / "pipelines/shop.py").write_text(changed)
    would = penstock(project, "replay", "shop", "--dry-run", "--json")
    assert would.returncode == 3, would.stderr
    told = json.loads(would.stdout)
    assert (told["added"], told["changed"], told["unchanged"], told["failed"]) == (1, 1, 0, 1)
    assert "~ event_id a: qty: 1 -> 7" in would.stderr
    done = penstock(project, "replay", "shop")
    assert done.returncode == 0, done.stderr
    assert "1 batch waits for workers" in done.stderr
    penstock(project, "work", "shop", "--once")
    with ledger_database.connect() as connection:
        rows = connection.execute("select event_id, qty from events order by 1").fetchall()
    assert rows == [("a", 7), ("c", 7)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("work", "shopp"), "There is no pipeline shopp. Did you mean shop?"),
        (("replay", "shop", "--source", "file"), "shop has no source file. Did you mean files?"),
        (("replay", "shop", "--since", "yesterday"), '"yesterday" is no time'),
        (("events", "show", "nobody"), 'No event is called "nobody"'),
        (("events", "requeue"), "Which events?"),
    ],
)
def test_what_cannot_be_meant_is_told(
    project: Path, ledger_database: Database, words: tuple[str, ...], said: str
) -> None:
    more = ("--dsn", ledger_database.url) if words[0] == "events" else ()
    done = penstock(project, *words, *more)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_workers_go_on_until_they_are_told_to_stop(
    project: Path, ledger_database: Database
) -> None:
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("penstock")), "work", "shop", "--processes", "2"],
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with ledger_database.connect() as connection:
            left = "select count(*) from penstock.batches where status <> 'succeeded'"
            until(lambda: connection.execute(left).fetchone() == (0,), "the events are worked on")
            (project / "in/b.ndjson").write_text('{"id": "d", "kind": "view"}\n')
            os.utime(project / "in/b.ndjson", (1, 1))
            assert penstock(project, "ingest", "shop").returncode == 0
            there = "select count(*) from events"
            until(lambda: connection.execute(there).fetchone() == (2,), "the new one is loaded")
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 3  # two of the events have failed
    assert "4 events, 2 rows written, 2 failed" in said
    assert "Traceback" not in said


def test_several_pipelines_are_worked_on_by_one_process(
    project: Path, ledger_database: Database
) -> None:
    second = PIPELINES.replace("shop = ", "more = ").replace('name="shop"', 'name="more"')
    (project / "pipelines/more.py").write_text(second.replace("in/", "in2/"))
    (project / "in2").mkdir()
    (project / "in2/a.ndjson").write_text('{"id": "z", "kind": "view"}\n')
    os.utime(project / "in2/a.ndjson", (1, 1))
    assert penstock(project, "ingest", "more").returncode == 0
    done = penstock(project, "work", "--all", "--once", "--json")
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert told["pipelines"] == ["more", "shop"]
    assert (told["events"], told["loaded"], told["failed"]) == (4, 2, 2)
    for words in ([], ["shop", "--all"]):
        done = penstock(project, "work", *words)
        assert done.returncode == 2
        assert "Which pipelines? Name them, or say --all." in done.stderr


def test_with_an_environment_events_are_looked_up_where_it_works(
    project: Path, database: Database
) -> None:
    """PENSTOCK_DSN names another database than that of the project's environment."""
    elsewhere = {"PENSTOCK_DSN": database.url}
    done = penstock(project, "events", "list", "-e", "dev", "--json", **elsewhere)
    assert done.returncode == 0, done.stderr
    assert "(from -e dev)" in done.stderr
    assert [one["received"] for one in json.loads(done.stdout)["sources"]] == [3]
    other = penstock(project, "events", "list", "tills", "-e", "dev", **elsewhere)
    assert "No event was received for tills yet; for shop some were." in other.stderr
    nowhere = penstock(project, "events", "list", **elsewhere)
    assert nowhere.returncode == 1, "that one has no ledger"
