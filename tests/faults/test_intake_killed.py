"""kill -9 at every commit boundary of an intake, then the next one: each event once, in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.connectors.registry import connectors
from penstock.events.drops import take_files
from penstock.events.pipeline import Pipeline
from penstock.events.polling import take_pages
from penstock.events.sources import FileSource, HttpSource
from penstock.events.taken import Taken
from tests.fixtures.api import Api, Asked
from tests.fixtures.postgres import Database
from tests.fixtures.sftp import Box
from tests.integration.events.conftest import Shop

ROOT = Path(__file__).parents[2]
#: An intake that kills itself at a step, the time that it is told; its counts so far are kept.
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from penstock.connectors.registry import connectors
from penstock.events import raws
from penstock.events.drops import take_files
from penstock.events.pipeline import Pipeline
from penstock.events.polling import take_pages
from penstock.events.sources import FileSource, HttpSource

raws.CHUNK = 500  # events of a commit
said = json.loads(sys.argv[1])
kind = FileSource if "files" in said["source"] else HttpSource
source = kind(**said["source"])
pipeline = Pipeline(name="shop", target="t", key="k", transform=dict, sources=[source])
seen = []

def on_step(name):
    seen.append(name)
    if seen.count(said["step"]) == said["times"]:
        Path(said["marker"]).write_text(name)
        os.kill(os.getpid(), signal.SIGKILL)

root = Path(said["folder"])
if kind is FileSource:
    take_files(said["url"], pipeline, source, connectors(said["env"], root), root, on_step=on_step)
else:
    take_pages(said["url"], pipeline, source, connectors(said["env"], root), on_step=on_step)
"""
LINES = [b'{"id": "e%d"}' % number for number in range(1_200)]


def killed(order: dict[str, Any], marker: Path) -> None:
    """An intake in a process of its own, which is killed at a step."""
    told = {**order, "marker": str(marker)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(told)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert marker.read_text() == order["step"]


def raws(shop: Shop) -> list[bytes]:
    found = shop.rows("select raw from penstock.events order by chunk, pos")
    return [bytes(raw) for (raw,) in found]


#: Step and how often it came -> events that are staged when it is killed there.
FILE_STEPS = {
    ("copied", 1): 0,
    ("begun", 1): 0,
    ("staged", 1): 0,
    ("committed", 1): 500,
    ("staged", 2): 500,
    ("committed", 2): 1_000,
    ("staged", 3): 1_000,
    ("committed", 3): 1_200,
    ("finished", 1): 1_200,
    ("done", 1): 1_200,
}


@pytest.mark.parametrize(
    ("step", "staged", "after"),
    [
        *((step, staged, "leave") for step, staged in FILE_STEPS.items()),
        *((step, 1_200, "delete") for step in (("committed", 3), ("finished", 1), ("done", 1))),
    ],
)
def test_a_file_killed_at_any_step_is_taken_once(
    ledger_database: Database, tmp_path: Path, step: tuple[str, int], staged: int, after: str
) -> None:
    shop = Shop(ledger_database.url)
    path = tmp_path / "in/a.ndjson"
    path.parent.mkdir()
    path.write_bytes(b"\n".join(LINES))
    env = {"drops": {"kind": "files", "folder": "in", "complete": "name", "after": after}}
    declared = {"files": "*", "connector": "drops"}
    order = {
        "url": shop.url, "folder": str(tmp_path), "env": env, "source": declared,
        "step": step[0], "times": step[1],
    }  # fmt: skip
    killed(order, tmp_path / "marker")
    assert len(raws(shop)) == staged

    taken = again(shop, tmp_path, env, declared)
    assert (taken.received, taken.staged, taken.problems) == (1_200 - staged,) * 2 + ([],)
    assert raws(shop) == LINES
    assert shop.rows("select records, finished_at is not null from penstock.drops") == [
        (1_200, True)
    ]
    assert path.exists() == (after == "leave")
    assert not [one for one in (tmp_path / ".penstock").rglob("*") if one.name == "a.ndjson"]
    assert again(shop, tmp_path, env, declared).received == 0


def again(shop: Shop, folder: Path, env: dict[str, Any], declared: dict[str, Any]) -> Taken:
    """The next intake of the same files."""
    source = FileSource(**declared)
    pipeline = Pipeline(name="shop", target="t", key="k", transform=dict, sources=[source])
    return take_files(shop.url, pipeline, source, connectors(env, folder), folder)


def test_killed_while_a_file_comes_it_comes_again(
    sftp_box: Box, ledger_database: Database, tmp_path: Path
) -> None:
    shop = Shop(ledger_database.url)
    lines = LINES * 200  # several blocks
    (sftp_box.folder / "out/a.ndjson").write_bytes(b"\n".join(lines))
    env = {"drops": sftp_box.settings | {"complete": "name"}}
    declared = {"files": "*", "connector": "drops"}
    order = {
        "url": shop.url, "folder": str(tmp_path), "env": env, "source": declared,
        "step": "never", "times": 1, "marker": str(tmp_path / "never"),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(order)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    fired: list[int] = []

    def kill(path: Path, offset: int) -> None:
        if offset and not fired:
            fired.append(offset)
            process.kill()

    sftp_box.on_read = kill
    assert process.wait(60) == -signal.SIGKILL
    assert fired
    assert raws(shop) == []
    taken = again(shop, tmp_path, env, declared)
    assert (taken.received, taken.staged) == (len(lines), len(LINES))
    assert raws(shop) == LINES


@pytest.mark.parametrize(
    ("step", "times", "staged"),
    [
        ("read", 1, 0), ("staged", 1, 0), ("committed", 1, 10), ("read", 2, 10),
        ("staged", 2, 10), ("committed", 2, 20), ("staged", 3, 20), ("committed", 3, 25),
    ],
)  # fmt: skip
def test_an_api_killed_at_any_step_is_read_once(
    ledger_database: Database, api: Api, tmp_path: Path, step: str, times: int, staged: int
) -> None:
    shop = Shop(ledger_database.url)
    events = [{"id": f"e{n}", "at": f"2026-01-05T10:00:{59 - n:02}Z"} for n in range(25)]

    @api.on("GET", "/events")
    def answer(asked: Asked) -> Any:
        begin = int(asked.params.get("after", 0))
        end = begin + 10
        return {"data": events[begin:end], "next": end if end < len(events) else None}

    module = {
        "path": "/events", "records": "data", "cursor": {"field": "at", "param": "since"},
        "page": {"kind": "cursor", "param": "after", "next": "next"},
    }  # fmt: skip
    env = {"feed": {"kind": "rest", "base_url": api.url, "modules": {"events": module}}}
    declared: dict[str, Any] = {"connector": "feed", "module": "events", "at": "at"}
    order = {
        "url": shop.url, "folder": str(tmp_path), "env": env, "source": declared,
        "step": step, "times": times,
    }  # fmt: skip
    killed(order, tmp_path / "marker")
    assert len(raws(shop)) == staged
    values = shop.rows("select value ->> 'value' from penstock.cursors")
    newest = "2026-01-05T10:00:59+00:00"
    assert [one for (one,) in values if one] == ([newest] if staged == 25 else []), "not before"

    source = HttpSource(**declared)
    pipeline = Pipeline(name="shop", target="t", key="k", transform=dict, sources=[source])
    taken = take_pages(shop.url, pipeline, source, connectors(env, tmp_path))
    assert (taken.staged, taken.problems) == (25 - staged, [])
    assert [json.loads(raw) for raw in raws(shop)] == events
    assert shop.rows("select value ->> 'value' from penstock.cursors") == [(newest,)]
