"""What else a load leaves: a file of rejects, a calm end, a clean terminal."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.postgres import Database
from tests.integration.cli.program import command, counted, environment, penstock


def test_an_interrupted_load_is_calm_and_changes_nothing(shop: Database, folder: Path) -> None:
    arguments = ("load-star", ".", "--max-rejects", "all")
    with psycopg.connect(shop.url) as reader:
        reader.execute("select count(*) from customers")
        process = subprocess.Popen(
            command(*arguments),
            cwd=folder,
            env=environment(PENSTOCK_DSN=shop.url),
            stderr=subprocess.PIPE,
            text=True,
        )
        _await_lock(shop)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines()[1:] == [
        "Error: Interrupted: the load was rolled back, nothing was changed."
    ]
    assert counted(shop, "customers") == 0


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("loaded", ["", "_ctypes", "polars", "psycopg"])
def test_a_load_that_is_interrupted_while_it_starts_is_calm(
    shop: Database, folder: Path, loaded: str, stop: signal.Signals
) -> None:
    process = subprocess.Popen(
        command("load", "customers.csv", "--json"),
        cwd=folder,
        env=environment(PENSTOCK_DSN=shop.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with psycopg.connect(shop.url) as other:  # should it come so far, it waits
        other.execute("lock table customers")
        _await_start(process.pid, loaded)
        process.send_signal(stop)
        answered, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if "Error" in line] == said.splitlines()[-1:]
    assert "Error: Interrupted" in said
    assert json.loads(answered)["error"]["code"] == "interrupted"
    assert counted(shop, "customers") == 0


def _await_start(pid: int, loaded: str) -> None:
    """Wait until the program looks after SIGTERM itself, and has such a library in memory."""
    caught = 1 << (signal.SIGTERM - 1)
    deadline = time.monotonic() + 20
    while True:
        assert time.monotonic() < deadline, "the program does not start"
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        mask = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.M)
        ready = mask is not None and int(mask[1], 16) & caught
        if ready and loaded in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8"):
            return


def _await_lock(database: Database) -> None:
    """Wait until a load waits for a lock, or pauses between two tries."""
    query = (
        "select 1 from pg_stat_activity where application_name = 'penstock' "
        "and (wait_event_type = 'Lock' or state = 'idle in transaction') "
        "and query ilike '%%lock%%' and datname = %s"
    )
    deadline = time.monotonic() + 20
    with database.connect() as connection:
        while connection.execute(query, [database.name]).fetchone() is None:
            assert time.monotonic() < deadline, "the load does not wait for a lock"
            time.sleep(0.02)


def test_a_terminal_shows_colours_and_no_control_characters_of_values(
    shop: Database, folder: Path
) -> None:
    (folder / "customers.csv").write_text(
        "customer_id,name\n1,Ann\n\x1b[2J\x07evil,Bob\n", encoding="utf-8"
    )
    said = _on_terminal(
        folder, "load", "customers.csv", "--max-rejects", "1", PENSTOCK_DSN=shop.url
    )
    assert b"\x1b[1m" in said
    assert b"\x1b[2J" not in said
    assert b"\x07" not in said
    assert rb"\x1b[2J\x07evil" in said


def test_a_terminal_that_cannot_move_its_cursor_gets_no_empty_line(
    shop: Database, folder: Path
) -> None:
    (folder / "customers.csv").write_text("customer_id,name\n1,Ann\nx,Bob\n", encoding="utf-8")
    arguments = ("load", "customers.csv", "--max-rejects", "1")
    said = _on_terminal(folder, *arguments, PENSTOCK_DSN=shop.url, TERM="dumb")
    assert b"" not in said.strip().splitlines()
    assert b"customers: 2 read" in said


def _on_terminal(folder: Path, *arguments: str, **variables: str) -> bytes:
    """What the program writes on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*arguments),
        cwd=folder,
        env=environment(**{"TERM": "xterm", "COLUMNS": "80", **variables}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while block := os.read(ours, 4096):
            said += block
    os.close(ours)
    assert process.wait(timeout=30) == 3
    return said


def test_an_answer_that_nobody_takes_does_not_change_the_outcome(
    shop: Database, folder: Path
) -> None:
    with Path("/dev/full").open("w", encoding="ascii") as full:
        said = subprocess.run(
            command("load", "customers.csv", "--json"),
            cwd=folder,
            env=environment(PENSTOCK_DSN=shop.url),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert said.returncode == 0
    assert "could not be written: No space left on device" in said.stderr
    assert "Traceback" not in said.stderr
    assert counted(shop, "customers") == 2


def test_the_refused_rows_are_written_to_a_file(shop: Database, folder: Path) -> None:
    penstock(folder, "load", "customers.csv", PENSTOCK_DSN=shop.url)
    said = penstock(
        folder,
        *("load", "orders.csv", "--max-rejects", "1", "--rejects", "bad.csv"),
        PENSTOCK_DSN=shop.url,
    )
    assert said.returncode == 3
    assert "1 refused row is in bad.csv" in said.stderr
    with (folder / "bad.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    del row["_id"], row["_of"]
    assert row == {
        "_column": "customer_id",
        "_reason": "7 is not in customers",
        "_value": "7",
        "order_id": "12",
        "customer_id": "7",
        "amount": "2",
    }


def test_the_refused_rows_of_a_failed_load_are_written_too(shop: Database, folder: Path) -> None:
    said = penstock(folder, "load", "orders.csv", "--rejects", "bad.csv", PENSTOCK_DSN=shop.url)
    assert said.returncode == 1
    assert "The refused rows are in bad.csv (3)" in said.stderr
    assert len((folder / "bad.csv").read_text(encoding="utf-8").splitlines()) == 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--rejects", "bad.txt"], ".csv or .xlsx"),
        (["--rejects", "nowhere/bad.csv"], "nowhere"),
    ],
)
def test_a_file_that_cannot_be_written_is_said_before_the_load(
    shop: Database, folder: Path, arguments: list[str], told: str
) -> None:
    said = penstock(folder, "load", "customers.csv", *arguments, PENSTOCK_DSN=shop.url)
    assert said.returncode == 2
    assert told in said.stderr
    assert counted(shop, "customers") == 0
