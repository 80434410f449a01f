"""A project is opened for its pipelines: which database, which connectors, and a ledger in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.errors import UsageError
from penstock.events.project import open_project, ready
from tests.fixtures.postgres import Database

PIPELINE = """
from penstock.events.pipeline import Pipeline

one = Pipeline(name="{name}", target="t", key="id", transform=lambda event: event{more})
"""


def project(folder: Path, env: dict[str, Any], *pipelines: str) -> Path:
    (folder / "pipelines").mkdir()
    (folder / "config.py").write_text(f"env = {env!r}\n")
    for number, text in enumerate(pipelines):
        (folder / "pipelines" / f"p{number}.py").write_text(text)
    return folder


def test_the_ledgers_database_is_a_pipelines_own_unless_it_names_another(
    database: Database, tmp_path: Path
) -> None:
    env = {
        "ledger": "books",
        "books": {"kind": "postgres", "url": database.url},
        "dev": {"other": {"kind": "postgres", "host": "h", "database": "d", "user": "u"}},
    }
    pipelines = (
        PIPELINE.format(name="shop", more=""),
        PIPELINE.format(name="far", more=', connector="other"'),
        PIPELINE.format(name="wrong", more=', connector="boks"'),
    )
    with open_project(project(tmp_path, env, *pipelines), None) as opened:
        assert sorted(opened.pipelines) == ["far", "shop", "wrong"]
        with psycopg.connect(opened.dsn(opened.pipeline("shop"))) as connection:
            assert (
                connection.info.dbname == psycopg.conninfo.conninfo_to_dict(database.url)["dbname"]
            )
        assert "host=h" in opened.dsn(opened.pipeline("far"))
        with pytest.raises(UsageError, match=r"boks.*Did you mean books"):
            opened.dsn(opened.pipeline("wrong"))
        with pytest.raises(UsageError, match=r"There is no pipeline shp.*shop"):
            opened.pipeline("shp")


def test_a_database_without_a_ledger_gets_one_and_a_current_one_is_left(
    database: Database,
) -> None:
    ready(database.url)
    with database.connect() as connection:
        connection.execute("create table penstock.mine ()")
    ready(database.url)
    with database.connect() as connection:
        assert connection.execute(
            "select to_regclass('penstock.events') is not null"
        ).fetchone() == (True,)
