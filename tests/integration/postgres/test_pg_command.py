"""`penstock pg` as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.postgres.embedded import Cluster

PENSTOCK_PG = [sys.executable, "-c", "from penstock.cli.pg import pg_app; pg_app()"]


@pytest.fixture
def project(session_folder: Path) -> Iterator[Path]:
    made = session_folder / f"project-{secrets.token_hex(4)}"
    made.mkdir()
    made.chmod(0o755)
    yield made
    Cluster.of_project(made).remove()


def _run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_PG_")}
    return subprocess.run(
        [*PENSTOCK_PG, *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_start_status_psql_and_stop_in_the_current_folder(project: Path) -> None:
    missing = _run(project, "psql", "-c", "SELECT 1")
    assert missing.returncode == 1
    assert "penstock pg start" in missing.stderr
    assert json.loads(_run(project, "status", "--json").stdout)["state"] == "absent"

    started = _run(project, "start", "--json")
    assert started.returncode == 0
    said = json.loads(started.stdout)
    assert (said["started"], said["state"], said["host"]) == (True, "running", "127.0.0.1")
    assert json.loads(_run(project, "start", "--json").stdout)["started"] is False
    password = json.loads(
        (project / ".penstock" / "pg" / "cluster.json").read_text(encoding="utf-8")
    )["password"]
    assert password not in started.stdout + started.stderr

    asked = _run(project, "psql", "-XAtc", "SELECT current_user, current_database()")
    assert asked.stdout == "postgres|penstock\n"
    failed = _run(project, "psql", "--", "-X", "-v", "ON_ERROR_STOP=1", "-c", "nonsense")
    assert failed.returncode == 1

    plain = _run(project, "status")
    assert plain.stdout == ""
    assert f"port {said['port']}" in plain.stderr
    again = _run(project, "start")
    assert "password in .penstock/pg/cluster.json." in again.stderr
    assert max(map(len, (plain.stderr + again.stderr).splitlines())) <= 80
    here = f"127.0.0.1:{said['port']}/penstock"
    url = _run(project, "status", "--url")
    assert (url.stdout, url.stderr) == (f"postgresql://postgres@{here}\n", "")
    other = _run(project, "status", "--url", "--user", "et l")
    assert other.stdout == f"postgresql://et%20l@{here}\n"
    both = json.loads(_run(project, "status", "--url", "--json").stdout)
    assert both["url"] == f"postgresql://postgres@{here}"
    assert _run(project, "status", "--user", "etl").returncode == 2
    assert json.loads(_run(project, "stop", "--json").stdout)["stopped"] is True
    assert json.loads(_run(project, "stop", "--json").stdout)["stopped"] is False
    gone = _run(project, "status", "--url")
    assert (gone.returncode, gone.stdout) == (1, "")


def test_another_folder_is_named_by_an_option(project: Path) -> None:
    shop = project / "shop"
    shop.mkdir()
    try:
        assert _run(project, "start", "--folder", "shop").returncode == 0
        asked = _run(project, "psql", "--folder", "shop", "-XAtc", "SELECT 1")
        assert asked.stdout == "1\n"
        assert not (project / ".penstock").exists()
    finally:
        Cluster.of_project(shop).remove()


def test_an_error_is_told_in_both_forms_with_its_exit_code(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_PG_BIN", str(project))
    failed = subprocess.run(
        [*PENSTOCK_PG, "start", "--json"], cwd=project, capture_output=True, text=True, check=False
    )
    assert failed.returncode == 2
    assert "there is no initdb" in json.loads(failed.stdout)["error"]["message"]
    assert "there is no initdb" in failed.stderr


def test_help_is_instant_and_has_examples(project: Path) -> None:
    program = (
        "import sys; from penstock.cli.pg import pg_app\n"
        "try: pg_app(['start', '--help'])\n"
        "except SystemExit: print([m for m in ('psycopg', 'polars') if m in sys.modules])"
    )
    said = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert "penstock pg start --folder shop" in said
    assert said.rstrip().endswith("[]")
