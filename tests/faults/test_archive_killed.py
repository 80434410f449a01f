"""kill -9 at every step of the archive, then once more: each event is in it, and once."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from penstock.events import archive
from penstock.events.archive import write_archive
from penstock.events.pipeline import Pipeline
from penstock.events.replay import Span
from penstock.events.restoring import restore
from penstock.events.verifying import verify_archive
from tests.fixtures.postgres import Database
from tests.integration.events.conftest import Shop, event

ROOT = Path(__file__).parents[2]
#: Writes an archive, and kills itself at a step, the time that it is told.
PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from penstock.events import archive
from penstock.events.archive import write_archive
from penstock.events.pipeline import Pipeline
from penstock.events.replay import Span
from penstock.events.restoring import restore

archive.FILE_EVENTS = 100
said = json.loads(sys.argv[1])
pipeline = Pipeline(name="shop", target="t", key="k", transform=dict, archive="./kept")
seen = []

def on_step(name):
    seen.append(name)
    if seen.count(said["step"]) == said["times"]:
        Path(said["marker"]).write_text(name)
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(said["folder"])
if said["step"] in ("restored", "committed"):
    restore(said["url"], pipeline, {}, folder, Span(), on_step=on_step)
else:
    write_archive(said["url"], pipeline, {}, folder, now=True, on_step=on_step)
"""
STAGED = (
    "select chunk, pos, source_id, delivery_id, received_at, raw from penstock.events order by 1, 2"
)


def killed(shop: Shop, folder: Path, step: tuple[str, int]) -> None:
    """A process that is killed at a step."""
    marker = folder / "marker"
    order = {"url": shop.url, "folder": str(folder), "step": step[0], "times": step[1]}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps({**order, "marker": str(marker)})],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert marker.read_text() == step[0]


#: Step and how often it came -> manifests that are there, and files that the ledger has by then.
STEPS = {
    ("planned", 1): (0, 0),
    ("written", 1): (0, 0),
    ("read", 1): (0, 0),
    ("described", 1): (1, 0),
    ("noted", 1): (1, 1),
    ("written", 2): (1, 1),
    ("read", 2): (1, 1),
    ("described", 2): (2, 1),
    ("noted", 2): (2, 2),
}


@pytest.mark.parametrize("step", STEPS)
def test_an_archive_killed_at_any_step_is_completed_without_repetition(
    ledger_database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: tuple[str, int],
) -> None:
    shop = Shop(ledger_database.url)
    for begin in (0, 100):
        shop.stage(*(event(begin + number) for number in range(100)))
    killed(shop, tmp_path, step)
    manifests, noted = STEPS[step]
    assert len(list((tmp_path / "kept").rglob("*.json"))) == manifests
    files = "select count(*) from penstock.archive_files where archived_at is not null"
    assert shop.rows(files) == [(noted,)]

    shop.stage(*(event(number) for number in range(200, 250)))  # meanwhile more came
    monkeypatch.setattr(archive, "FILE_EVENTS", 100)
    pipeline = Pipeline(name="shop", target="t", key="k", transform=dict, archive="./kept")
    written = write_archive(shop.url, pipeline, {}, tmp_path, now=True)
    assert (written.files, written.waiting) == (3 - noted, 0)
    assert verify_archive(shop.url, pipeline, {}, tmp_path).problems == []
    said = [json.loads(one.read_text()) for one in (tmp_path / "kept").rglob("*.json")]
    assert sorted(one["events"] for one in said) == [50, 100, 100]
    found = Counter(
        json.loads(json.loads(line)["raw"])["id"]
        for path in (tmp_path / "kept").rglob("*.zst")
        for line in io.TextIOWrapper(
            zstandard.ZstdDecompressor().stream_reader(path.read_bytes()), "utf-8"
        )
    )
    assert found == Counter(f"e{number}" for number in range(250))
    left = [one for one in (tmp_path / ".penstock").rglob("*") if one.suffix != ".lock"]
    assert left == [tmp_path / ".penstock/archive"]


@pytest.mark.parametrize(
    ("step", "back"),
    [
        (("restored", 1), 0),
        (("committed", 1), 100),
        (("restored", 2), 100),
        (("committed", 2), 200),
    ],
)
def test_what_comes_back_comes_back_once_wherever_it_is_killed(
    ledger_database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: tuple[str, int],
    back: int,
) -> None:
    shop = Shop(ledger_database.url)
    for begin in (0, 100):
        shop.stage(*(event(begin + number) for number in range(100)))
    pipeline = Pipeline(name="shop", target="t", key="k", transform=dict, archive="./kept")
    monkeypatch.setattr(archive, "FILE_EVENTS", 100)
    write_archive(shop.url, pipeline, {}, tmp_path, now=True)
    before, balance = shop.rows(STAGED), shop.balance()
    shop.rows("update penstock.batches set status = 'succeeded'")
    shop.rows("truncate penstock.events")  # as when their day is dropped
    killed(shop, tmp_path, step)
    assert shop.rows("select count(*) from penstock.events") == [(back,)]
    waiting = "select sum(pos_to - pos_from) from penstock.batches where status = 'pending'"
    assert shop.rows(waiting) == [(back or None,)]
    assert restore(shop.url, pipeline, {}, tmp_path, Span()).events == 200 - back
    assert shop.rows(STAGED) == before
    assert shop.rows(waiting) == [(200,)]
    assert [one[0] for one in balance.values()] == [one[0] for one in shop.balance().values()]
