"""Runs `penstock` as a user does: as a process, in a folder, with a clean environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.fixtures import programs
from tests.fixtures.postgres import Database

_SCRUBBED = ("PENSTOCK_", "POSTGRES_", "PG", "FORCE_COLOR", "NO_COLOR", "COLUMNS")


def environment(**variables: str) -> dict[str, str]:
    """The environment without what names a database, and with these variables."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(_SCRUBBED)}
    return {**clean, **variables}


def command(*arguments: str | Path) -> list[str]:
    """The command line of the program."""
    return [sys.executable, "-m", "penstock", *map(str, arguments)]


def penstock(
    folder: Path, *arguments: str | Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the program in the folder; what it said is in `stdout` and `stderr`."""
    words = command(*arguments)[1:]
    return programs.run(*words, folder=folder, variables=environment(**variables))


def counted(database: Database, table: str) -> int:
    """Rows of a table."""
    with database.connect() as connection:
        row = connection.execute(f"select count(*) from {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def label(url: str) -> str:
    """How Penstock names the database of a URL."""
    parts = urlsplit(url)
    return f"{parts.username}@{parts.hostname}:{parts.port}{parts.path}"
