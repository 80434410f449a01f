"""The help of every command, and how a call without sense ends: in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from penstock.cli.commands import app

_HEAVY = {"polars", "sqlalchemy", "psycopg", "alembic", "pgpq", "arro3", "dotenv"}


def _paths(group: TyperGroup, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*before, name)
        if isinstance(command, TyperGroup):
            yield from _paths(command, (*before, name))


def _all_commands() -> list[tuple[str, ...]]:
    program = get_command(app)
    assert isinstance(program, TyperGroup)
    return [(), *_paths(program)]


def _run(*arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    clean = ("PENSTOCK_", "POSTGRES_", "PG", "FORCE_COLOR", "GITHUB_ACTIONS")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(clean)}
    return subprocess.run(
        [sys.executable, *options, "-m", "penstock", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "COLUMNS": "80"},
    )


def test_every_command_has_help_with_examples_within_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    groups = {(), *(path[:-1] for path in _all_commands())}
    for path in _all_commands():
        app([*path, "--help"], prog_name="penstock", standalone_mode=False)
        said = capsys.readouterr().out
        assert f"Usage: {' '.join(('penstock', *path))}" in said
        assert "<bool>" not in said
        assert "list[str]" not in said
        assert max(map(len, said.splitlines())) <= 80
        assert path in groups or "Examples" in said, f"no example: {path}"


def test_the_options_of_load_stand_in_panels() -> None:
    said = _run("load", "--help").stdout
    places = [
        said.index(title)
        for title in (
            "Usage: penstock load [OPTIONS] FILE... [TABLE]",
            "─ What to load",
            "─ How it is written",
            "─ What happens",
            "─ Output",
            "Exit status",
        )
    ]
    assert places == sorted(places)


def test_help_imports_nothing_heavy() -> None:
    for arguments in (["--help"], ["load", "--help"], ["--version"]):
        said = _run(*arguments, options=("-X", "importtime"))
        assert said.returncode == 0
        lines = [line for line in said.stderr.splitlines() if line.startswith("import time:")]
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
        assert "penstock" in imported
        assert not imported & _HEAVY


def test_without_a_command_the_help_is_shown() -> None:
    assert "Usage: penstock" in _run().stdout


def test_the_version_is_told() -> None:
    said = _run("--version")
    assert (said.returncode, said.stdout.split()[0]) == (0, "penstock")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lod"], "load"),
        (["load"], "FILE... [TABLE]"),
        (["load", "--nope"], "--nope"),
        (["load", "a.csv", "--mode", "upsrt"], "'upsert', 'sync'"),
        (["load", "a.csv", "--max-lock", "-1"], "--max-lock"),
        (["load", "a.csv", "--lock-timeout", "soon"], "--lock-timeout"),
        (["load", "a.csv", "--max-rejects", "101%"], "101%"),
        (["load", "a.csv", "--max-rejects", "-5"], "-5"),
        (["load", "a.csv", "--delimiter", ";;"], "--delimiter"),
        (["load", "a.csv", "--empty", "nil"], "--empty"),
        (["load", "a.csv", "--orphans", "a=b"], "quarantine, placeholder, null"),
        (["load", "a.csv", "--dates", "soon"], "--dates"),
        (["load", "a.csv", "--numbers", "x"], "--numbers"),
        (["load-star", ".", "--timezone", "Nowhere/No"], "--timezone"),
        (["load", "a.csv", "--columns", "a,b=c"], "--columns"),
        (["load", "a.csv", "--no-header"], "--columns"),
        (["load-star", ".", "--tables", "a,,b"], "--tables"),
        (["clear"], "TABLE..."),
    ],
)
def test_wrong_use_is_exit_2_and_says_what_is_wrong(arguments: list[str], told: str) -> None:
    said = _run(*arguments, "--json")
    error = json.loads(said.stdout)["error"]
    assert (said.returncode, error["exit_code"]) == (2, 2)
    assert told in error["message"]
    assert told in said.stderr
    assert "Traceback" not in said.stderr
