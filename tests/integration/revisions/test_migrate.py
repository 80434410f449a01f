"""`penstock migrate` brings ledger and tables up to date, each revision as a whole or not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import alembic.command
import alembic.config
import psycopg
import pytest

from penstock.ledger import install
from tests.fixtures.postgres import Database
from tests.integration.cli.program import penstock
from tests.integration.revisions.conftest import Project

#: Sessions of a database that wait for a lock.
WAITING = """
select count(*) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock'
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_ledger_and_the_tables_are_brought_up_to_date_and_again_nothing_is_done(
    project: Project,
) -> None:
    project.statements("one", "create table events (id int primary key)")
    project.statements("two", "alter table events add column country text", follows="one")
    done = project.migrate("--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["changed"] is True
    assert found["revision"] == install.HEAD
    assert [one["file"] for one in found["ran"]] == ["one.py", "two.py"]
    assert project.at() == ["two"]
    assert (
        project.one("select count(*) from penstock.alembic_version where version_num = 'two'") == 0
    )
    assert project.one("select count(country) from events") == 0
    again = project.migrate("--json")
    assert json.loads(again.stdout)["ran"] == []
    assert json.loads(again.stdout)["changed"] is False
    assert "up to date already" in again.stderr


def test_the_project_may_be_elsewhere_and_its_files_where_alembic_puts_them(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project.statements("one", "create table events (id int primary key)")
    inner = project.folder / "migrations" / "versions"
    inner.mkdir()
    (project.folder / "migrations" / "one.py").rename(inner / "one.py")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    done = penstock(elsewhere, "migrate", "--folder", project.folder, "-e", "dev")
    assert done.returncode == 0, done.stderr
    assert project.at() == ["one"]


ENV = """
from alembic import context
from sqlalchemy import NullPool, create_engine

engine = create_engine({url!r}, poolclass=NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


def test_alembics_own_command_and_this_one_go_on_where_the_other_was(project: Project) -> None:
    project.statements("one", "create table events (id int)")
    versions = project.folder / "migrations" / "versions"
    versions.mkdir()
    (project.folder / "migrations" / "one.py").rename(versions / "one.py")
    url = project.database.url.replace("postgresql:", "postgresql+psycopg:")
    env = project.folder / "migrations" / "env.py"
    env.write_text(ENV.format(url=url), encoding="utf-8")
    config = alembic.config.Config()
    config.set_main_option("script_location", str(project.folder / "migrations"))
    alembic.command.upgrade(config, "head")
    project.statements("two", "alter table events add column country text", follows="one")
    (project.folder / "migrations" / "two.py").rename(versions / "two.py")
    assert [one["file"] for one in json.loads(project.migrate("--json").stdout)["ran"]] == [
        "two.py"
    ]
    alembic.command.upgrade(config, "head")
    assert project.at() == ["two"]


def test_outside_of_a_project_only_the_ledger_is_installed(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "odd.py").write_text("not Python", encoding="utf-8")
    done = penstock(tmp_path, "migrate", "--json", PENSTOCK_DSN=database.url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["revision"] == install.HEAD
    refused = penstock(tmp_path, "migrate", "--check", PENSTOCK_DSN=database.url)
    assert refused.returncode == 2
    assert "--folder" in refused.stderr


def test_what_load_create_wrote_as_a_revision_runs(project: Project) -> None:
    (project.folder / "sales.csv").write_text("sale_id,day\n1,2024-03-01\n", encoding="utf-8")
    words = ("load", "sales.csv", "sales", "--create", "--revision", "migrations/0001_sales.py")
    made = penstock(project.folder, *words, PENSTOCK_DSN=project.database.url)
    assert made.returncode == 0, made.stderr
    assert penstock(project.folder, "new", "migration", "add_note").returncode == 0
    assert (project.folder / "migrations" / "0002_add_note.py").is_file()
    done = project.migrate("--json")
    assert done.returncode == 0, done.stderr
    assert [one["file"] for one in json.loads(done.stdout)["ran"]] == [
        "0001_sales.py",
        "0002_add_note.py",
    ]
    columns = "select string_agg(attname, ',' order by attnum) from pg_attribute where attnum > 0"
    assert project.one(f"{columns} and attrelid = 'sales'::regclass") == "sale_id,day"


def test_the_version_table_is_where_it_is_declared_and_tables_come_first_there(
    project: Project,
) -> None:
    project.configure(project.database.url, migrations={"schema": "shop"})
    project.statements("one", "create table events (id int primary key)")
    assert project.migrate().returncode == 0
    assert project.at("shop") == ["one"]
    assert project.one("select to_regclass('shop.events') is not null")
    assert project.one("select to_regclass('public.alembic_version') is null")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"schema": "penstock"}, "the ledger's"),
        ({"connector": "mail"}, "no PostgreSQL connector; there are warehouse"),
        ({"folder": "x"}, "keys connector and schema"),
    ],
)
def test_settings_that_cannot_be_meant_are_named(
    project: Project, said: dict[str, str], told: str
) -> None:
    project.configure(project.database.url, migrations=said)
    done = project.migrate()
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())


def test_of_several_databases_the_declared_one_has_the_tables(
    project: Project, ledger_database: Database
) -> None:
    books = {"kind": "postgres", "url": ledger_database.url}
    project.configure(project.database.url, books=books, migrations={"connector": "warehouse"})
    project.statements("one", "create table events (id int primary key)")
    unclear = project.migrate()
    assert unclear.returncode == 2
    assert 'env["ledger"]' in unclear.stderr
    project.configure(
        project.database.url, books=books, ledger="books", migrations={"connector": "warehouse"}
    )
    assert project.migrate().returncode == 0
    assert project.at() == ["one"]
    assert project.one("select to_regnamespace('penstock') is null")


def test_a_database_that_is_named_needs_no_password_of_the_project(project: Project) -> None:
    project.configure(
        "postgresql://nobody:enc:unreadable@localhost/nowhere",
        second={"kind": "postgres", "url": "postgresql://localhost/second"},
        migrations={"schema": "shop"},
    )
    project.statements("one", "create table events (id int)")
    done = project.migrate("--dsn", project.database.url)
    assert done.returncode == 0, done.stderr
    assert project.at("shop") == ["one"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {
                "one": "revision = 'a'\ndown_revision = None",
                "two": "revision = 'b'\ndown_revision = None",
            },
            "2 ends: one.py, two.py",
        ),
        (
            {"one": "revision = 'a'\ndown_revision = 'gone'"},
            "one.py: its down_revision gone is in no file",
        ),
        (
            {
                "one": "revision = 'a'\ndown_revision = None",
                "two": "revision = 'a'\ndown_revision = 'a'",
            },
            "one.py and two.py are both revision a",
        ),
        (
            {
                "one": "revision = 'a'\ndown_revision = 'b'",
                "two": "revision = 'b'\ndown_revision = 'a'",
            },
            "in a circle",
        ),
        ({"one": "x = 1"}, "one.py is no revision"),
        ({"one": "revision = 'a'"}, "one.py is no revision"),
        ({"one": "\n\ndef upgrade(:"}, "one.py, line 3: "),
        ({"one": "revision = 'a' + 'b'\ndown_revision = None"}, "one.py, line 1: write revision"),
        (
            {"one": "revision = 'a'\ndown_revision = None\nimport no_such_module"},
            "one.py, line 3: ModuleNotFoundError: No module named 'no_such_module'",
        ),
    ],
)
def test_what_is_wrong_with_the_files_is_said_with_its_place_and_nothing_runs(
    project: Project, files: dict[str, str], told: str
) -> None:
    folder = project.folder / "migrations"
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.py").write_text(f"{text}\n", encoding="utf-8")
    done = project.migrate()
    assert done.returncode == 2, done.stderr
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert project.one("select to_regclass('public.alembic_version') is null")


def test_two_branches_that_a_third_revision_joins_all_run(project: Project) -> None:
    project.statements("a", "create table a (id int)")
    project.statements("b", "create table b (id int)", follows="a")
    project.statements("c", "create table c (id int)", follows="a")
    path = project.statements("d", "create table d (id int)", follows="b")
    path.write_text(path.read_text().replace("down_revision = 'b'", "down_revision = ('b', 'c')"))
    done = project.migrate()
    assert done.returncode == 0, done.stderr
    assert project.at() == ["d"]
    assert project.one("select count(*) from pg_class where relname in ('a', 'b', 'c', 'd')") == 4


def test_a_revision_that_fails_is_rolled_back_and_named_and_the_earlier_ones_stay(
    project: Project,
) -> None:
    project.statements("one", "create table events (id int primary key)")
    project.statements(
        "two",
        "create table users (id int)",
        "alter table nowhere add column x int",
        follows="one",
    )
    done = project.migrate()
    assert done.returncode == 1
    said = " ".join(done.stderr.split())
    assert 'two.py, line 14: relation "nowhere" does not exist. It was rolled back' in said
    assert "Done: one.py" in said
    assert "Traceback" not in done.stderr
    assert project.at() == ["one"]
    assert project.one("select to_regclass('users') is null")


def test_an_error_of_pythons_in_a_revision_is_told_by_file_and_line(project: Project) -> None:
    project.revision("one", 'op.execute("create table events (id int)")\nprint(1 / 0)')
    done = project.migrate()
    assert done.returncode == 1
    assert "one.py, line 14: ZeroDivisionError: division by zero" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert project.one("select to_regclass('events') is null")


def test_a_database_of_a_newer_version_of_the_project_is_left_alone(project: Project) -> None:
    project.statements("one", "create table events (id int)")
    newer = project.statements("two", "create table users (id int)", follows="one")
    assert project.migrate().returncode == 0
    newer.unlink()
    for words in ((), ("--check",)):
        done = project.migrate(*words)
        assert done.returncode == 2
        assert "The database is at revision two" in " ".join(done.stderr.split())
    assert project.at() == ["two"]


def test_an_index_is_built_concurrently_outside_of_the_transaction(project: Project) -> None:
    project.statements("one", "create table events (id int, country text)")
    project.revision(
        "two",
        "with op.get_context().autocommit_block():\n"
        '    op.create_index("by_country", "events", ["country"], postgresql_concurrently=True)',
        follows="one",
    )
    done = project.migrate()
    assert done.returncode == 0, done.stderr
    assert project.at() == ["two"]
    assert project.one("select indisvalid from pg_index where indexrelid = 'by_country'::regclass")


def test_what_stays_of_a_revision_that_fails_outside_of_its_transaction_is_said(
    project: Project,
) -> None:
    project.statements("one", "create table events (id int)")
    project.revision(
        "two",
        'op.execute("create table users (id int)")\n'
        "with op.get_context().autocommit_block():\n"
        '    op.execute("create index concurrently on nowhere (id)")',
        follows="one",
    )
    done = project.migrate()
    assert done.returncode == 1
    assert "autocommit_block stays: see to it by hand" in " ".join(done.stderr.split())
    assert project.at() == ["one"]
    assert project.one("select to_regclass('users') is not null")


def test_two_at_once_run_each_revision_once(project: Project) -> None:
    body = 'op.execute("create table events (id int)")\nop.execute("select pg_sleep(0.3)")'
    project.revision("one", body)
    project.statements("two", "insert into events values (1)", follows="one")
    started = [project.start("--json") for _ in range(2)]
    ended = [one.communicate() for one in started]
    assert [one.returncode for one in started] == [0, 0], ended
    ran = sorted(len(json.loads(said)["ran"]) for said, _ in ended)
    assert ran == [0, 2]
    assert project.one("select count(*) from events") == 1


def test_killed_in_the_middle_of_a_revision_it_runs_from_its_beginning_the_next_time(
    project: Project,
) -> None:
    project.statements("one", "create table events (id int)", "insert into events values (1)")
    project.revision(
        "two",
        'op.execute("insert into events values (2)")\n'
        'op.execute("select id from events where id = 99 for update")\n'
        'op.execute("select pg_advisory_xact_lock(77)")',
        follows="one",
    )
    with project.database.connect() as other:
        other.execute("select pg_advisory_lock(77)")
        started = project.start("--max-lock", "30")
        until(lambda: project.one(WAITING) == 1)
        started.kill()
        started.communicate()
        assert project.at() == ["one"]
        other.execute("select pg_advisory_unlock(77)")
    done = project.migrate()
    assert done.returncode == 0, done.stderr
    assert project.at() == ["two"]
    assert project.one("select array_agg(id order by id) from events") == [1, 2]


def test_killed_while_an_index_is_built_it_is_built_the_next_time(project: Project) -> None:
    project.statements("one", "create table events (id int)")
    assert project.migrate().returncode == 0
    project.revision(
        "two",
        "with op.get_context().autocommit_block():\n"
        '    op.execute("drop index concurrently if exists by_id")\n'
        '    op.execute("create index concurrently by_id on events (id)")',
        follows="one",
    )
    alone = (
        "select count(*) = 1 from pg_stat_activity "
        "where datname = current_database() and backend_type = 'client backend'"
    )
    with psycopg.connect(project.database.url) as writer:
        writer.execute("insert into events values (1)")
        started = project.start()
        until(lambda: project.one(WAITING) == 1)
        started.kill()
        started.communicate()
    until(lambda: bool(project.one(alone)))  # the server ends the statement that it was at
    done = project.migrate()
    assert done.returncode == 0, done.stderr
    assert project.at() == ["two"]
    assert project.one("select indisvalid from pg_index where indexrelid = 'by_id'::regclass")


def test_a_reader_in_the_way_is_waited_for_and_nobody_queues_behind_for_long(
    project: Project,
) -> None:
    project.statements("one", "create table events (id int)", "insert into events values (1)")
    assert project.migrate().returncode == 0
    project.statements("two", "alter table events add column country text", follows="one")
    with psycopg.connect(project.database.url) as reader:
        reader.execute("select count(*) from events")
        started = project.start()
        until(lambda: project.one(WAITING) == 1)
        began = time.monotonic()
        assert project.one("select count(*) from events") == 1  # behind the waiting ALTER
        assert time.monotonic() - began < 5
        assert started.poll() is None
        reader.rollback()
    _, said = started.communicate()
    assert started.returncode == 0, said
    assert project.at() == ["two"]


def test_a_lock_that_is_never_free_is_told_with_who_holds_it(project: Project) -> None:
    project.statements("one", "create table events (id int)")
    assert project.migrate().returncode == 0
    project.statements("two", "alter table events add column country text", follows="one")
    with psycopg.connect(project.database.url, application_name="dashboard") as reader:
        reader.execute("select count(*) from events")
        done = project.migrate("--max-lock", "2", "--json")
        assert done.returncode == 75
        message = json.loads(done.stdout)["error"]["message"]
        assert f"(pid {reader.info.backend_pid}, dashboard)" in message
        assert message.startswith("two.py did not get its lock within 2 s: held by ")
    assert project.at() == ["one"]


def test_another_migration_that_does_not_end_is_told(project: Project) -> None:
    project.revision("one", 'op.execute("select pg_advisory_xact_lock(77)")')
    with project.database.connect() as other:
        other.execute("select pg_advisory_lock(77)")
        first = project.start("--max-lock", "30")
        until(lambda: project.one(WAITING) == 1)
        second = project.migrate("--max-lock", "1")
        assert second.returncode == 75
        assert "Another penstock migrate" in second.stderr
    _, said = first.communicate()
    assert first.returncode == 0, said


def test_a_deadlock_is_tried_again(project: Project) -> None:
    project.statements("one", "create table a (id int)", "create table b (id int)")
    assert project.migrate().returncode == 0
    project.statements(
        "two", "alter table a add column x int", "alter table b add column x int", follows="one"
    )
    with psycopg.connect(project.database.url) as other:
        other.execute("set deadlock_timeout = '20s'")  # it is not the one that gives way
        other.execute("lock table b in access exclusive mode")
        started = project.start()
        until(lambda: project.one(WAITING) == 1)
        other.execute("select count(*) from a")
        other.commit()
    _, said = started.communicate()
    assert started.returncode == 0, said
    assert project.at() == ["two"]


def test_an_owner_that_owns_no_more_than_its_schema_can_run_it(project: Project) -> None:
    install.ensure(project.database.connect(), project.database.url)
    role = project.database.role("builder")
    project.configure(role.url, migrations={"schema": "shop"})
    project.statements("one", "create table events (id int primary key)")
    refused = project.migrate()
    assert refused.returncode == 1
    assert "penstock" in refused.stderr
    with project.database.connect() as dba:
        dba.execute(f'create schema shop authorization "{role.name}"'.encode())
        dba.execute(f'grant usage on schema penstock to "{role.name}"'.encode())
    loader = penstock(
        project.folder, "roles", "--loader", role.name, "--owner", f"own_{role.name}",
        PENSTOCK_DSN=project.database.url,
    )  # fmt: skip
    try:
        assert loader.returncode == 0, loader.stderr
        done = project.migrate()
        assert done.returncode == 0, done.stderr
        assert project.at("shop") == ["one"]
        owner = (
            "select tableowner from pg_tables where tablename = 'events' and schemaname = 'shop'"
        )
        assert project.one(owner) == role.name
    finally:
        with project.database.connect() as dba:
            dba.execute(f'drop owned by "own_{role.name}" cascade'.encode())
            dba.execute(f'drop owned by "{role.name}" cascade'.encode())
            dba.execute(f'drop role "own_{role.name}"'.encode())


def test_a_role_that_may_not_is_told_so(project: Project) -> None:
    install.ensure(project.database.connect(), project.database.url)
    project.statements("one", "create table events (id int)")
    assert project.migrate().returncode == 0
    project.statements("two", "alter table events add column country text", follows="one")
    role = project.database.role("reader")
    with project.database.connect() as dba:
        dba.execute(f'grant select on all tables in schema public to "{role.name}"'.encode())
    done = project.migrate("--dsn", role.url)
    assert done.returncode == 1
    assert "permission denied for schema penstock" in done.stderr
    with project.database.connect() as dba:
        dba.execute(f'grant usage on schema penstock to "{role.name}"'.encode())
        grant = f'grant select, insert, update on all tables in schema penstock to "{role.name}"'
        dba.execute(grant.encode())
    owned = project.migrate("--dsn", role.url)
    assert owned.returncode == 1
    assert "two.py, line 13: must be owner of table events" in " ".join(owned.stderr.split())
    assert project.at() == ["one"]


def test_the_sql_is_printed_and_psql_can_run_it(project: Project) -> None:
    project.statements("one", "create table events (id int)", "insert into events values (7)")
    shown = project.migrate("--sql")
    assert shown.returncode == 0, shown.stderr
    assert project.one("select to_regclass('events') is null")
    with project.database.connect() as connection:
        connection.execute(shown.stdout.encode())
    assert project.one("select id from events") == 7
    assert project.at() == ["one"]
    assert json.loads(project.migrate("--json").stdout)["ran"] == []


def test_the_applications_logging_is_left_alone(project: Project) -> None:
    import logging

    from penstock.postgres.revisions.folder import read_folder
    from penstock.postgres.revisions.running import Place, upgrade

    project.statements("one", "create table events (id int)")
    before = (logging.root.level, list(logging.root.handlers), logging.getLogger("x").disabled)
    told: list[str] = []
    folder = read_folder(project.folder / "migrations")
    upgrade(Place(conninfo=project.database.url), folder, lambda one: told.append(one.name))
    assert told == ["one"]
    assert before == (
        logging.root.level,
        list(logging.root.handlers),
        logging.getLogger("x").disabled,
    )
