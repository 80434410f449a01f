"""`penstock archive` and what depends on it, as processes, in a project with a folder for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.postgres import Database
from tests.integration.cli.program import counted, penstock
from tests.integration.events.conftest import EVENTS

PIPELINES = """
from penstock.events.pipeline import Pipeline
from penstock.events.sources import FileSource

def row(event):
    return {"event_id": event["id"], "kind": event["kind"], "occurred_at": event["at"]}

shop = Pipeline(
    name="shop", target="events", key="event_id", time="occurred_at", transform=row,
    sources=[FileSource(files="in/*.ndjson")], archive="./kept", days=2,
)
bare = Pipeline(name="bare", target="events", key="event_id", transform=row)
"""
LINES = [
    {"id": f"e{number}", "kind": "view", "at": "2026-01-05T10:00:00Z", "user": {"id": number % 2}}
    for number in range(4)
]


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    """A project whose events were taken and worked on."""
    with database.connect() as connection:
        connection.execute(EVENTS)
    env = {"dev": {"warehouse": {"kind": "postgres", "url": database.url}}}
    (tmp_path / "config.py").write_text(f"env = {env!r}\n")
    for name in ("pipelines", "in"):
        (tmp_path / name).mkdir()
    (tmp_path / "pipelines/shop.py").write_text(PIPELINES)
    (tmp_path / "in/a.ndjson").write_text("\n".join(map(json.dumps, LINES)))
    assert penstock(tmp_path, "ingest", "shop").returncode == 0
    assert penstock(tmp_path, "work", "shop", "--once").returncode == 0
    return tmp_path


def test_the_archive_is_written_and_verified(project: Path) -> None:
    done = penstock(project, "archive", "write", "shop")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[1] == "0 events archived in 0 files; 4 in staging only"
    done = penstock(project, "archive", "write", "shop", "--now", "--json")
    assert json.loads(done.stdout) == {"pipeline": "shop", "files": 1, "events": 4, "waiting": 0}
    done = penstock(project, "archive", "verify", "shop", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "pipeline": "shop", "files": 1, "events": 4, "waiting": 0, "problems": [],
    }  # fmt: skip
    (file,) = (project / "kept").rglob("*.zst")
    file.unlink()
    done = penstock(project, "archive", "verify", "shop")
    assert done.returncode == 1
    assert f"{file.relative_to(project / 'kept')}: is missing" in done.stderr
    done = penstock(project, "archive", "write", "bare")
    assert done.returncode == 2
    assert "bare has no archive" in done.stderr


def test_old_days_are_purged_when_they_are_archived(project: Path, database: Database) -> None:
    with database.connect() as connection:
        connection.execute(
            "select penstock.restore_event_day((now() at time zone 'UTC')::date - 5);"
            "update penstock.chunks set received_at = received_at - interval '5 days';"
            "update penstock.batches set received_at = received_at - interval '5 days';"
            "update penstock.events set received_at = received_at - interval '5 days'"
        )
    done = penstock(project, "events", "purge")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[1] == "0 of 1 days dropped, with 0 events."
    assert "shop/files: 4 events are not archived (penstock archive write shop)" in done.stderr
    assert penstock(project, "archive", "write", "shop").returncode == 0
    done = penstock(project, "events", "purge", "--older-than", "5")
    assert "0 of 1 days dropped" in done.stderr
    done = penstock(project, "events", "purge", "--pipeline", "shop", "--json")
    assert done.returncode == 0, done.stderr
    (day,) = json.loads(done.stdout)["days"]
    assert (day["events"], day["dropped"], day["held"]) == (4, True, [])
    assert counted(database, "penstock.events") == 0
    assert penstock(project, "archive", "verify", "shop").returncode == 0

    done = penstock(project, "replay", "shop")
    assert "4 events are not in staging any more: --from archive brings them back" in done.stderr
    done = penstock(project, "replay", "shop", "--from", "archive", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "pipeline": "shop", "batches": 1, "restored": 4, "not_staged": 0,
    }  # fmt: skip
    assert "4 events came back from 1 file of the archive." in done.stderr
    assert counted(database, "penstock.events") == 4
    done = penstock(project, "work", "shop", "--once", "--json")
    worked = json.loads(done.stdout)
    assert (worked["events"], worked["loaded"], worked["failed"]) == (4, 0, 0)
    for words in (("--from", "tape"), ("--from", "archive", "--dry-run")):
        assert penstock(project, "replay", "shop", *words).returncode == 2


def test_a_person_is_forgotten_and_that_is_proved(project: Path, database: Database) -> None:
    assert penstock(project, "archive", "write", "shop", "--now").returncode == 0
    done = penstock(project, "forget", "shop", "--where", "user.id", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[1:] == [
        "removed: 2 events in staging, 2 in the archive, 0 rejects, 2 rows",
        "left: 0 events in staging, 0 in the archive, 0 rejects, 0 rows",
    ]
    nothing = {"staged": 0, "archived": 0, "rejects": 0, "rows": 0}
    assert json.loads(done.stdout) == {
        "pipeline": "shop", "left": nothing, "unclear": [],
        "removed": {"staged": 2, "archived": 2, "rejects": 0, "rows": 2},
    }  # fmt: skip
    assert counted(database, "events") == 2
    assert penstock(project, "archive", "verify", "shop").returncode == 0

    (project / "in/b.ndjson").write_text('{"user": {"id": 0}\n')  # cut off
    assert penstock(project, "ingest", "shop").returncode == 0
    done = penstock(project, "forget", "shop", "--where", "user.id", "0")
    assert done.returncode == 1
    assert "1 events are no JSON and hold the value" in done.stderr
    assert counted(database, "events") == 0
    assert penstock(project, "forget", "shop", "--where", "user..id", "0").returncode == 2
