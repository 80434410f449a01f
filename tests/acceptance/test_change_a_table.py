"""The how-to `change-a-table`, step by step, while old and new programs write all the time.

`tests/docs` compares what its commands print; here its own files run, and no program may notice.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.docs.test_pages import ROOT, blocks
from tests.fixtures.postgres import Database
from tests.integration.cli.program import environment, penstock

PAGE = ROOT / "docs" / "howto" / "change-a-table.md"
#: Seconds between two rows of a program: it leaves the machine some time for the steps.
_PAUSE = 0.002
#: What the programs of three releases run; of the first, the next and the last one.
OLD = "insert into events (event_id, at, land) values (%(id)s, now(), 'AT')"
BOTH = "insert into events (event_id, at, land, country) values (%(id)s, now(), 'AT', 'AT')"
NEWEST = "insert into events (event_id, at, country) values (%(id)s, now(), 'AT')"
READS = {
    OLD: "select land from events where event_id = %(id)s",
    BOTH: "select coalesce(country, land) from events where event_id = %(id)s",
    NEWEST: "select country from events where event_id = %(id)s",
}


class Step:
    """The page's files in their order; a folder gets them one by one."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        self._files = [block for block in blocks(PAGE) if block["name"]]
        self._seed = next(block["text"] for block in blocks(PAGE) if block["kind"] == "sql")

    def write(self, name: str, number: int = 0) -> None:
        """Write a file; the page may have more than one of that name."""
        found = [block["text"] for block in self._files if block["name"] == name]
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(found[number], encoding="utf-8")

    def seed(self) -> None:
        with self.database.connect() as connection:
            connection.execute(self._seed)

    def migrate(self) -> None:
        done = penstock(self.folder, "migrate", PENSTOCK_DSN=self.database.url)
        assert done.returncode == 0, done.stderr

    def backfill(self) -> int:
        done = subprocess.run(
            [sys.executable, "backfill.py"],
            cwd=self.folder,
            env=environment(PENSTOCK_DSN=self.database.url),
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout.split()[0].replace(",", ""))


@contextmanager
def running(database: Database, statement: str, ids: Iterator[int]) -> Iterator[None]:
    """A program that inserts a row and reads it again, without end; an error of it is raised."""
    ended, written = threading.Event(), list[int]()
    failed: list[Exception] = []

    def work() -> None:
        try:
            with psycopg.connect(database.url, autocommit=True) as connection:
                while not ended.wait(_PAUSE):
                    number = {"id": next(ids)}
                    connection.execute(statement, number)
                    row = connection.execute(READS[statement], number).fetchone()
                    assert row == ("AT",)
                    written.append(number["id"])
        except Exception as error:  # noqa: BLE001  raised below, in the test
            failed.append(error)

    def more(than: int) -> None:
        deadline = time.monotonic() + 30
        while len(written) <= than and not failed:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        more(0)
        yield
        more(len(written))
    finally:
        ended.set()
        thread.join()
    assert not failed, failed


def test_no_program_of_any_release_notices_the_steps(database: Database, tmp_path: Path) -> None:
    step, ids = Step(database, tmp_path), itertools.count(1_000_000)
    step.write("config.py")
    step.write("migrations/0001_events.py")
    step.migrate()
    step.seed()
    step.write("backfill.py")
    step.write("migrations/0002_country.py", 1)
    with running(database, OLD, ids):
        step.migrate()
        with running(database, BOTH, ids):
            assert step.backfill() >= 200_000
    with running(database, BOTH, ids):
        step.backfill()
        assert step.backfill() == 0
        for name in ("0003_country_known", "0004_country_valid", "0005_country_not_null"):
            step.write(f"migrations/{name}.py")
            step.migrate()
    with database.connect() as connection:
        wrong = connection.execute("select count(*) from events where country <> land")
        assert wrong.fetchone() == (0,)
    with running(database, NEWEST, ids):
        step.write("migrations/0006_no_land.py")
        step.migrate()
        step.write("migrations/0007_by_country.py")
        step.migrate()
    with database.connect() as connection:
        found = connection.execute("select count(*), count(country), min(country) from events")
        count, known, least = found.fetchone() or (0, 1, "")
        assert count == known > 200_000
        assert least == "AT"


def test_a_backfill_that_is_killed_goes_on_where_rows_are_missing(
    database: Database, tmp_path: Path
) -> None:
    step = Step(database, tmp_path)
    for name in ("config.py", "migrations/0001_events.py", "backfill.py"):
        step.write(name)
    step.write("migrations/0002_country.py", 1)
    step.migrate()
    step.seed()
    filled = "select count(*) from events where country is not null"
    with database.connect() as connection:
        started = subprocess.Popen(
            [sys.executable, "backfill.py"],
            cwd=tmp_path,
            env=environment(PENSTOCK_DSN=database.url),
            stdout=subprocess.DEVNULL,
        )
        while connection.execute(filled).fetchone() == (0,):
            assert started.poll() is None
        started.kill()
        started.wait()
        others = (
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
        while connection.execute(others).fetchone() != (0,):
            time.sleep(0.01)
        row = connection.execute(filled).fetchone()
    assert row is not None
    assert 0 < row[0] < 200_000
    assert row[0] % 5_000 == 0
    assert step.backfill() == 200_000 - row[0]
