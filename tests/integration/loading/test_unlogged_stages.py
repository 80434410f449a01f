"""Large stages lie in unlogged tables, which nobody else sees and which never stay behind.

Not for: what the modes make of rows (`test_keyed_modes`), which is the same for every size.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy

from penstock import LoadResult, load_table
from penstock.errors import BudgetExceeded
from penstock.postgres import unlogged
from tests.fixtures.postgres import Database

TABLE = """
create table t (id int primary key, n text, valid_from date not null default '2020-01-01',
                valid_to date, is_current boolean not null default true);
insert into t select i, 'n' || i from generate_series(1, 1000) i;
"""
#: 10 changed, 1 gone (id 1000), 1 new, 1 that cannot be read.
ROWS = [
    "id,n",
    *(f"{i},{'changed' if i % 100 == 0 else f'n{i}'}" for i in range(1, 1000)),
    "1001,new",
    "x,bad",
]
STAGES = "select count(*) from pg_class where relpersistence = 'u' and relname like 'penstock%'"


@pytest.fixture(autouse=True)
def _large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlogged, "PAYS_FROM", 0)


def left_behind(database: Database) -> int:
    with database.connect() as connection:
        row = connection.execute(STAGES.encode()).fetchone()
    assert row is not None
    return int(row[0])


def prepared(database: Database, tmp_path: Path) -> Path:
    with database.connect() as connection:
        connection.execute(TABLE.encode())
    path = tmp_path / "t.csv"
    path.write_text("\n".join(ROWS) + "\n", encoding="utf-8")
    return path


def counts(result: LoadResult) -> tuple[int, ...]:
    return (
        result.inserted,
        result.updated,
        result.unchanged,
        result.ignored,
        result.quarantined,
        result.deleted,
    )


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("insert_new", (1, 0, 0, 999, 1, 0)),
        ("upsert", (1, 9, 990, 0, 1, 0)),
        ("sync", (1, 9, 990, 0, 1, 0)),  # a refused row without a key: nothing may be removed
    ],
)
def test_a_load_by_key_stages_unlogged_and_leaves_nothing_behind(
    database: Database, tmp_path: Path, mode: str, expected: tuple[int, ...]
) -> None:
    path = prepared(database, tmp_path)

    result = load_table(database.engine(), path, "t", mode=mode)

    assert "staged unlogged, compared by id" in result.strategy
    assert counts(result) == expected
    assert left_behind(database) == 0


def test_a_sync_removes_what_is_gone(database: Database, tmp_path: Path) -> None:
    path = prepared(database, tmp_path)
    path.write_text("\n".join(ROWS[:-1]) + "\n", encoding="utf-8")

    result = load_table(database.engine(), path, "t", mode="sync")

    assert counts(result) == (1, 9, 990, 0, 0, 1)
    with database.connect() as connection:
        gone = connection.execute("select count(*) from t where id = 1000").fetchone()
        kept = connection.execute("select count(*) from t").fetchone()
    assert (gone, kept) == ((0,), (1000,))
    assert left_behind(database) == 0


def test_versions_are_counted_without_a_second_join(database: Database, tmp_path: Path) -> None:
    path = prepared(database, tmp_path)
    with database.connect() as connection:
        connection.execute("alter table t drop constraint t_pkey, add primary key (id, valid_from)")

    result = load_table(database.engine(), path, "t", mode="scd2", key=["id"])

    assert "staged unlogged" in result.strategy
    assert counts(result) == (10, 0, 990, 0, 1, 0)
    assert left_behind(database) == 0


def test_the_caller_s_own_transaction_is_left_without_a_stage(
    database: Database, tmp_path: Path
) -> None:
    path = prepared(database, tmp_path)

    with database.engine().begin() as connection:
        result = load_table(connection, path, "t", mode="upsert")
        inside = connection.execute(sqlalchemy.text(STAGES)).scalar_one()

    assert "staged unlogged" in result.strategy
    assert (inside, left_behind(database)) == (0, 0)


def test_a_load_that_fails_or_is_tried_only_leaves_no_stage(
    database: Database, tmp_path: Path
) -> None:
    path = prepared(database, tmp_path)

    with pytest.raises(BudgetExceeded):
        load_table(database.engine(), path, "t", mode="upsert", max_rejects=0)
    tried = load_table(database.engine(), path, "t", mode="upsert", dry_run=True)

    assert "staged unlogged" in tried.strategy
    assert left_behind(database) == 0


def test_a_role_that_may_make_no_tables_stages_in_temporary_ones(
    database: Database, tmp_path: Path
) -> None:
    path = prepared(database, tmp_path)
    role = database.role("loader")
    with database.connect() as connection:
        connection.execute(f'grant select, insert, update, delete on t to "{role.name}"'.encode())

    result = load_table(database.engine(role), path, "t", mode="upsert", ledger=False)

    assert "staged, compared by id" in result.strategy
    assert counts(result) == (1, 9, 990, 0, 1, 0)


def test_a_server_without_parallel_workers_is_given_temporary_tables(
    database: Database, tmp_path: Path
) -> None:
    path = prepared(database, tmp_path)
    with database.connect() as connection:
        connection.execute(
            "do $$begin execute format('alter database %I set max_parallel_workers_per_gather = 0',"
            " current_database()); end$$"
        )

    result = load_table(database.engine(), path, "t", mode="upsert")

    assert "staged, compared by id" in result.strategy


def test_an_event_trigger_that_forbids_tables_is_no_end_of_the_load(
    database: Database, tmp_path: Path
) -> None:
    path = prepared(database, tmp_path)
    with database.connect() as connection:
        connection.execute(
            "create function forbid() returns event_trigger language plpgsql as $$begin "
            "if exists (select from pg_event_trigger_ddl_commands() "
            "where command_tag = 'CREATE TABLE' and schema_name not like 'pg_temp%') then "
            "raise exception 'no tables of your own here'; end if; end$$;"
            "create event trigger forbid on ddl_command_end execute function forbid()"
        )

    result = load_table(database.engine(), path, "t", mode="upsert", ledger=False)

    assert "staged, compared by id" in result.strategy
    assert counts(result) == (1, 9, 990, 0, 1, 0)
    assert left_behind(database) == 0
