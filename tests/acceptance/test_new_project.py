"""`penstock new DIR` makes a project that runs, and whose own tests pass."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.program import environment, penstock


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    variables = environment() | {"XDG_CONFIG_HOME": str(folder.parent / "config")} | more
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Path]:
    made = penstock(tmp_path, "new", "shop", "--ci", "github")
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "shop"
    yield folder
    penstock(folder, "pg", "stop")


def test_a_new_project_runs_and_its_tests_pass(shop: Path) -> None:
    first = run(shop, "main.py")
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[0] == "shop, dev: warehouse embedded"
    assert "customers: 10 read, 10 loaded, 0 refused" in first.stdout
    again = run(shop, "main.py")
    assert again.returncode == 0
    assert "customers: 0 read" in again.stdout

    tried = run(shop, "test_connections.py")
    assert tried.returncode == 0, tried.stderr
    assert "All connections work." in tried.stderr

    own = run(shop, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert own.returncode == 0, own.stdout
    assert "4 passed" in own.stdout


def test_no_secret_data_or_log_of_a_project_is_ever_committed(shop: Path) -> None:
    (shop / ".env").write_text("WAREHOUSE_PASSWORD=x\n")
    (shop / "shop.key").write_text("x\n")
    (shop / "data" / "errors" / "refused.xlsx").write_text("x")
    (shop / "logs" / "run.jsonl").write_text("x")
    git = shutil.which("git")
    assert git is not None, "this test needs git"
    subprocess.run([git, "init", "-q"], cwd=shop, check=True)
    subprocess.run([git, "add", "."], cwd=shop, check=True)
    listed = subprocess.run(
        [git, "ls-files"], cwd=shop, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "config.py" in listed
    assert "logs/.gitkeep" in listed
    assert not {".env", "shop.key", "data/errors/refused.xlsx", "logs/run.jsonl"} & set(listed)
    assert not [name for name in listed if name.startswith(".penstock")]


def test_a_password_can_be_encrypted_on_the_first_day(shop: Path) -> None:
    said = run(shop, "main.py", "-p", "geheim")
    assert said.returncode == 0, said.stderr
    key = shop.parent / "config" / "penstock" / "shop.key"
    assert f"Made the key {key}" in said.stderr
    config = (
        (shop / "config.py")
        .read_text()
        .replace('"env:WAREHOUSE_PASSWORD"', repr(said.stdout.strip()))
    )
    (shop / "config.py").write_text(config)
    more = {"XDG_CONFIG_HOME": str(shop.parent / "config")}
    shown = penstock(shop, "config", "show", "-e", "prod", "--json", **more)
    values = {one["name"]: one for one in json.loads(shown.stdout)["settings"]}
    assert values["warehouse.password"] == {
        "name": "warehouse.password",
        "value": "***",
        "from": "encrypted",
    }
    assert "geheim" not in shown.stdout + shown.stderr
    turned = penstock(shop, "key", "rotate", **more)
    assert "1 value of config.py encrypted with the new key" in turned.stderr
    assert penstock(shop, "config", "show", "-e", "prod", **more).returncode == 0
    key.unlink()
    lost = penstock(shop, "config", "show", "-e", "prod", **more)
    assert (lost.returncode, "there is no key for shop" in lost.stderr) == (2, True)


def test_what_comes_from_a_place_of_secrets_is_not_shown(shop: Path) -> None:
    (shop / "token").write_text("geheim\n")
    config = (shop / "config.py").read_text()
    added = '"crm": {"private": "file:token"},\n    "drops"'
    (shop / "config.py").write_text(config.replace('"drops"', added, 1))
    shown = penstock(shop, "config", "show", "--json")
    assert shown.returncode == 0, shown.stderr
    assert "geheim" not in shown.stdout + shown.stderr
    values = {one["name"]: one["value"] for one in json.loads(shown.stdout)["settings"]}
    assert values["crm.private"] == "***"


def test_a_folder_with_something_in_it_is_left_alone(shop: Path) -> None:
    said = penstock(shop.parent, "new", "shop")
    assert said.returncode == 2
    assert "not empty: nothing was written" in said.stderr
    job = penstock(shop, "new", "job", "offers")
    assert job.returncode == 0
    assert (shop / "jobs" / "offers.py").is_file()
    assert penstock(shop, "new", "job", "offers").returncode == 2
    assert penstock(shop, "new", "job", "../evil").returncode == 2


def test_a_connection_that_does_not_work_is_shown_with_advice_and_the_others_are_tried(
    shop: Path,
) -> None:
    config = (shop / "config.py").read_text()
    broken = '"nowhere": {"kind": "files", "folder": "data/nowhere"},\n    "drops"'
    (shop / "config.py").write_text(config.replace('"drops"', broken, 1))
    said = penstock(shop, "test-connections", "--json")
    assert said.returncode == 1
    checks = json.loads(said.stdout)["checks"]
    assert [(one["connector"], one["ok"]) for one in checks] == [
        ("nowhere", False),
        ("drops", True),
        ("drops", True),
        ("warehouse", True),
        ("warehouse", True),
    ]
    assert checks[0]["advice"] == "Make it, or correct folder in config.py."
    assert "Not working: nowhere." in said.stderr
