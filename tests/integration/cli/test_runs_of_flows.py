"""`penstock runs` of a flow: its jobs, the loads that they made, and what those refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from penstock import Etl, Job
from penstock.project.environment import choose
from tests.fixtures.postgres import Database
from tests.integration.cli.program import penstock


def customers(job: Job) -> None:
    rows = job.connect("drops").read("customers*.csv")
    job.connect("warehouse").load(rows, "customers", mode="upsert", max_rejects="all")


def fails(job: Job) -> None:
    job.connect("nothing")


def said(folder: Path, shop: Database, *words: str) -> tuple[dict[str, Any], str]:
    done = penstock(folder, *words, "--dsn", shop.url, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found, done.stderr


def test_a_flow_shows_its_jobs_and_their_loads(shop: Database, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "import"
    folder.mkdir(parents=True)
    lines = ("customer_id,name", "1,Ann", "2,Bo", "2,Bo", "x,Cy")
    (folder / "customers.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    env = {
        "project": "shop",
        "drops": {"kind": "files", "folder": "data/import"},
        "dev": {"warehouse": {"kind": "postgres", "url": shop.url}},
    }
    printed: list[str] = []
    etl = Etl(env=choose(env, "dev", tmp_path), say=printed.append)
    etl.start()
    etl.run(customers)
    etl.run(fails)
    etl.end()

    assert any(
        line.startswith("customers: 4 read, 2 loaded, 1 ignored, 1 refused (") for line in printed
    )
    listed, text = said(tmp_path, shop, "runs")
    (one,) = listed["runs"]  # the loads of the flow are told with it
    assert (one["kind"], one["command"]) == ("flow", "shop/main")
    assert "flow shop/main" in text
    assert "4 read, 3 loaded, 1 refused" in text
    shown, text = said(tmp_path, shop, "runs", "show", etl.run_id[:8])
    assert [(each["job"], each["status"]) for each in shown["run"]["jobs"]] == [
        ("customers", "succeeded"),
        ("fails", "failed"),
    ]
    (load,) = shown["run"]["loads"]
    assert (load["table"], load["inserted"], load["quarantined"]) == ("customers", 2, 1)
    assert "fails failed" in text
    assert "there is no connector 'nothing'" in text
    rejects, _ = said(tmp_path, shop, "rejects", "list", "--run", etl.run_id[:8])
    assert sum(group["rows"] for group in rejects["groups"]) == 1
