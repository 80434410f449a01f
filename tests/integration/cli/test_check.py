"""`penstock check` as a process, in a project whose pipelines declare checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.postgres import Database
from tests.integration.cli.program import penstock

TABLES = """
create table orders (order_id int primary key, amount int, note text);
insert into orders values (1, 5, null), (2, -1, null), (3, null, 'x');
create table visits (visit_id int primary key);
insert into visits values (1);
"""
PIPELINES = """
from penstock import Pipeline, quality

shop = Pipeline(
    name="shop", target="orders", key="order_id", transform=dict,
    checks=[
        quality.between("amount", 0, 10),
        quality.not_null("note", severity="warn", name="noted"),
        quality.not_null("amount", at_least=0.5),
    ],
)
visits = Pipeline(
    name="visits", target="visits", key="visit_id", transform=dict,
    checks=[quality.unique("visit_id"), quality.accepted("visit_id", [2], severity="warn")],
)
plain = Pipeline(name="plain", target="orders", key="order_id", transform=dict)
"""


@pytest.fixture
def project(ledger_database: Database, tmp_path: Path) -> Path:
    with ledger_database.connect() as connection:
        connection.execute(TABLES)
    env: dict[str, Any] = {"dev": {"warehouse": {"kind": "postgres", "url": ledger_database.url}}}
    (tmp_path / "config.py").write_text(f"env = {env!r}\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/all.py").write_text(PIPELINES)
    return tmp_path


def test_all_checks_of_a_project_are_told_in_80_columns_and_kept(
    project: Path, ledger_database: Database
) -> None:
    done = penstock(project, "check", "--json")
    assert done.returncode == 3, done.stderr
    lines = done.stderr.splitlines()
    assert all(len(line) <= 80 for line in lines if " in " not in line)
    assert lines[1:] == [
        "check             result      figure  bound",
        "between(amount)   failed         0.5  at least 1",
        "  1 of 2 rows is outside",
        "  such as order_id 2",
        "  mend them at the source, or allow them: at_least=0.5",
        "noted             warned      0.3333  at least 1",
        "  2 of 3 rows have no value",
        "  such as order_id 1; order_id 2",
        "  mend them at the source, or allow them: at_least=0.3333",
        "not_null(amount)  skipped          -  at least 0.5",
        "  3 rows to look at, fewer than 20",
        lines[12],
        "check               result      figure  bound",
        "unique(visit_id)    passed           1  at least 1",
        "accepted(visit_id)  warned           0  at least 1",
        "  1 of 1 row has another value",
        "  such as visit_id 1",
        "  mend them at the source, or allow them: at_least=0",
        "1 passed, 1 skipped, 2 warned, 1 failed",
    ]
    told = json.loads(done.stdout)
    assert [told[name] for name in ("passed", "skipped", "warned", "failed")] == [1, 1, 2, 1]
    assert told["checks"][0] == {
        "pipeline": "shop", "table": "orders", "name": "between(amount)", "columns": ["amount"],
        "severity": "fail", "outcome": "failed", "figure": 0.5, "bound": "at least 1", "rows": 2,
        "wrong": 1, "examples": ["order_id 2"], "reason": "1 of 2 rows is outside",
        "advice": "mend them at the source, or allow them: at_least=0.5",
    }  # fmt: skip
    with ledger_database.connect() as connection:
        kept = connection.execute(
            "select pipeline, table_name, outcome, figure from penstock.checks order by check_id"
        ).fetchall()
    assert kept == [
        ("shop", "orders", "failed", 0.5), ("shop", "orders", "warned", 1 / 3),
        ("shop", "orders", "skipped", None), ("visits", "visits", "passed", 1.0),
        ("visits", "visits", "warned", 0.0),
    ]  # fmt: skip


def test_a_long_name_is_cut_so_that_its_figures_are_in_the_line(project: Path) -> None:
    long = PIPELINES.replace('"noted"', f"{'n' * 60!r}")
    (project / "pipelines/all.py").write_text(long)
    lines = penstock(project, "check", "shop").stderr.splitlines()
    assert lines[6] == "n" * 39 + "…  warned      0.3333  at least 1"
    assert max(map(len, lines[1:])) <= 80


def test_warnings_alone_end_well(project: Path) -> None:
    assert penstock(project, "check", "visits").returncode == 0
    done = penstock(project, "check", "--table", "visits")
    assert done.returncode == 0
    assert "orders" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("shp",), "There is no pipeline shp. Did you mean shop?"),
        (("plain",), "Pipeline plain declares no checks"),
        (("--table", "visit"), "with checks has the target visit. Did you mean visits?"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_with_what_is(
    project: Path, words: tuple[str, ...], said: str
) -> None:
    done = penstock(project, "check", *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_old_results_are_purged_with_the_rejects(project: Path, ledger_database: Database) -> None:
    penstock(project, "check", "visits")
    with ledger_database.connect() as connection:
        connection.execute("update penstock.checks set checked_at = now() - interval '91 days'")
    done = penstock(project, "rejects", "purge", "--dsn", ledger_database.url, "--json")
    assert done.returncode == 0, done.stderr
    assert "2 results of quality checks purged." in done.stderr
    assert json.loads(done.stdout)["checks"] == 2


def test_the_run_of_a_check_is_among_the_runs(project: Path, ledger_database: Database) -> None:
    penstock(project, "check", "shop")
    done = penstock(project, "runs", "--dsn", ledger_database.url)
    assert done.returncode == 0, done.stderr
    assert "orders: between(amount) failed" in done.stderr
    with ledger_database.connect() as connection:
        row = connection.execute("select run_id::text from penstock.runs").fetchone()
    assert row is not None
    shown = penstock(project, "runs", "show", row[0], "--dsn", ledger_database.url, "--json")
    assert shown.stderr.splitlines()[-3:] == [
        "orders: between(amount) failed: 1 of 2 rows is outside, such as order_id 2",
        "orders: noted warned: 2 of 3 rows have no value, such as order_id 1, order_id 2",
        "orders: not_null(amount) skipped: 3 rows to look at, fewer than 20",
    ]
    found = json.loads(shown.stdout)["run"]["checks"]
    assert [(one["name"], one["outcome"]) for one in found] == [
        ("between(amount)", "failed"), ("noted", "warned"), ("not_null(amount)", "skipped"),
    ]  # fmt: skip
