"""`penstock ingest` as a process, in a project with files and an API."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.api import Api, Reply
from tests.fixtures.postgres import Database
from tests.integration.cli.program import penstock

PIPELINES = """
from penstock.events.pipeline import Pipeline
from penstock.events.sources import FileSource, HttpSource, WebhookSource

shop_events = Pipeline(
    name="shop_events",
    target="events",
    key="event_id",
    transform=dict,
    sources=[
        FileSource(files="*.ndjson", connector="drops"),
        HttpSource(connector="feed", module="events"),
        WebhookSource(name="partner", secret="partner_key"),
    ],
)
deaf = Pipeline(name="deaf", target="t", key="k", transform=dict)
"""


@pytest.fixture
def project(database: Database, api: Api, tmp_path: Path) -> Path:
    """A project; its database has no ledger yet."""
    module = {"path": "/events", "records": "data"}
    env: dict[str, Any] = {
        "drops": {"kind": "files", "folder": "in", "complete": "name"},
        "feed": {"kind": "rest", "base_url": api.url, "modules": {"events": module}},
        "dev": {"warehouse": {"kind": "postgres", "url": database.url}},
    }
    (tmp_path / "config.py").write_text(f"env = {env!r}\n")
    for name in ("pipelines", "in"):
        (tmp_path / name).mkdir()
    (tmp_path / "pipelines/shop.py").write_text(PIPELINES)
    (tmp_path / "in/a.ndjson").write_text('{"id": 1}\n{"id": 2}\n{"id": 1}\n')
    os.utime(tmp_path / "in/a.ndjson", (1, 1))
    api.on("GET", "/events")(lambda _: {"data": [{"id": 7}, {"id": 8}]})
    return tmp_path


def test_all_files_and_apis_are_taken_and_told(project: Path, database: Database) -> None:
    done = penstock(project, "ingest", "shop_events")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[1:] == [
        "drops: 3 received, 2 new, 1 repeated; 1 file",
        "feed.events: 2 received, 2 new, 0 repeated; 1 page",
    ]
    again = penstock(project, "ingest", "shop_events", "--json")
    assert again.returncode == 0
    told = json.loads(again.stdout)["sources"]
    assert [(one["received"], one["staged"], one["known"]) for one in told.values()] == [
        (0, 0, 1),
        (2, 0, 0),
    ]
    with database.connect() as connection:
        found = connection.execute(
            "select source, received, repeated, waiting from penstock.event_balance order by 1"
        ).fetchall()
    assert found == [("drops", 3, 1, 2), ("feed.events", 4, 2, 2)]


def test_a_source_that_fails_keeps_no_other_from_coming(project: Path, api: Api) -> None:
    (project / "in/a.ndjson").rename(project / "in/b.ndjson")
    (project / "in/a.ndjson").write_bytes(b"\x1f\x8b damaged")
    api.faults = [Reply({"message": "no"}, 403)]
    done = penstock(project, "ingest", "shop_events", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)["sources"]
    assert told["drops"]["staged"] == 2
    assert told["drops"]["problems"][0].startswith("a.ndjson: the gzip data is corrupt")
    assert "403" in told["feed.events"]["problems"][0]
    assert "403" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shop_event"], "There is no pipeline shop_event. Did you mean shop_events?"),
        (["shop_events", "--source", "drop"], "shop_events has no source drop"),
        (["shop_events", "--source", "partner"], "partner is a webhook"),
        (["deaf"], "deaf has no files and no API to take events from"),
    ],
)
def test_wrong_names_are_said(project: Path, words: list[str], said: str) -> None:
    done = penstock(project, "ingest", *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_one_source_alone(project: Path, api: Api) -> None:
    done = penstock(project, "ingest", "shop_events", "--source", "drops", "--json")
    assert done.returncode == 0
    assert [*json.loads(done.stdout)["sources"]] == ["drops"]
    assert api.asked == []


def test_the_version_of_the_schema_is_where_it_is_declared(
    project: Path, database: Database
) -> None:
    path = project / "pipelines/shop.py"
    text = path.read_text()
    path.write_text(text.replace('connector="drops"', 'connector="drops", schema_version="id"'))
    assert penstock(project, "ingest", "shop_events", "--source", "drops").returncode == 0
    seen = "select schema_version from penstock.event_status order by pos"
    with database.connect() as connection:
        assert connection.execute(seen).fetchall() == [("1",), ("2",)]
    path.write_text(text)
    assert penstock(project, "ingest", "shop_events", "--source", "drops").returncode == 0
    with database.connect() as connection:
        assert connection.execute(seen).fetchall() == [(None,), (None,)]
