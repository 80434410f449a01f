"""Ways in which a promise was once broken, or nearly."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

import pytest
import sqlalchemy

from penstock import BudgetExceeded, LoadResult, ShrinkRefused, TargetError, UsageError, load_table
from penstock.loading.steps import Step
from tests.fixtures.postgres import Database


def load(database: Database, folder: Path, ddl: str, text: str, **options: object) -> LoadResult:
    with database.connect() as connection:
        connection.execute(ddl.encode())
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    given = {"max_rejects": "all", "again": True, **options}
    return load_table(database.engine(), path, "t", **given)


def rows(database: Database, query: str = "select * from t order by 1") -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def test_a_dry_run_in_a_callers_transaction_loads_nothing(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection:
        connection.execute("create table t (a int)")
    (tmp_path / "t.csv").write_text("a\n1\n", encoding="utf-8")
    with database.engine().begin() as connection:
        result = load_table(connection, tmp_path / "t.csv", dry_run=True)
    assert (result.dry_run, result.inserted) == (True, 1)
    assert rows(database) == []


def test_what_fails_after_the_commit_does_not_unwrite_it(
    database: Database, tmp_path: Path
) -> None:
    def on_step(step: str) -> None:
        if step == Step.COMMITTED:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(database, tmp_path, "create table t (a int)", "a\n1\nx\n", on_step=on_step)
    assert rows(database) == [(1,)]
    assert rows(database, "select status, inserted, quarantined from penstock.loads") == [
        ("succeeded", 1, 1)
    ]
    assert rows(database, "select status from penstock.runs") == [("succeeded",)]
    assert rows(database, "select status from penstock.rejects") == [("waiting",)]


def test_a_dry_run_moves_no_sequence(database: Database, tmp_path: Path) -> None:
    load(database, tmp_path, "create table t (a serial, b int)", "a,b\n3000,7\n", dry_run=True)
    with database.connect() as connection:
        connection.execute("insert into t (b) values (1)")
    assert rows(database) == [(1, 1)]


def test_truncate_counts_what_is_there_when_it_has_its_lock(
    database: Database, tmp_path: Path
) -> None:
    role = database.role("careful", default_transaction_isolation="repeatable read")
    with database.connect() as connection:
        connection.execute("create table t (a int); insert into t select generate_series(1, 12)")
        connection.execute(f'alter table t owner to "{role.name}"'.encode())
        connection.execute(f'grant usage, create on schema public to "{role.name}"'.encode())
    path = tmp_path / "t.csv"
    path.write_text("a\n" + "".join(f"{n}\n" for n in range(10)), encoding="utf-8")
    other = database.connect()
    other.autocommit = False
    other.execute("insert into t select generate_series(1, 1000)")
    waiting = threading.Event()

    def on_step(step: str) -> None:
        if step == Step.LOCK:
            waiting.set()

    def commit() -> None:
        assert waiting.wait(20)
        other.commit()

    helper = threading.Thread(target=commit)
    helper.start()
    with pytest.raises(ShrinkRefused, match="1,012 rows"):
        load_table(database.engine(role), path, mode="truncate", ledger=False, on_step=on_step)
    helper.join()
    with (
        database.engine().connect().execution_options(isolation_level="REPEATABLE READ") as joined,
        pytest.raises(UsageError, match="READ COMMITTED"),
    ):
        load_table(joined, path, mode="truncate")


def test_null_for_orphans_of_the_table_itself_keeps_what_is_right(
    database: Database, tmp_path: Path
) -> None:
    ddl = "create table t (a int primary key, p int references t); insert into t values (99, null)"
    text = "a,p\n1,2\n2,99\n3,1\n"
    added = load(database, tmp_path, ddl, text, orphans={"p": "null"})
    assert (added.inserted, dict(added.changes)) == (3, {})
    fresh = load(
        database, tmp_path, "select 1", text, orphans={"p": "null"}, mode="truncate",
        allow_shrink=True,
    )  # fmt: skip
    assert dict(fresh.changes) == {"orphans_nulled": 1}
    assert rows(database) == [(1, 2), (2, None), (3, 1)]


ORDER: dict[str, tuple[str, str, list[tuple[object, ...]]]] = {
    "a late row and a second key": (
        "create table t (a int primary key, b text unique)",
        "a,b\n1,a\n5,b\n3,x\n6,x\n",
        [(1, "a"), (3, "x"), (5, "b")],
    ),
    "a repeated key whose first row was refused for another key": (
        "create table t (a int primary key, b text unique)",
        "a,b\n1,x\n2,x\n2,y\n",
        [(1, "x"), (2, "y")],
    ),
    "a repeated key whose first row fails a CHECK": (
        "create table t (a int primary key, b int check (b > 0))",
        "a,b\n1,-5\n1,7\n",
        [(1, 7)],
    ),
    "a repeated key whose first row is an orphan of the table itself": (
        "create table t (a int primary key, b int references t)",
        "a,b\n1,9\n1,\n2,1\n",
        [(1, None), (2, 1)],
    ),
}


@pytest.mark.parametrize("what", ORDER)
@pytest.mark.parametrize("there", [False, True])
def test_the_result_is_as_if_rows_were_loaded_one_by_one(
    database: Database, tmp_path: Path, what: str, there: bool
) -> None:
    ddl, text, expected = ORDER[what]
    extra: list[tuple[object, ...]] = [(1000, None)] if there else []
    if there:  # the table has rows: another way is taken
        ddl += "; insert into t values (1000, null)"
    result = load(database, tmp_path, ddl, text)
    assert rows(database) == expected + extra
    assert result.balanced


def test_exact_copies_are_ignored_where_a_trigger_changes_rows(
    database: Database, tmp_path: Path
) -> None:
    ddl = (
        "create table t (a int primary key, b text); create function up() returns trigger "
        "language plpgsql as 'begin new.b := upper(new.b); return new; end'; "
        "create trigger up before insert on t for each row execute function up()"
    )
    result = load(database, tmp_path, ddl, "a,b\n1,a\n5,b\n1,a\n")
    assert (result.inserted, result.ignored, result.quarantined) == (2, 1, 0)


def test_a_rule_on_insert_is_refused(database: Database, tmp_path: Path) -> None:
    ddl = (
        "create table t (a int); create table log (a int); create rule r as on insert to t "
        "do instead insert into log values (new.a)"
    )
    with pytest.raises(TargetError, match="rule on INSERT"):
        load(database, tmp_path, ddl, "a\n1\n")


def test_settings_of_a_role_change_nothing(database: Database, tmp_path: Path) -> None:
    role = database.role("odd", array_nulls="off")
    with database.connect() as connection:
        connection.execute(f'alter role "{role.name}" set session_replication_role = replica')
        connection.execute("create table p (a int, b int, primary key (a, b))")
        connection.execute(
            "create table t (n int, a int, b int, c text[], "
            "foreign key (a, b) references p match full)"
        )
        connection.execute(f'grant all on t, p to "{role.name}"'.encode())
    path = tmp_path / "t.csv"
    path.write_text('n,a,b,c\n1,,,"{NULL,x}"\n', encoding="utf-8")
    with pytest.raises(TargetError, match="session_replication_role"):
        load_table(database.engine(role), path, ledger=False)
    with database.connect() as connection:
        connection.execute(f'alter role "{role.name}" reset session_replication_role')
    load_table(database.engine(role), path, ledger=False)
    assert rows(database, "select c[1] is null from t") == [(True,)]


@pytest.mark.parametrize("text", ["a\n1\n", "a\nx\n"])
def test_a_joined_load_leaves_the_callers_settings_alone(
    database: Database, tmp_path: Path, text: str
) -> None:
    with database.connect() as connection:
        connection.execute("create table t (a int)")
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    names = ["timezone", "lock_timeout", "statement_timeout", "search_path", "work_mem"]
    ask = sqlalchemy.text("select " + ", ".join(f"current_setting('{name}')" for name in names))
    with database.engine().begin() as connection:
        connection.execute(sqlalchemy.text("set local timezone = 'Asia/Tokyo'"))
        connection.execute(sqlalchemy.text("set local lock_timeout = '5s'"))
        connection.execute(sqlalchemy.text("set local statement_timeout = '1min'"))
        before = connection.execute(ask).one()
        with nullcontext() if "x" not in text else pytest.raises(BudgetExceeded):
            load_table(connection, tmp_path / "t.csv")
        assert connection.execute(ask).one() == before


def test_an_old_reject_with_another_kind_of_key_blocks_nothing(
    database: Database, tmp_path: Path
) -> None:
    load(database, tmp_path, "create table t (a text primary key, b int)", "a,b\nx1,1\nx1,2\n")
    again = load(
        database, tmp_path, "drop table t; create table t (a int primary key, b int)", "a,b\n1,1\n"
    )
    assert again.inserted == 1


def test_odd_column_names_are_names_everywhere(database: Database, tmp_path: Path) -> None:
    ddl = 'create table t ("a%s" serial primary key, number int check (number > 0), col int)'
    result = load(database, tmp_path, ddl, '"a%s",number,col\n1,1,1\n2,-1,1\n')
    assert (result.inserted, result.quarantined) == (1, 1)
    assert load(database, tmp_path, "select 1", '"a%s",number,col\n2,5,1\n').inserted == 1


def test_a_failed_assertion_of_a_trigger_refuses_its_row(
    database: Database, tmp_path: Path
) -> None:
    ddl = (
        "create table t (a int); create function f() returns trigger language plpgsql as "
        "'begin assert new.a <> 2; return new; end'; "
        "create trigger f before insert on t for each row execute function f()"
    )
    result = load(database, tmp_path, ddl, "a\n1\n2\n3\n")
    assert (result.inserted, result.quarantined) == (2, 1)
