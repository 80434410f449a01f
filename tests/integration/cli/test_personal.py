"""Commands of a project whose source has personal fields: with its key, without, and rotated."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.postgres import Database
from tests.integration.cli.program import penstock

PIPELINES = """
from penstock import FileSource, Pipeline, WebhookSource


def row_of(event):
    return {"event_id": event["id"], "email": event["user"]["email"]}


shop = Pipeline(
    name="shop", target="events", key="event_id", transform=row_of,
    sources=[
        FileSource(files="in/*", encrypt=["user.email"]),
        WebhookSource(name="partner", secret="partner.secret", encrypt=["user.email"]),
    ],
)
"""
EMAIL = "anna.canary@example.com"


class Project:
    """A project, and the place of its key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "elsewhere" / "shop.key"

    def __call__(self, *words: str, code: int = 0) -> Any:
        done = penstock(self.folder, *words, PENSTOCK_KEY_FILE=str(self.key))
        assert done.returncode == code, done.stderr
        return done

    def drop(self, number: int) -> None:
        path = self.folder / f"in/{number}.ndjson"
        path.write_text(json.dumps({"id": f"e{number}", "user": {"email": EMAIL}}) + "\n")
        os.utime(path, (1, 1))


@pytest.fixture
def project(ledger_database: Database, tmp_path: Path) -> Project:
    with ledger_database.connect() as connection:
        connection.execute("create table events (event_id text primary key, email text)")
    env: dict[str, Any] = {
        "project": "shop",
        "partner": {"secret": "whsec_b2xkIHNlY3JldA=="},
        "dev": {"warehouse": {"kind": "postgres", "url": ledger_database.url}},
    }
    (tmp_path / "config.py").write_text(f"env = {env!r}\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/shop.py").write_text(PIPELINES)
    (tmp_path / "in").mkdir()
    return Project(tmp_path)


@pytest.mark.parametrize("words", [["ingest", "shop"], ["serve", "--port", "0"], ["work", "shop"]])
def test_without_the_key_nothing_begins(project: Project, words: list[str]) -> None:
    project.drop(1)
    done = project(*words, code=2)
    assert f"declares encrypt: there is no key for shop: copy {project.key} from" in done.stderr
    assert "penstock key new" in done.stderr
    assert (project.folder / "in/1.ndjson").exists()


def test_events_go_through_and_are_shown_masked_and_forgotten(
    project: Project, ledger_database: Database
) -> None:
    project("key", "new")
    project.drop(1)
    assert "1 new" in project("ingest", "shop").stderr
    project("key", "rotate")
    project.drop(2)
    assert "1 new" in project("ingest", "shop").stderr
    dsn = ("--dsn", ledger_database.url)
    masked = project("events", "show", "e1", "--json", *dsn)
    assert EMAIL not in masked.stdout + masked.stderr
    assert json.loads(masked.stdout)["events"][0]["encrypted"] is True
    shown = project("events", "show", "e1", "--decrypt", "--json", *dsn)
    raw = json.loads(shown.stdout)["events"][0]["raw"]
    assert json.loads(raw) == {"id": "e1", "user": {"email": EMAIL}}
    assert EMAIL in shown.stderr
    assert json.loads(project("work", "shop", "--once", "--json").stdout)["loaded"] == 2
    with ledger_database.connect() as connection:
        connection.execute("delete from events where event_id = 'e1'")
    assert "1 row would be added" in project("replay", "shop", "--dry-run").stderr
    project("replay", "shop")
    assert json.loads(project("work", "shop", "--once", "--json").stdout)["loaded"] == 1
    with ledger_database.connect() as connection:
        found = connection.execute("select * from events order by 1").fetchall()
    assert found == [("e1", EMAIL), ("e2", EMAIL)]
    done = project("forget", "shop", "--where", "user.email", EMAIL, "--json")
    removed = json.loads(done.stdout)["removed"]
    assert removed == {"staged": 2, "archived": 0, "rejects": 0, "rows": 2}


def test_a_worker_with_another_key_leaves_the_events_and_says_so(project: Project) -> None:
    project("key", "new")
    project.drop(1)
    project("ingest", "shop")
    project.key.unlink()
    project("key", "new")
    done = project("work", "shop", "--once", "--json", code=75)
    told = json.loads(done.stdout)
    assert (told["events"], told["failed"]) == (0, 0)
    assert f"cannot be read with {project.key}: they were encrypted with" in told["troubles"][0]
