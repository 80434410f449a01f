"""`penstock load`, `load-star` and `clear` as a user runs them, on a real server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from penstock.postgres.embedded import Cluster
from tests.fixtures.postgres import Database
from tests.integration.cli.program import counted, label, penstock

KEYS = [
    *("run_id", "load_id", "target", "table", "mode", "read", "inserted", "updated"),
    *("unchanged", "deleted", "inferred", "ignored", "filtered", "quarantined", "seconds"),
    *("strategy", "changes", "reasons", "skipped", "warnings", "dry_run", "ddl", "waited"),
]


def test_all_rows_landed_is_exit_0(shop: Database, folder: Path) -> None:
    said = penstock(folder, "load", "customers.csv", "--json", PENSTOCK_DSN=shop.url)
    assert said.returncode == 0
    assert said.stderr.splitlines()[0] == f"{label(shop.url)} (from PENSTOCK_DSN)"
    assert "customers: 2 read, 2 inserted" in said.stderr
    found = json.loads(said.stdout)
    assert list(found) == KEYS
    assert found["target"] == label(shop.url)
    assert (found["table"], found["mode"], found["read"]) == ("customers", "append", 2)
    assert counted(shop, "customers") == 2


def test_rows_in_quarantine_are_exit_3_unless_that_is_ok(shop: Database, folder: Path) -> None:
    penstock(folder, "load", "customers.csv", PENSTOCK_DSN=shop.url)
    loads = ["load", "orders.csv", "--mode", "truncate", "--max-rejects", "1"]
    said = penstock(folder, *loads, PENSTOCK_DSN=shop.url)
    assert (said.returncode, said.stdout) == (3, "")
    assert "orders: 3 read, 2 inserted, 1 quarantined" in said.stderr
    assert "customer_id 23503, 1 row: 7 is not in customers" in said.stderr
    assert 'orders.csv line 4: "7"' in said.stderr
    assert "penstock rejects list" in said.stderr
    excused = penstock(folder, *loads, "--rejects-ok", "--quiet", PENSTOCK_DSN=shop.url)
    assert (excused.returncode, excused.stderr) == (0, "")


def test_a_failed_load_is_exit_1_and_changes_nothing(shop: Database, folder: Path) -> None:
    penstock(folder, "load", "customers.csv", PENSTOCK_DSN=shop.url)
    said = penstock(folder, "load", "orders.csv", "--json", PENSTOCK_DSN=shop.url)
    error = json.loads(said.stdout)["error"]
    assert (said.returncode, error["exit_code"], error["code"]) == (1, 1, "budget")
    assert "--max-rejects" in error["message"]
    assert counted(shop, "orders") == 0


def test_locked_tables_are_exit_75(shop: Database, folder: Path) -> None:
    with psycopg.connect(shop.url) as reader:
        reader.execute("select count(*) from customers")
        said = penstock(
            folder,
            *("load-star", ".", "--lock-timeout", "1", "--max-rejects", "all", "--json"),
            PENSTOCK_DSN=shop.url,
        )
        assert said.returncode == 75
        assert json.loads(said.stdout)["error"]["code"] == "55P03"
        cleared = penstock(
            folder, "clear", "customers", "orders", "--lock-timeout", "1", PENSTOCK_DSN=shop.url
        )
        assert cleared.returncode == 75
    assert "Traceback" not in said.stderr + cleared.stderr


def test_a_star_loads_in_one_transaction_and_answers_for_each_table(
    shop: Database, folder: Path
) -> None:
    said = penstock(
        folder.parent, "load-star", folder, "--max-rejects", "1", "--json", PENSTOCK_DSN=shop.url
    )
    assert said.returncode == 3
    found = json.loads(said.stdout)
    assert list(found) == ["run_id", "target", "tables", "seconds"]
    assert [(one["table"], one["inserted"]) for one in found["tables"]] == [
        ("customers", 2),
        ("orders", 2),
    ]
    assert "2 tables, 5 rows" in said.stderr
    only = penstock(
        folder, "load-star", ".", "--tables", "orders", "--max-rejects", "1", PENSTOCK_DSN=shop.url
    )
    assert only.returncode == 3
    assert "customers:" not in only.stderr


def test_clear_empties_what_is_named_or_refuses(shop: Database, folder: Path) -> None:
    penstock(folder, "load-star", ".", "--max-rejects", "1", PENSTOCK_DSN=shop.url)
    refused = penstock(folder, "clear", "customers", PENSTOCK_DSN=shop.url)
    assert refused.returncode == 1
    assert "orders refers to customers" in refused.stderr
    said = penstock(folder, "clear", "customers", "--cascade", "--json", PENSTOCK_DSN=shop.url)
    assert said.returncode == 0
    assert json.loads(said.stdout) == {
        "target": label(shop.url),
        "cleared": [
            {"table": "customers", "rows": 2, "named": True, "superseded": 0},
            {"table": "orders", "rows": 2, "named": False, "superseded": 0},
        ],
    }
    assert counted(shop, "customers") == 0


def test_a_dry_run_says_that_nothing_was_changed(shop: Database, folder: Path) -> None:
    said = penstock(folder, "load", "customers.csv", "--dry-run", PENSTOCK_DSN=shop.url)
    assert said.returncode == 0
    assert "nothing was changed" in said.stderr
    assert counted(shop, "customers") == 0


def test_the_same_content_is_skipped_and_named(shop: Database, folder: Path) -> None:
    penstock(folder, "load", "customers.csv", PENSTOCK_DSN=shop.url)
    said = penstock(folder, "load", "customers.csv", "--json", PENSTOCK_DSN=shop.url)
    assert said.returncode == 0
    assert "skipped: customers.csv" in said.stderr
    assert len(json.loads(said.stdout)["skipped"]) == 1
    dry = penstock(folder, "load", "customers.csv", "--dry-run", PENSTOCK_DSN=shop.url)
    assert dry.returncode == 0
    assert "Dry run: there was nothing to load." in dry.stderr
    assert "rolled back" not in dry.stderr


def test_options_reach_the_loader(shop: Database, folder: Path) -> None:
    (folder / "raw.txt").write_bytes("1|Zoë|9,5\n2|NA|1.234,567\n3|x|\n".encode("cp1252"))
    with shop.connect() as connection:
        connection.execute("create table raw (id int, name text, amount numeric(8,2))")
    said = penstock(
        folder,
        *("load", "raw.txt", "raw", "--no-header", "--columns", "id,name,amount"),
        *("--delimiter", "|", "--encoding", "cp1252", "--numbers", "1.234,56", "--null", "NA"),
        *("--round", "--json"),
        PENSTOCK_DSN=shop.url,
    )
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["changes"] == {"rounded": 1}
    with shop.connect() as connection:
        rows = connection.execute("select id, name, amount::text from raw order by 1").fetchall()
    assert rows == [(1, "Zoë", "9.50"), (2, None, "1234.57"), (3, "x", None)]


def test_renamed_columns_and_placeholder_parents(shop: Database, folder: Path) -> None:
    (folder / "in.csv").write_text("No,Customer,amount,x\n1,5,2,y\n", encoding="utf-8")
    with shop.connect() as connection:
        connection.execute("alter table customers alter name drop not null")
    said = penstock(
        folder,
        *("load", "in.csv", "orders", "--columns", "No=order_id,Customer=customer_id"),
        *("--ignore-extra", "--orphans", "customer_id=null", "--json"),
        PENSTOCK_DSN=shop.url,
    )
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["changes"] == {"orphans_nulled": 1}


def test_the_ledger_keeps_the_command_without_secrets(shop: Database, folder: Path) -> None:
    penstock(folder, "load", "customers.csv", "--dsn", shop.url)
    with shop.connect() as connection:
        commands = connection.execute("select command from penstock.runs").fetchall()
    assert commands == [("penstock load customers.csv",)]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (["load", "nope.csv"], 1, "Nothing there: nope.csv"),
        (["load", "customers.csv", "custommers"], 2, "Did you mean customers"),
        (["load", "customers.csv", "orders"], 1, "name"),
        (["load", "customers.csv", "--dates", "soon"], 2, "--dates"),
        (["load", "customers.csv", "--encoding", "klingon"], 2, "--encoding"),
        (["load-star", "nowhere"], 2, "There is no folder nowhere"),
        (["clear", "nope"], 2, "There is no table nope"),
    ],
)
def test_a_mistake_is_told_without_a_stack_trace(
    shop: Database, folder: Path, arguments: list[str], exit_code: int, told: str
) -> None:
    said = penstock(folder, *arguments, PENSTOCK_DSN=shop.url)
    assert said.returncode == exit_code, said.stderr
    assert told in said.stderr
    assert "fault of Penstock" not in said.stderr
    assert "Traceback" not in said.stderr
    assert str(urlsplit(shop.url).password) not in said.stdout + said.stderr


def test_a_wrong_password_is_told_without_it(shop: Database, folder: Path) -> None:
    right = urlsplit(shop.url)
    wrong = shop.url.replace(f":{right.password}@", ":s3cret@", 1)
    said = penstock(folder, "load", "customers.csv", "--dsn", wrong)
    assert said.returncode != 0
    assert "password authentication failed" in said.stderr
    assert "s3cret" not in said.stderr
    assert "Traceback" not in said.stderr
    unread = penstock(folder, "load", "customers.csv", "--dsn", "postgresql://u:s3cret@[/d")
    assert unread.returncode == 2
    assert "s3cret" not in unread.stderr


def _variables(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    return {
        "POSTGRES_HOST": str(parts.hostname),
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_DB": parts.path[1:],
        "POSTGRES_USER": str(parts.username),
        "POSTGRES_PASSWORD": str(parts.password),
    }


def test_the_database_is_named_by_variables_or_a_file(shop: Database, folder: Path) -> None:
    variables = _variables(shop.url)
    said = penstock(folder, "load", "customers.csv", **variables)
    assert said.returncode == 0
    assert said.stderr.startswith(f"{label(shop.url)} (from POSTGRES_*)")
    text = "".join(f"{name}={value}\n" for name, value in variables.items())
    (folder / ".env").write_text(text, encoding="utf-8")
    below = folder / "below"
    below.mkdir()
    by_file = penstock(below, "load", "../customers.csv", "--again", "--mode", "append")
    assert by_file.returncode == 1  # the keys are there already: the right database was found
    assert by_file.stderr.startswith(f"{label(shop.url)} (from POSTGRES_*)")
    over = penstock(folder, "load", "customers.csv", PENSTOCK_DSN="postgresql://127.0.0.1:1/none")
    assert over.returncode == 75
    assert "(from PENSTOCK_DSN)" in over.stderr


def test_without_a_database_every_way_to_name_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n", encoding="utf-8")
    said = penstock(tmp_path, "load", "a.csv")
    assert said.returncode == 2
    for way in ("--dsn", "PENSTOCK_DSN", "POSTGRES_HOST", "penstock pg start"):
        assert way in said.stderr
    half = penstock(tmp_path, "load", "a.csv", POSTGRES_DB="shop")
    assert half.returncode == 2
    assert (
        "POSTGRES_DB is set, and POSTGRES_USER, POSTGRES_PASSWORD are missing: set them in"
        in half.stderr
    )
    most = penstock(tmp_path, "load", "a.csv", POSTGRES_DB="shop", POSTGRES_PASSWORD="")
    assert "POSTGRES_DB, POSTGRES_PASSWORD are set, and POSTGRES_USER is missing: set it in" in (
        most.stderr
    )


@pytest.fixture
def project(session_folder: Path) -> Iterator[Path]:
    made = session_folder / f"project-{secrets.token_hex(4)}"
    made.mkdir()
    made.chmod(0o755)
    yield made
    Cluster.of_project(made).remove()


def test_the_server_of_the_folder_is_started_where_nothing_else_is_named(project: Path) -> None:
    (project / "t.csv").write_text("a\n1\n", encoding="utf-8")
    (project / ".penstock" / "pg").mkdir(parents=True)
    missing = penstock(project, "load", "t.csv")
    assert missing.returncode == 2
    assert "(from embedded, .penstock/pg)" in missing.stderr
    assert "was started" in missing.stderr
    cluster = Cluster.of_project(project)
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("create table public.t (a int)")
    said = penstock(project, "load", "t.csv", "--json")
    assert said.returncode == 0
    assert json.loads(said.stdout)["target"] == label(cluster.url)
    assert "was started" not in said.stderr
