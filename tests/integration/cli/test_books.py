"""`penstock runs`, `rejects`, `doctor`, `migrate`, `roles` as processes, at a width of 80."""

from __future__ import annotations

import json
import os
import pty
import secrets
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastexcel
import psycopg
import pytest
from psycopg import sql

from penstock import load_table
from tests.fixtures.postgres import Database
from tests.fixtures.server import Server
from tests.integration.cli.program import command, environment, label, penstock

ORDERS = "order_id,customer_id,amount\n10,1,9.50\n11,7,2\n12,1,=1+1\n13,1,\x1b[2J\u202ex\n"


@pytest.fixture
def loaded(shop: Database, folder: Path) -> Database:
    """Rejects 1 (no customer 7), 2 (a formula), 3 (what a terminal would obey); ids by order."""
    (folder / "orders.csv").write_text(ORDERS, encoding="utf-8")
    load_table(shop.url, folder / "customers.csv")
    assert load_table(shop.url, folder / "orders.csv", max_rejects="all").quarantined == 3
    return shop


def said(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON object on stdout."""
    assert done.stdout.count("\n") == 1
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def readable(text: str) -> bool:
    """Nothing that a terminal would obey."""
    return all(line.isprintable() for line in text.splitlines())


COMMANDS = [
    ("runs",),
    ("runs", "show", "abc"),
    ("rejects", "list"),
    ("rejects", "show", "1"),
    ("rejects", "export", "r.csv"),
    ("rejects", "discard", "orders", "--yes"),
    ("rejects", "purge"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_without_a_ledger_the_message_says_what_makes_one(
    shop: Database, folder: Path, words: tuple[str, ...]
) -> None:
    done = penstock(folder, *words, "--dsn", shop.url, "--json")
    assert done.returncode == 1
    assert said(done)["error"]["code"] == "3F000"
    plain = penstock(folder, *words, "--dsn", shop.url)
    assert plain.stdout == ""
    assert "penstock migrate" in plain.stderr
    assert not (folder / "r.csv").exists()


@pytest.mark.parametrize(
    "words",
    [
        *[("runs",), ("runs", "show"), ("doctor",), ("migrate",), ("roles",)],
        *[("rejects", name) for name in ("list", "show", "export", "discard", "purge")],
    ],
    ids=" ".join,
)
def test_help_has_examples_and_fits_80_columns(folder: Path, words: tuple[str, ...]) -> None:
    done = penstock(folder, *words, "--help", COLUMNS="80")
    assert done.returncode == 0
    assert "Examples" in done.stdout
    assert f"penstock {' '.join(words)}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_what_waits_is_listed_by_table_column_and_code(loaded: Database, folder: Path) -> None:
    done = penstock(folder, "rejects", "list", "--dsn", loaded.url, "--json")
    assert done.returncode == 0
    assert label(loaded.url) in done.stderr
    assert "orders: 3 rows waiting" in done.stderr
    assert readable(done.stderr)
    assert max(map(len, done.stderr.splitlines())) <= 80
    assert not any(line.endswith(" ") for line in done.stderr.splitlines())
    groups = said(done)["groups"]
    assert [(g["table"], g["column"], g["code"], g["rows"], g["table_rows"]) for g in groups] == [
        ("orders", "amount", "22P02", 2, 3),
        ("orders", "customer_id", "23503", 1, 3),
    ]
    assert groups[1]["sample"]["value"] == "7"
    assert groups[1]["sample"]["line"] == 3
    nothing = penstock(folder, "rejects", "list", "customers", "--dsn", loaded.url)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "No row waits." in nothing.stderr
    wrong = penstock(folder, "rejects", "list", "--status", "open", "--dsn", loaded.url)
    assert wrong.returncode == 2
    mistyped = penstock(folder, "rejects", "list", "oders", "--dsn", loaded.url)
    assert "There is no table oders. Did you mean orders?" in mistyped.stderr
    strange = penstock(folder, "rejects", "list", "xyz", "--dsn", loaded.url)
    assert "There is no table xyz. There are: orders, customers." in strange.stderr
    assert "waiting, replayed, resolved, discarded, void, all." in wrong.stderr


def test_a_reject_is_shown_whole_and_cannot_move_the_terminal(
    loaded: Database, folder: Path
) -> None:
    done = penstock(folder, "rejects", "show", "3", "1", "--dsn", loaded.url, "--json")
    assert done.returncode == 0
    assert readable(done.stderr)
    assert "\\x1b[2J\\u202ex" in done.stderr
    first, third = said(done)["rejects"]
    assert first["values"] == {"order_id": "11", "customer_id": "7", "amount": "2"}
    assert first["raw"] == "11,7,2"
    assert first["key"] == ["11"]
    assert [fault["code"] for fault in first["faults"]] == ["23503"]
    assert third["values"]["amount"] == "\x1b[2J\u202ex"
    missing = penstock(folder, "rejects", "show", "1", "99", "--dsn", loaded.url)
    assert missing.returncode == 2
    assert "There is no reject 99" in missing.stderr
    assert penstock(folder, "rejects", "show", "x", "--dsn", loaded.url).returncode == 2


def test_rejects_are_exported_privately_and_never_over_a_file(
    loaded: Database, folder: Path
) -> None:
    done = penstock(folder, "rejects", "export", "r.csv", "--dsn", loaded.url, "--json")
    assert (done.returncode, said(done)["rows"]) == (0, 3)
    assert done.stderr.endswith(
        "\n3 rows written to r.csv.\n"
        "Correct it, then load it again: penstock rejects replay r.csv\n"
    )
    path = folder / "r.csv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = path.read_text("utf-8-sig").splitlines()
    assert lines[0] == "_id,_column,_reason,_value,_of,order_id,customer_id,amount"
    assert lines[2].endswith(",12,1,'=1+1")
    before = (folder / "orders.csv").read_bytes()
    over = penstock(folder, "rejects", "export", "orders.csv", "orders", "--dsn", loaded.url)
    assert over.returncode == 2
    assert "--overwrite" in over.stderr
    assert (folder / "orders.csv").read_bytes() == before
    again = ("rejects", "export", "r.csv", "--overwrite", "--code", "23503")
    assert penstock(folder, *again, "--dsn", loaded.url).returncode == 0
    assert len(path.read_text("utf-8").splitlines()) == 2


def test_the_rejects_of_a_failed_load_are_exported_by_its_run(
    loaded: Database, folder: Path
) -> None:
    (folder / "bad.csv").write_text("customer_id,name\nx,Ann\ny,Bob\n", encoding="utf-8")
    assert penstock(folder, "load", "bad.csv", "customers", "--dsn", loaded.url).returncode == 1
    runs = said(penstock(folder, "runs", "--dsn", loaded.url, "--json"))["runs"]
    prefix = runs[0]["run_id"][:8]
    done = penstock(
        folder, "rejects", "export", "r.xlsx", "--load", prefix, "--dsn", loaded.url, "--json"
    )
    assert said(done)["rows"] == 2
    assert "save it as .csv, then load it again: penstock load r.csv customers" in done.stderr
    sheet = fastexcel.read_excel(folder / "r.xlsx").load_sheet(0, dtypes="string").to_polars()
    assert sheet["customer_id"].to_list() == ["x", "y"]


def test_a_failed_load_names_its_run_and_its_rejects_are_listed(
    loaded: Database, folder: Path
) -> None:
    (folder / "bad.csv").write_text("customer_id,name\nx,Ann\ny,Bob\n", encoding="utf-8")
    failed = penstock(folder, "load", "bad.csv", "customers", "--dsn", loaded.url)
    runs = said(penstock(folder, "runs", "--dsn", loaded.url, "--json"))["runs"]
    prefix = runs[0]["run_id"][:8]
    for view in ([], ["show", prefix]):
        told = penstock(folder, "runs", *view, "--dsn", loaded.url).stderr
        assert "every row was refused (2 of 2)" in told
        assert "\\n" not in told
    assert failed.stderr.endswith(f"\nWhat was refused: penstock runs show {prefix}.\n")
    listed = penstock(folder, "rejects", "list", "--run", prefix, "--dsn", loaded.url, "--json")
    groups = said(listed)["groups"]
    assert [(g["table"], g["code"], g["status"], g["rows"], g["table_rows"]) for g in groups] == [
        ("customers", "22P02", "void", 2, 2)
    ]
    assert f"penstock rejects export rejects.csv --load {prefix}" in listed.stderr
    words = ("--run", prefix, "--status", "waiting")
    waiting = penstock(folder, "rejects", "list", *words, "--dsn", loaded.url)
    assert "No row waits." in waiting.stderr


def test_discarding_needs_a_choice_and_a_yes(loaded: Database, folder: Path) -> None:
    nothing = penstock(folder, "rejects", "discard", "--dsn", loaded.url)
    assert nothing.returncode == 2
    assert "--id" in nothing.stderr
    words = ("rejects", "discard", "orders", "--code", "22P02", "--note", "a test")
    unasked = penstock(folder, *words, "--dsn", loaded.url)
    assert unasked.returncode == 2
    assert "2 rows would be discarded: pass --yes" in unasked.stderr
    done = penstock(folder, *words, "--yes", "--dsn", loaded.url, "--json")
    assert (done.returncode, said(done)["discarded"]) == (0, 2)
    shown = said(penstock(folder, "rejects", "show", "2", "--dsn", loaded.url, "--json"))
    assert shown["rejects"][0]["status"] == "discarded"
    assert shown["rejects"][0]["note"] == "a test"
    assert "@" in shown["rejects"][0]["discarded_by"]
    again = penstock(folder, *words, "--yes", "--dsn", loaded.url, "--json")
    assert (again.returncode, said(again)["discarded"]) == (0, 0)


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 3), ("y", 0, 2)])
def test_on_a_terminal_discarding_asks(
    loaded: Database, folder: Path, answer: str, code: int, left: int
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "rb") as keyboard:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            command("rejects", "discard", "--id", "1", "--dsn", loaded.url),
            cwd=folder,
            env=environment(),
            stdin=keyboard,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    os.close(ours)
    assert done.returncode == code
    assert "Discard 1 row?" in done.stderr
    with loaded.connect() as connection:
        waiting = connection.execute("select count(*) from penstock.rejects where status='waiting'")
        assert waiting.fetchone() == (left,)


def test_purging_deletes_what_was_closed_long_ago(loaded: Database, folder: Path) -> None:
    with loaded.connect() as connection:
        connection.execute(
            "update penstock.rejects set status = 'resolved', closed_at = now() - interval '2 days'"
            " where reject_id = 1"
        )
    kept = penstock(folder, "rejects", "purge", "--dsn", loaded.url, "--json")
    assert (kept.returncode, said(kept)["purged"]) == (0, 0)
    done = penstock(folder, "rejects", "purge", "--days", "1", "--dsn", loaded.url, "--json")
    assert (done.returncode, said(done)["purged"]) == (0, 1)


def test_runs_are_listed_and_shown_by_the_beginning_of_their_id(
    shop: Database, folder: Path
) -> None:
    loaded = shop
    (folder / "orders.csv").write_text(ORDERS, encoding="utf-8")
    for words in (("customers.csv",), ("orders.csv", "--max-rejects", "all")):
        penstock(folder, "load", *words, "--dsn", loaded.url)
    done = penstock(folder, "runs", "--dsn", loaded.url, "--json")
    assert done.returncode == 0
    newest, first = said(done)["runs"]
    assert (newest["tables"], newest["read"], newest["quarantined"]) == (["orders"], 4, 3)
    assert first["tables"] == ["customers"]
    assert newest["command"] == "penstock load orders.csv --max-rejects all"  # no --dsn
    assert newest["run_id"][:8] in done.stderr
    one = penstock(folder, "runs", "show", newest["run_id"][:6], "--dsn", loaded.url, "--json")
    assert one.returncode == 0
    assert "4 read = 1 inserted + 3 quarantined" in one.stderr
    assert readable(one.stderr)
    [load] = said(one)["run"]["loads"]
    assert {(r["column"], r["code"], r["rows"]) for r in load["reasons"]} == {
        ("amount", "22P02", 2),
        ("customer_id", "23503", 1),
    }
    before = penstock(folder, "runs", "--dsn", loaded.url, "--json", "show", newest["run_id"])
    assert said(before)["run"]["run_id"] == newest["run_id"]
    limited = penstock(folder, "runs", "--limit", "1", "--dsn", loaded.url, "--json")
    assert len(said(limited)["runs"]) == 1
    assert penstock(folder, "runs", "show", "zz", "--dsn", loaded.url).returncode == 2


def test_migrate_installs_the_ledger_once(shop: Database, folder: Path) -> None:
    first = penstock(folder, "migrate", "--dsn", shop.url, "--json")
    assert first.returncode == 0
    assert (said(first)["changed"], said(first)["before"]) == (True, None)
    again = penstock(folder, "migrate", "--dsn", shop.url, "--json")
    assert (again.returncode, said(again)["changed"]) == (0, False)
    assert said(again)["revision"] == said(first)["revision"]
    stranger = shop.role("stranger")
    assert penstock(folder, "migrate", "--dsn", stranger.url).returncode == 1


def test_doctor_ends_with_1_where_something_fails(shop: Database, folder: Path) -> None:
    done = penstock(folder, "doctor", "orders", "--dsn", shop.url, "--json")
    assert done.returncode == 0
    assert said(done)["healthy"] is True
    assert {one["subject"] for one in said(done)["findings"]} >= {"server", "ledger", "orders"}
    assert max(map(len, done.stderr.splitlines())) <= 80
    stranger = shop.role("stranger")
    ill = penstock(folder, "doctor", "orders", "--dsn", stranger.url, "--json")
    assert ill.returncode == 1
    assert said(ill)["healthy"] is False
    assert "GRANT SELECT, INSERT ON orders" in ill.stderr


@pytest.fixture
def owner(postgres_server: Server) -> Iterator[str]:
    """An owner's name; its role is dropped after the test's database."""
    name = f"owner_{secrets.token_hex(4)}"
    yield name
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(name)))


def test_roles_prints_sql_or_runs_it_and_the_loader_can_then_load(
    owner: str, shop: Database, folder: Path
) -> None:
    etl = shop.role("etl")
    with shop.connect() as connection:
        connection.execute(f'grant select, insert on customers to "{etl.name}"'.encode())
    words = ("roles", "--owner", owner, "--loader", etl.name, "--dsn", shop.url)
    early = penstock(folder, *words, "--print")
    assert early.returncode == 1
    assert "penstock migrate" in early.stderr
    done = penstock(folder, *words)
    assert (done.returncode, done.stdout) == (0, "")
    printed = penstock(folder, *words, "--print")
    assert printed.stdout.startswith("begin;\n")
    assert printed.stdout.endswith("commit;\n")
    assert f'grant select, insert, update on "penstock"."runs" to "{etl.name}";' in printed.stdout
    assert said(penstock(folder, *words, "--json"))["applied"] is True
    load = penstock(folder, "load", "customers.csv", "--dsn", etl.url, "--json")
    assert (load.returncode, said(load)["inserted"]) == (0, 2)
    assert penstock(folder, "rejects", "list", "--dsn", etl.url).returncode == 0
    assert penstock(folder, "doctor", "customers", "--dsn", etl.url).returncode == 0
    purge = penstock(folder, "rejects", "purge", "--dsn", etl.url)
    assert purge.returncode == 1
    assert owner in purge.stderr
    missing = penstock(folder, "roles", "--loader", "no_such_role", "--dsn", shop.url)
    assert missing.returncode == 2
    assert "There is no role no_such_role" in missing.stderr
