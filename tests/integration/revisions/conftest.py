"""A project with a warehouse and a folder of revisions, and `penstock migrate` in it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import programs
from tests.fixtures.postgres import Database
from tests.integration.cli.program import environment, penstock

_FILE = '''"""{title}."""

import time

import sqlalchemy as sa
from alembic import context, op

revision = "{revision}"
down_revision = {follows!r}
{more}

def upgrade() -> None:
{body}
'''


@dataclass
class Project:
    """A project's folder; its warehouse is the test's database."""

    folder: Path
    database: Database

    def configure(self, url: str, **more: object) -> None:
        warehouse = {"kind": "postgres", "url": url}
        env = {"project": "shop", **more, "dev": {"warehouse": warehouse}}
        (self.folder / "config.py").write_text(f"env = {env!r}\n", encoding="utf-8")

    def revision(self, name: str, body: str, *, follows: str | None = None, more: str = "") -> Path:
        """Write a revision; its id is its name, its body Python without indentation."""
        folder = self.folder / "migrations"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.py"
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        text = _FILE.format(title=name, revision=name, follows=follows, more=more, body=lines)
        path.write_text(text, encoding="utf-8")
        return path

    def statements(self, name: str, *sql: str, follows: str | None = None) -> Path:
        """Write a revision that runs these statements."""
        body = "\n".join(f"op.execute({one!r})" for one in sql)
        return self.revision(name, body, follows=follows)

    def migrate(self, *words: str) -> subprocess.CompletedProcess[str]:
        return penstock(self.folder, "migrate", *words)

    def check(self) -> dict[str, Any]:
        """What `--check --json` says; it ends with 3 exactly where something is not accepted."""
        done = self.migrate("--check", "--json")
        found: dict[str, Any] = json.loads(done.stdout)
        waiting = [one for one in found.get("warnings", []) if one["accepted"] is None]
        assert done.returncode == (3 if waiting else 0), done.stderr
        return found

    def rules(self) -> list[tuple[str, str | None]]:
        """The rules that speak, and the tables that they speak of."""
        return [(one["rule"], one["table"]) for one in self.check()["warnings"]]

    def start(self, *words: str) -> programs.Program:
        """`penstock migrate` as a process that goes on beside the test."""
        return programs.Program(
            "-m", "penstock", "migrate", *words, folder=self.folder, variables=environment()
        )

    def at(self, schema: str = "public") -> list[str]:
        """What the version table says."""
        with self.database.connect() as connection:
            rows = connection.execute(f"select version_num from {schema}.alembic_version".encode())
            return [row[0] for row in rows]

    def one(self, query: str) -> Any:
        """The only value of a query."""
        with self.database.connect() as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Project:
    made = Project(tmp_path, database)
    made.configure(database.url)
    return made
