"""The tests of loading again, on the oldest PostgreSQL that is promised: 15, as Debian ships it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path("/usr/lib/postgresql/15/bin")


@pytest.mark.system
@pytest.mark.parametrize("tests", ["tests/integration/loading", "tests/acceptance"])
def test_loading_holds_on_postgresql_15(tests: str) -> None:
    assert (PROGRAMS / "initdb").is_file(), f"{PROGRAMS} has no server: apt install postgresql-15"
    options = ["-m", "not system and not slow", "-n", "2", "--dist", "loadgroup"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PENSTOCK_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", tests, *options],
        cwd=ROOT,
        env={**kept, "PENSTOCK_PG_BIN": str(PROGRAMS)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert "PostgreSQL 15." in ended.stdout, said
