"""A project whose mains are due as a test says, and schedulers with a clock of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.schedule.mains import scheduled
from penstock.schedule.scheduler import Scheduler
from tests.fixtures import programs
from tests.fixtures.postgres import Database
from tests.fixtures.programs import Program
from tests.integration.cli.program import command, environment

CONFIG = """
env = {{"project": "shop", "dev": {{"warehouse": {{"kind": "postgres", "url": {url!r}}}}}}}
"""
#: A flow that notes its start, and ends when there is a file `go`.
FLOW = """
import time
from pathlib import Path
from penstock import Etl
from config import env

schedule = {schedule!r}
missed = {missed!r}
{more}

def flow(etl):
    etl.start()
    with open("begun", "a") as begun:
        begun.write(etl.name + "\\n")
    while not Path("go").exists():
        time.sleep(0.01)
    etl.end()

if __name__ == "__main__":
    raise SystemExit(Etl.main(flow, env))
"""
#: What a scheduler starts, without a flow's cost: it notes its claim.
NOTE = """
import os
schedule = {schedule!r}
missed = {missed!r}

def flow(etl): ...

with open("begun", "a") as begun:
    begun.write(os.environ["PENSTOCK_START"] + "\\n")
"""


@dataclass
class Project:
    """A project in a folder, with a database that has a ledger."""

    folder: Path
    url: str
    said: list[str] = field(default_factory=list)

    def main(
        self,
        name: str = "main",
        *,
        text: str = NOTE,
        schedule: tuple[str, ...] = ("*/5 * * * *",),
        missed: str = "run once",
        more: str = "",
    ) -> None:
        said = text.format(schedule=list(schedule), missed=missed, more=more)
        (self.folder / f"{name}.py").write_text(said, encoding="utf-8")

    def go(self) -> None:
        (self.folder / "go").touch()

    def begun(self) -> list[str]:
        """What the flows noted at their start."""
        path = self.folder / "begun"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, autocommit=True)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            return connection.execute(query.encode()).fetchall()

    def scheduler(self, clock: Callable[[], datetime]) -> Scheduler:
        made = Scheduler(
            mains=scheduled(self.folder),
            project="shop",
            environment="dev",
            folder=self.folder,
            connect=self.connect,
            say=self.said.append,
            clock=clock,
        )
        made.watch()
        return made

    def once(self, at: datetime) -> Scheduler:
        """Start what is due at a moment, and wait for it."""
        made = self.scheduler(lambda: at)
        made.run(once=True)
        return made

    def program(self, *words: str) -> Program:
        """`penstock schedule` in the project, as a process."""
        started = command("schedule", *words)[1:]
        return Program(*started, folder=self.folder, variables=environment())

    def run_main(self, name: str = "main", **variables: str) -> subprocess.CompletedProcess[str]:
        """`python main.py`."""
        words = (f"{name}.py", "-e", "dev")
        return programs.run(*words, folder=self.folder, variables=environment(**variables))


@pytest.fixture
def project(ledger_database: Database, tmp_path: Path) -> Project:
    url = ledger_database.url
    (tmp_path / "config.py").write_text(CONFIG.format(url=url), encoding="utf-8")
    return Project(tmp_path, url)
