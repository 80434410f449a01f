"""`penstock schedule` as a process: what it prints, and how it ends."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.postgres import Database
from tests.integration.cli.program import penstock

FLOW = """
from penstock import Etl
from config import env

schedule = {schedule}
timezone = "Europe/Madrid"

def flow(etl):
    etl.start()
    etl.end()

if __name__ == "__main__":
    raise SystemExit(Etl.main(flow, env))
"""


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    settings = {"warehouse": {"kind": "postgres", "url": database.url}}
    env = {"project": "shop", "timezone": "UTC", "dev": settings}
    (tmp_path / "config.py").write_text(f"env = {env!r}\n", encoding="utf-8")
    write(tmp_path, "main", ["0 5 20 * *", "0 6 * * *"])
    return tmp_path


def write(folder: Path, name: str, schedule: list[str]) -> None:
    (folder / f"{name}.py").write_text(FLOW.format(schedule=schedule), encoding="utf-8")


def test_list_says_it_in_words_with_the_next_ten_starts(project: Path) -> None:
    done = penstock(project, "schedule", "list", "--json")
    assert done.returncode == 0, done.stderr
    (main,) = json.loads(done.stdout)["mains"]
    assert main["words"] == ["at 05:00 on day 20 of each month", "at 06:00 every day"]
    assert main["timezone"] == "Europe/Madrid"
    assert len(main["next"]) == 10
    assert {one[11:16] for one in main["next"]} <= {"05:00", "06:00"}
    assert main["next"] == sorted(main["next"])
    assert "  at 06:00 every day\n" in done.stderr


def test_wrong_expressions_are_told_with_their_files_all_at_once(project: Path) -> None:
    write(project, "main", ["0 25 * * *"])
    write(project, "nightly", ["every day", "0 6 * * *"])
    for words in (["list"], ["--once"], ["export", "--cron"]):
        done = penstock(project, "schedule", *words)
        assert done.returncode == 2
        assert "main.py, line 5: schedule: '0 25 * * *' is no cron expression" in done.stderr
        assert "nightly.py, line 5: schedule: 'every day' is no cron" in done.stderr


def test_once_starts_what_is_due_and_starts_shows_it(project: Path, database: Database) -> None:
    done = penstock(project, "schedule", "--once", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"starts": []}), done.stderr
    assert "No start yet." in penstock(project, "schedule", "starts").stderr
    with database.connect() as connection:  # a day has passed
        connection.execute("update penstock.schedules set due_at = due_at - interval '25 hours'")
    done = penstock(project, "schedule", "--once", "--json")
    assert done.returncode == 0, done.stderr
    (one,) = json.loads(done.stdout)["starts"]
    assert (one["flow"], one["exit_code"]) == ("shop/main", 0)
    assert "main: started, due " in done.stderr
    assert "main: ended, exit code 0" in done.stderr
    (shown,) = json.loads(penstock(project, "schedule", "starts", "--json").stdout)["starts"]
    assert (shown["status"], shown["due_at"]) == ("ended", one["due_at"])
    assert shown["started_at"] < shown["finished_at"]


def test_once_ends_as_the_worst_of_its_flows_did(project: Path, database: Database) -> None:
    penstock(project, "schedule", "--once")
    (project / "main.py").write_text(
        FLOW.format(schedule=["* * * * *"]).replace("etl.start()", "raise ValueError('broken')"),
        encoding="utf-8",
    )
    with database.connect() as connection:
        connection.execute("update penstock.schedules set due_at = due_at - interval '1 hour'")
    done = penstock(project, "schedule", "--once")
    assert done.returncode == 1
    assert "main: ended, exit code 1" in done.stderr


def test_a_project_without_a_schedule_is_told_how_to_have_one(project: Path) -> None:
    write(project, "main", [])
    done = penstock(project, "schedule")
    assert done.returncode == 2
    assert 'schedule = ["0 6 * * *"]' in done.stderr
    assert "No main has a schedule." in penstock(project, "schedule", "list").stderr


def test_options_in_front_of_a_command_are_not_ignored(project: Path) -> None:
    done = penstock(project, "schedule", "-e", "dev", "list")
    assert done.returncode == 2
    assert "behind the command" in done.stderr


def test_export_prints_one_form_on_standard_output(project: Path) -> None:
    assert penstock(project, "schedule", "export").returncode == 2
    assert penstock(project, "schedule", "export", "--cron", "--k8s").returncode == 2
    cron = penstock(project, "schedule", "export", "--cron")
    assert cron.returncode == 0, cron.stderr
    assert "CRON_TZ=Europe/Madrid\n0 5 20 * *  cd " in cron.stdout
    k8s = penstock(project, "schedule", "export", "--k8s", "--image", "shop:7")
    assert k8s.stdout.count("kind: CronJob") == 2
    assert k8s.stdout.count('image: "shop:7"') == 2
    units = json.loads(penstock(project, "schedule", "export", "--systemd", "--json").stdout)
    timer = units["files"]["penstock-shop-main.timer"]
    lines = [one.partition("=")[2] for one in timer.splitlines() if one.startswith("OnCalendar")]
    assert lines == ["*-*-20 05:00:00 Europe/Madrid", "*-*-* 06:00:00 Europe/Madrid"]
    systemd = shutil.which("systemd-analyze")
    if systemd is not None:
        subprocess.run([systemd, "calendar", *lines], check=True, stdout=subprocess.DEVNULL)
