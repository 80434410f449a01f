"""`penstock new migration` writes a revision after the newest one, empty or drafted from models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.cli.program import penstock
from tests.integration.revisions.conftest import Project

MODELS = '''
from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, DateTime, Index, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The project's tables."""


class Event(Base):
    """What happened."""

    __tablename__ = "events"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="events_quantity_check"),
        Index("events_type_occurred_at", "type", "occurred_at"),
        {"postgresql_partition_by": "RANGE (occurred_at)"},
    )

    event_id: Mapped[str] = mapped_column(Text, primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int | None]
    price: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    payload: Mapped[dict | None] = mapped_column(JSONB)
'''
COLUMNS = """
select string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' order by attnum)
from pg_attribute where attrelid = 'events'::regclass and attnum > 0
"""


def new(project: Project, *words: str) -> Path | None:
    """Run it; gives the file that it wrote."""
    done = penstock(project.folder, "new", "migration", *words, "--json")
    assert done.returncode == 0, done.stderr
    file = json.loads(done.stdout)["file"]
    return None if file is None else Path(file)


def test_each_one_follows_the_newest_one_and_runs_as_it_was_written(project: Project) -> None:
    first, second = new(project, "first_tables"), new(project, "add_country")
    assert first == project.folder / "migrations" / "0001_first_tables.py"
    assert second == project.folder / "migrations" / "0002_add_country.py"
    done = project.migrate("--json")
    assert done.returncode == 0, done.stderr
    ran = json.loads(done.stdout)["ran"]
    assert [one["title"] for one in ran] == ["First tables.", "Add country."]
    assert project.at() == [ran[1]["revision"]]


@pytest.mark.parametrize("name", ["Add-Country", "../x", "1st"])
def test_a_name_that_is_none_is_refused(project: Project, name: str) -> None:
    done = penstock(project.folder, "new", "migration", name)
    assert done.returncode == 2
    assert not (project.folder / "migrations").exists()


def test_outside_of_a_project_nothing_is_written(tmp_path: Path) -> None:
    done = penstock(tmp_path, "new", "migration", "add_country")
    assert done.returncode == 2
    assert "penstock new DIR" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("schema", ["public", "shop"])
def test_models_become_a_partitioned_table_and_then_what_they_have_more(
    project: Project, schema: str
) -> None:
    project.configure(project.database.url, migrations={"schema": schema})
    with project.database.connect() as connection:
        connection.execute("create schema if not exists shop")
        connection.execute("create table public.of_another_program (id int)")
        connection.execute(f"set search_path = {schema}".encode())
        models = project.folder / "models.py"
        models.write_text(MODELS, encoding="utf-8")
        assert new(project, "first_tables", "--from-models", "models.py") is not None
        done = project.migrate()
        assert done.returncode == 0, done.stderr
        row = connection.execute(COLUMNS).fetchone()
        assert row == (
            "event_id text, occurred_at timestamp with time zone, type text, quantity integer, "
            "price numeric(12,2), payload jsonb",
        )
        kind = "select relkind, pg_get_partkeydef(oid) from pg_class where oid = 'events'::regclass"
        assert connection.execute(kind).fetchone() == ("p", "RANGE (occurred_at)")
        part = (
            "create table events_2026_01 partition of events "
            "for values from ('2026-01-01 00:00+00') to ('2026-02-01 00:00+00')"
        )
        connection.execute(part)
        connection.execute("create table unknown_to_models (id int)")
        assert new(project, "nothing", "--from-models", "models.py") is None
        models.write_text(f"{MODELS}    country: Mapped[str | None]\n", encoding="utf-8")
        added = new(project, "add_country", "--from-models", "models.py")
        assert added is not None
        text = added.read_text(encoding="utf-8")
        assert text.count("op.") == 2  # one way and back
        assert project.migrate().returncode == 0
        row = connection.execute(COLUMNS).fetchone()
        assert row is not None
        assert row[0].endswith(", country character varying")
        kept = "select to_regclass('public.of_another_program'), to_regclass('unknown_to_models')"
        assert None not in (connection.execute(kept).fetchone() or [None])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "neither Base"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        (None, "There is no file models.py"),
    ],
)
def test_models_that_cannot_be_read_are_told(project: Project, text: str | None, told: str) -> None:
    if text is not None:
        (project.folder / "models.py").write_text(text, encoding="utf-8")
    done = penstock(project.folder, "new", "migration", "x", "--from-models", "models.py")
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())
    assert not (project.folder / "migrations").exists()
