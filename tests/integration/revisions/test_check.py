"""`penstock migrate --check` warns of what would keep people waiting on big tables, or break them.

What each statement locks is PostgreSQL's to say: `test_the_locks_are_those_that_postgresql_takes`
runs them and looks into pg_locks.
"""

from __future__ import annotations

import json

import pytest

from penstock.postgres.revisions.rules import BIG_BYTES, BIG_ROWS, RULES
from penstock.postgres.revisions.steps import steps_of
from penstock.postgres.revisions.words import statements
from tests.integration.revisions.conftest import Project

#: A big table, one that is partitioned, a small one and an empty one.
TABLES = """
create table users (user_id int primary key);
insert into users values (1);
create table empty (id int, country text);
create table big (
    id int, user_id int, code varchar(8), price numeric(10, 2), country text, mail text not null);
insert into big select n, 1, 'a', 1, 'x', 'y' from generate_series(1, 100001) n;
create table parts (id int, at timestamptz, country text) partition by range (at);
create table parts_1 partition of parts for values from ('2026-01-01') to ('2026-02-01');
insert into parts select n, '2026-01-05', 'x' from generate_series(1, 100001) n;
analyze;
"""


@pytest.fixture
def shop(project: Project) -> Project:
    with project.database.connect() as connection:
        connection.execute(TABLES)
    return project


#: A statement, and the rule that speaks of it; empty: none does.
CASES = [
    ("alter table big add column seen timestamptz", ""),
    ("alter table big add column seen timestamptz default now()", ""),
    ("alter table big add column n int not null default 5", ""),
    ("alter table big add column seen timestamptz default clock_timestamp()", "volatile_default"),
    ("alter table big add column k uuid default gen_random_uuid() not null", "volatile_default"),
    ("alter table big add column k bigserial", "rewrite_column"),
    ("alter table big add column k bigint generated always as identity", "rewrite_column"),
    ("alter table big add column k int generated always as (id * 2) stored", "rewrite_column"),
    ("alter table big alter column id type bigint", "alter_type"),
    ("alter table only public.big alter id set data type bigint", "alter_type"),
    ("alter table big alter column code type varchar(20)", ""),
    ("alter table big alter column code type text", ""),
    ("alter table big alter column code type varchar(4)", "alter_type"),
    ("alter table big alter column price type numeric(12, 2)", ""),
    ("alter table big alter column price type numeric(12, 4)", "alter_type"),
    ("alter table big alter column code type text using upper(code)", "alter_type"),
    ("alter table big alter column country set not null", "set_not_null"),
    ("alter table big alter column mail set not null", ""),
    ("alter table big alter column country set default 'x'", ""),
    ("alter table big add foreign key (user_id) references users", "add_foreign_key"),
    ("alter table big add foreign key (user_id) references users not valid", ""),
    ("alter table big add column owner int references users", ""),
    ("alter table big add constraint positive check (id > 0)", "add_check"),
    ("alter table big add constraint positive check (id > 0) not valid", ""),
    ("alter table big add column x int check (x > 0)", "add_check"),
    ("alter table big add constraint single unique (id)", "add_unique"),
    ("alter table big add primary key (id)", "add_unique"),
    ("alter table big add constraint once primary key using index once", ""),
    ("create index on big (country)", "create_index"),
    ('create unique index if not exists "By" on "big" (country)', "create_index"),
    ("create index concurrently on big (country)", "concurrently_in_transaction"),
    ("create index on parts (country)", "create_index_of_parts"),
    ("create index on only parts (country)", ""),
    ("create index on parts_1 (country)", "create_index"),
    ("update big set country = 'y'", "update"),
    ("delete from big where id < 10", "update"),
    ("update users set user_id = 2", ""),
    ("insert into big (mail) values ('update big set x = 1; drop table big')", ""),
    ("vacuum full big", "vacuum_full"),
    ("vacuum (full, analyze) big", "vacuum_full"),
    ("vacuum (analyze) big", ""),
    ("cluster big using by_id", "vacuum_full"),
    ("alter table users drop column user_id", "drop_column"),
    ("alter table users drop constraint users_pkey", ""),
    ("alter table empty drop column country", ""),
    ("alter table users rename column user_id to id", "rename_column"),
    ("alter table users rename user_id to id", "rename_column"),
    ("alter table users rename to people", "rename_table"),
    ("alter table users rename constraint users_pkey to people_pkey", ""),
    ("drop table if exists users cascade", "drop_table"),
    ("drop table empty", ""),
    ("alter table empty alter column id type bigint, alter column country set not null", ""),
    ("alter table nowhere alter column id type bigint", ""),
    ("do $$ begin update big set country = 'z'; end $$", "not_seen"),
    ("-- drop table users\ncomment on table users is 'drop table users'", ""),
]


def test_each_statement_is_told_by_its_rule_or_passes(shop: Project) -> None:
    files = {}
    for number, (statement, _) in enumerate(CASES):
        body = f"op.execute({statement!r})"
        if statement.startswith(("vacuum", "cluster")):
            body = f"with op.get_context().autocommit_block():\n    {body}"
        follows = f"r{number - 1}" if number else None
        files[f"r{number}.py"] = statement
        shop.revision(f"r{number}", body, follows=follows)
    told = dict.fromkeys(files.values(), "")
    for one in shop.check()["warnings"]:
        assert not told[files[one["file"]]]
        told[files[one["file"]]] = one["rule"]
    assert told == dict(CASES)


def test_every_rule_has_a_case() -> None:
    told = {rule for _, rule in CASES} | {"several_steps", "concurrently_on_partitioned"}
    assert told - {""} == set(RULES)


#: Statements whose locks are looked at; a lock of ROWS is that of UPDATE itself.
LOCKED = [one for one, _ in CASES if one.startswith(("alter table big", "create index on big"))]


def test_the_locks_are_those_that_postgresql_takes(shop: Project) -> None:
    connection = shop.database.connect()
    connection.execute("create unique index once on big (id)")
    connection.execute("alter table big alter column id set not null")
    for statement in LOCKED:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
            rows = connection.execute(
                "select relation::regclass::text, mode from pg_locks "
                "where relation in ('big'::regclass, 'users'::regclass) and pid = pg_backend_pid()"
            ).fetchall()
        held = {(table, mode.removesuffix("Lock").lower()) for table, mode in rows}
        (parsed,) = statements(statement)
        for step in steps_of(parsed):
            told = str(step.lock).replace(" ", "").lower()
            assert (step.table[-1], told) in held, statement


def test_a_warning_says_table_size_lock_and_what_to_do_instead(shop: Project) -> None:
    shop.statements("one", "alter table big alter column id type bigint")
    (warned,) = shop.check()["warnings"]
    size = shop.one("select pg_relation_size('big')")
    assert warned == {
        "revision": "one",
        "file": "one.py",
        "rule": "alter_type",
        "table": "big",
        "rows": 100_001,
        "bytes": size,
        "lock": "ACCESS EXCLUSIVE",
        "what": "writes every row and every index anew to make id bigint",
        "instead": RULES["alter_type"].instead,
        "statement": "alter table big alter column id type bigint",
        "accepted": None,
    }
    said = " ".join(shop.migrate("--check").stderr.split())
    assert "alter_type: big (100,001 rows, " in said
    assert "(lock: ACCESS EXCLUSIVE)" in said
    assert "1 warning." in said


def test_check_changes_nothing(shop: Project) -> None:
    shop.statements("one", "drop table users")
    assert shop.rules() == [("drop_table", "users")]
    assert shop.one("select to_regclass('users') is not null")
    assert shop.one("select to_regclass('alembic_version') is null")
    assert shop.one("select to_regnamespace('penstock') is null")


def test_tables_of_the_same_revision_or_an_earlier_pending_one_are_new(project: Project) -> None:
    project.statements("one", "create table t (id int, n text)", "create index on t (id)")
    project.statements("two", "alter table t alter column id type bigint", follows="one")
    found = project.check()
    assert [one["file"] for one in found["pending"]] == ["one.py", "two.py"]
    assert found["warnings"] == []
    assert found["ledger"]["before"] is None


@pytest.mark.parametrize(("rows", "told"), [(BIG_ROWS, []), (BIG_ROWS + 1, ["create_index"])])
def test_a_table_is_big_from_a_number_of_rows_on(
    project: Project, rows: int, told: list[str]
) -> None:
    with project.database.connect() as connection:
        made = "create table t as select n from generate_series(1, {}) n"
        connection.execute(made.format(rows).encode())
        connection.execute("analyze t")
    project.statements("one", "create index on t (n)")
    assert [rule for rule, _ in project.rules()] == told


def test_a_table_is_big_from_a_number_of_bytes_on(project: Project) -> None:
    with project.database.connect() as connection:
        connection.execute("create table t (a text)")
        connection.execute("alter table t alter column a set storage plain")
        pages = BIG_BYTES // 8192 + 1
        filled = f"insert into t select repeat('x', 5000) from generate_series(1, {pages})"
        connection.execute(filled.encode())
    project.statements("one", "create index on t (substr(a, 1, 5))")
    assert project.rules() == [("create_index", "t")]


def test_set_not_null_passes_where_a_valid_check_says_so_also_one_of_an_earlier_revision(
    shop: Project,
) -> None:
    with shop.database.connect() as connection:
        connection.execute(
            "alter table big add constraint known check (country is not null) not valid"
        )
    shop.statements("one", "alter table big alter column country set not null")
    assert shop.rules() == [("set_not_null", "big")]
    (shop.folder / "migrations" / "one.py").unlink()
    shop.statements("one", "alter table big validate constraint known")
    shop.statements("two", "alter table big alter column country set not null", follows="one")
    shop.statements(
        "three",
        "alter table big add constraint seen check (user_id is not null) not valid",
        follows="two",
    )
    shop.statements("four", "alter table big validate constraint seen", follows="three")
    shop.statements("five", "alter table big alter column user_id set not null", follows="four")
    assert shop.rules() == []
    assert shop.migrate().returncode == 0
    nullable = "select count(*) from pg_attribute where attrelid = 'big'::regclass and attnotnull"
    assert shop.one(nullable + " and attname in ('country', 'user_id')") == 2


def test_an_index_is_built_concurrently_but_not_on_a_partitioned_table(shop: Project) -> None:
    block = "with op.get_context().autocommit_block():\n    "
    shop.revision("one", f'{block}op.execute("create index concurrently on big (country)")')
    shop.revision(
        "two",
        f'{block}op.create_index("i", "parts", ["country"], postgresql_concurrently=True)',
        follows="one",
    )
    assert shop.rules() == [("concurrently_on_partitioned", "parts")]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        (
            [
                "alter table big add constraint c check (id > 0) not valid",
                "alter table big validate constraint c",
            ],
            [("several_steps", "big")],
        ),
        (
            ["alter table big add column x int", "update big set x = 1"],
            [("update", "big"), ("several_steps", "big")],
        ),
        (
            ["alter table big add column x int", "alter table users add column x int"],
            [("several_steps", "users")],
        ),
        (["alter table big add column x int", "alter table big add column y int"], []),
        (["alter table big add column x int", "alter table empty add column x int"], []),
        (["alter table users add column x int", "create table more (id int)"], []),
    ],
)
def test_a_lock_that_is_held_while_something_else_goes_on_is_told(
    shop: Project, sql: list[str], told: list[tuple[str, str]]
) -> None:
    shop.statements("one", *sql)
    assert shop.rules() == told


def test_operations_of_alembic_are_seen_as_statements_are(shop: Project) -> None:
    shop.revision(
        "one",
        'op.add_column("big", sa.Column("k", sa.Uuid, server_default=sa.func.gen_random_uuid()))\n'
        'op.alter_column("big", "country", nullable=False)\n'
        'op.create_index("i", "big", ["country"])\n'
        'op.create_foreign_key("f", "big", "users", ["user_id"], ["user_id"])\n'
        'op.drop_column("users", "user_id")\n'
        'op.rename_table("users", "people")',
    )
    rules = [rule for rule, _ in shop.rules() if rule != "several_steps"]
    assert rules == [
        "volatile_default",
        "set_not_null",
        "create_index",
        "add_foreign_key",
        "drop_column",
        "rename_table",
    ]


def test_what_a_revision_asks_the_database_is_said_not_to_be_seen(shop: Project) -> None:
    shop.revision(
        "one",
        'op.execute("alter table big alter column id type bigint")\n'
        'if op.get_bind().execute(sa.text("select count(*) from big")).scalar():\n'
        '    op.execute("drop table users")',
    )
    found = shop.check()["warnings"]
    assert [one["rule"] for one in found] == ["alter_type", "not_seen"]
    assert "one.py, line 14" in found[1]["what"]
    assert shop.migrate("--sql").returncode == 2


def test_what_a_revision_accepts_with_a_reason_is_shown_and_is_no_warning(shop: Project) -> None:
    shop.revision(
        "one",
        'op.execute("alter table users drop column user_id")',
        more='accepts = {"drop_column": "nobody reads it since 2.3"}',
    )
    (warned,) = shop.check()["warnings"]
    assert warned["accepted"] == "nobody reads it since 2.3"
    done = shop.migrate("--check")
    assert done.returncode == 0
    assert "accepted: nobody reads it since 2.3" in done.stderr
    shop.revision("one", "pass", more="accepts = ['drop_column']")
    assert shop.migrate("--check").returncode == 2


def test_a_revision_that_nothing_is_said_of_ends_with_0(project: Project) -> None:
    project.statements("one", "create table t (id int)")
    done = project.migrate("--check")
    assert done.returncode == 0, done.stderr
    assert "Would run: one.py" in done.stderr
    assert project.migrate().returncode == 0
    done = project.migrate("--check", "--json")
    assert json.loads(done.stdout)["pending"] == []
