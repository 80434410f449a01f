"""The example `examples/shop_events`; what is expected is what its generator wrote beforehand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.postgres.embedded import Cluster
from tests.acceptance.examples import content, copied, rows, run, shown
from tests.docs.test_pages import same
from tests.integration.cli.program import environment

_PATIENCE = 60.0
_BALANCE = "select source, received, repeated, waiting, loaded, dropped, failed, dead from penstock"


def wanted(project: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project / "share" / "expected.json").read_text("utf-8"))
    return found


def check_table(project: Path) -> None:
    """Each event once, in its newest version, as the generator drew it."""
    found = rows(
        project,
        "select event_id, version, type, occurred_at, user_id, product, quantity, price"
        " from events",
    )
    assert len(found) == len({row[0] for row in found})
    assert {row[0]: row[1:] for row in found} == {
        known_as: (
            one["version"],
            one["type"],
            datetime.fromisoformat(one["at"]),
            one["user_id"],
            one.get("product"),
            one.get("quantity"),
            Decimal(one["price"]) if "price" in one else None,
        )
        for known_as, one in wanted(project)["events"].items()
    }


def check_sessions(project: Path) -> None:
    """What the daily flow made, from what the generator drew: half an hour ends a session."""
    users: dict[str, list[tuple[datetime, str]]] = {}
    for one in wanted(project)["events"].values():
        moment = datetime.fromisoformat(one["at"])
        users.setdefault(one["user_id"], []).append((moment, one["type"]))
    expected = []
    for user, events in users.items():
        visits: list[list[tuple[datetime, str]]] = []
        for event in sorted(events):
            if not visits or event[0] - visits[-1][-1][0] >= timedelta(minutes=30):
                visits.append([])
            visits[-1].append(event)
        bought = False
        for number, visit in enumerate(visits):
            purchases = [kind for _, kind in visit].count("purchase")
            first = purchases > 0 and not bought
            expected.append((user, visit[0][0], len(visit), purchases, number > 0, first))
            bought = bought or purchases > 0
    columns = "user_id, started_at, events, purchases, returning_user, first_purchase"
    assert sorted(rows(project, f"select {columns} from user_sessions")) == sorted(expected)


def check_books(project: Path) -> dict[str, tuple[int, ...]]:
    """Each source's equation, by hand; gives what became of its events."""
    failed = wanted(project)["failed"]
    booked = {}
    for source, received, repeated, waiting, *became in rows(project, f"{_BALANCE}.event_balance"):
        assert received == repeated + waiting + sum(became)
        assert waiting == 0
        booked[source] = tuple(map(int, became))
    assert {source: one[2] for source, one in booked.items()} == {
        "api": failed["api"],
        "drops": failed["app"] + failed["tills"],
        "partner": failed["partner"],
    }
    return booked


@pytest.mark.slow
def test_three_senders_end_in_one_table_and_again_changes_nothing(tmp_path: Path) -> None:
    with copied("shop_events", tmp_path) as project:
        said = run(project)
        assert same(said, shown(project))
        check_table(project)
        check_sessions(project)
        booked = check_books(project)
        before = content(project, "events", "penstock.rejects")
        run(project)
        assert content(project, "events", "penstock.rejects") == before
        assert check_books(project) == booked


def count(project: Path) -> int:
    """Rows of the table, while the example may not even have made its database."""
    try:
        cluster = Cluster.of_project(project)
        with psycopg.connect(str(cluster.url)) as connection:
            row = connection.execute("select count(*) from events").fetchone()
    except Exception:  # noqa: BLE001  there is no server yet, no database, no table
        return 0
    assert row is not None
    return int(row[0])


@pytest.mark.slow
def test_a_run_that_is_killed_in_the_middle_is_completed_by_the_next(tmp_path: Path) -> None:
    with copied("shop_events", tmp_path) as project:
        running = subprocess.Popen(
            [sys.executable, str(project / "run.py")],
            cwd=project,
            env=environment(PYTHONPATH=os.environ.get("PYTHONPATH", "")),
            stdout=subprocess.DEVNULL,
        )
        end = time.monotonic() + _PATIENCE
        while not (there := count(project)):
            assert running.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        assert there <= count(project) < len(wanted(project)["events"])
        run(project)
        check_table(project)
        check_sessions(project)
        check_books(project)


def test_the_transform_has_a_test_that_runs(tmp_path: Path) -> None:
    with copied("shop_events", tmp_path) as project:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
            cwd=project,
            env=environment(PYTHONPATH=os.environ.get("PYTHONPATH", "")),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
