"""The ledger is installed once, whoever comes first, and says what is missing."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib import resources
from pathlib import Path

import alembic.config
import psycopg
import pytest
from alembic.script import ScriptDirectory

from penstock import clear_tables, load_table
from penstock.errors import TargetError
from penstock.ledger import install
from tests.fixtures.postgres import Database

LOAD = """
import sys
from penstock import load_table
print("ready", flush=True)
sys.stdin.readline()
print(load_table(sys.argv[1], sys.argv[2], "customers").inserted)
"""


def test_head_is_the_newest_revision_that_ships() -> None:
    config = alembic.config.Config()
    folder = resources.files("penstock.ledger") / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    assert ScriptDirectory.from_config(config).get_heads() == [install.HEAD]


def test_two_first_loads_at_once_install_it_once(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection:
        connection.execute("create table customers (customer_id int primary key)")
    started = []
    for number in range(3):
        path = tmp_path / f"{number}.csv"
        path.write_text(f"customer_id\n{number}\n", encoding="utf-8")
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", LOAD, database.url, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in started:
        said, errors = one.communicate(timeout=60)
        assert (one.returncode, said, errors) == (0, "1\n", "")
    with database.connect() as connection:
        runs = connection.execute("select count(*), count(distinct status) from penstock.runs")
        assert runs.fetchone() == (3, 1)
        versions = connection.execute("select version_num from penstock.alembic_version")
        assert versions.fetchall() == [(install.HEAD,)]


def test_installing_again_changes_nothing(database: Database) -> None:
    connection = database.connect()
    assert install.ensure(connection, database.url) is True
    assert install.ensure(connection, database.url) is False
    install.upgrade(database.url)
    assert install.revision(connection) == {
        "there": True,
        "revision": install.HEAD,
        "head": install.HEAD,
    }


def test_a_role_that_may_not_create_schemas_is_told_whom_to_ask(database: Database) -> None:
    role = database.role("etl")
    connection = database.connect(role)
    with pytest.raises(TargetError, match="penstock migrate"):
        install.ensure(connection, role.url)
    assert install.revision(connection)["there"] is False


def test_a_role_without_rights_on_the_ledger_is_told_which_command_gives_them(
    database: Database,
) -> None:
    install.ensure(database.connect(), database.url)
    role = database.role("etl")
    connection = database.connect(role)
    with pytest.raises(TargetError, match="penstock roles --loader"):
        install.ensure(connection, role.url)
    with database.connect() as owner:
        owner.execute(f'grant usage on schema penstock to "{role.name}"'.encode())
        grant = f'grant select on all tables in schema penstock to "{role.name}"'
        owner.execute(grant.encode())
    with pytest.raises(TargetError, match=r"files: INSERT, files: UPDATE.*--loader"):
        install.ensure(connection, role.url)


def test_what_the_server_refuses_is_raised_as_the_drivers_error(database: Database) -> None:
    role = database.role("etl")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        install.upgrade(role.url)
    nowhere = database.url.rpartition("/")[0] + "/no_such_database"
    with pytest.raises(psycopg.OperationalError, match="no_such_database"):
        install.upgrade(nowhere)


def test_the_applications_logging_is_left_alone(database: Database) -> None:
    before = (logging.root.level, list(logging.root.handlers), logging.getLogger("x").disabled)
    install.upgrade(database.url)
    assert before == (
        logging.root.level,
        list(logging.root.handlers),
        logging.getLogger("x").disabled,
    )


def test_without_a_ledger_loads_and_clears_leave_no_schema(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute("create table customers (customer_id int primary key)")
    (tmp_path / "customers.csv").write_text("customer_id\n1\n", encoding="utf-8")
    load_table(database.url, tmp_path / "customers.csv", ledger=False)
    assert [cleared.rows for cleared in clear_tables(database.url, ["customers"])] == [1]
    with database.connect() as connection:
        assert install.revision(connection)["there"] is False
