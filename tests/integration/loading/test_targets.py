"""Tables as they are in the wild: rights, policies, triggers, views, partitions, sequences."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql

from penstock import BalanceError, LoadResult, PenstockError, TargetError, load_star, load_table
from tests.fixtures.postgres import Database, Role

#: Rows that make a file larger than the size from which constraints are taken off.
MANY = 60_000


def write(path: Path, head: str, lines: list[str]) -> Path:
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def ask(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.connect() as connection:
        return connection.execute(query.encode()).fetchall()


def run(database: Database, statements: str) -> None:
    with database.connect() as connection:
        connection.execute(statements.encode())


def facts(folder: Path, count: int = MANY) -> Path:
    return write(
        folder / "facts.csv",
        "fact_id,dim_id,day,note",
        [f"{n},{n % 10},2024-01-{n % 28 + 1:02},note number {n}" for n in range(count)],
    )


STAR = """
create table dims (dim_id int primary key, name text);
insert into dims select n, 'dim ' || n from generate_series(0, 9) n;
create table facts (fact_id bigint primary key, dim_id int references dims, day date, note text);
create index facts_day on facts (day);
comment on constraint facts_dim_id_fkey on facts is 'kept';
"""


def shape(database: Database) -> list[tuple[object, ...]]:
    """Everything about facts that is not rows, in an order of its own."""
    return ask(
        database,
        "select conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint'), "
        "convalidated from pg_constraint where conrelid = 'facts'::regclass "
        "union all select indexrelid::regclass::text, pg_get_indexdef(indexrelid), "
        "obj_description(indexrelid, 'pg_class'), indisvalid from pg_index "
        "where indrelid = 'facts'::regclass order by 1, 2",
    )


def test_constraints_are_taken_off_and_are_as_they_were(database: Database, tmp_path: Path) -> None:
    run(database, STAR)
    before = shape(database)
    result = load_table(database.engine(), facts(tmp_path), "facts", mode="truncate")
    assert "re-created facts_dim_id_fkey" in result.strategy
    assert "facts_pkey" in result.strategy
    assert "locked dims, facts" in result.strategy
    assert result.inserted == MANY
    assert shape(database) == before


def test_a_load_that_would_lock_parents_for_long_checks_everything_before_it_locks(
    database: Database, tmp_path: Path
) -> None:
    run(database, STAR)
    before = shape(database)
    locked: dict[str, set[str]] = {}

    def look(step: str) -> None:
        with database.connect() as other:
            rows = other.execute(
                "select relation::regclass::text from pg_locks where mode = 'AccessExclusiveLock'"
                " and relation in ('dims'::regclass, 'facts'::regclass)"
            ).fetchall()
        locked[step] = {row[0] for row in rows}

    result = load_table(
        database.engine(), facts(tmp_path), "facts", mode="truncate", max_lock=0, on_step=look
    )
    assert result.strategy.startswith("checked first, then direct")
    assert "re-created facts_dim_id_fkey" in result.strategy
    assert locked["read"] == locked["lock"] == set()
    assert locked["copy"] == {"dims", "facts"}
    assert result.inserted == MANY
    assert shape(database) == before


def test_a_key_that_a_view_hangs_on_is_kept(database: Database, tmp_path: Path) -> None:
    run(database, STAR)
    run(database, "create view grouped as select fact_id, note from facts group by fact_id")
    result = load_table(database.engine(), facts(tmp_path), "facts", mode="truncate")
    assert "facts_dim_id_fkey" in result.strategy
    assert "facts_pkey" not in result.strategy
    assert ask(database, "select count(*) from grouped") == [(MANY,)]


def test_a_key_that_foreign_keys_elsewhere_need_is_kept(database: Database, tmp_path: Path) -> None:
    run(database, STAR + "create table details (fact_id bigint references facts);")
    result = load_table(database.engine(), facts(tmp_path), "facts")
    assert result.inserted == MANY
    assert "facts_pkey" not in result.strategy
    with pytest.raises(TargetError, match="details refers to it"):
        load_table(database.engine(), facts(tmp_path), "facts", mode="truncate")


def loader(database: Database, *rights: str) -> Role:
    role = database.role("loader")
    with database.connect() as connection:
        for right in rights:
            connection.execute(
                sql.SQL("grant {} to {}").format(sql.SQL(right), sql.Identifier(role.name))
            )
    return role


def test_a_role_that_owns_nothing_keeps_the_constraints(database: Database, tmp_path: Path) -> None:
    run(database, STAR)
    role = loader(database, "insert, select, truncate on facts", "select on dims")
    path = facts(tmp_path)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{MANY},77,2024-01-01,orphan\n0,1,2024-01-01,second zero\n")
    result = load_table(database.engine(role), path, "facts", mode="truncate", ledger=False)
    assert "the role does not own the table" in result.strategy
    assert (result.inserted, result.quarantined) == (MANY, 2)
    assert {(r.column, r.code) for r in result.reasons} == {
        ("dim_id", "23503"),
        ("fact_id", "23505"),
    }


def test_a_missing_right_is_named(database: Database, tmp_path: Path) -> None:
    run(database, STAR)
    role = loader(database, "select, insert on facts")
    with pytest.raises(TargetError, match="may not TRUNCATE on facts"):
        load_table(
            database.engine(role), facts(tmp_path, 5), "facts", mode="truncate", ledger=False
        )


def test_row_security_is_obeyed_row_by_row(database: Database, tmp_path: Path) -> None:
    run(database, STAR + "alter table facts enable row level security;")
    role = loader(database, "select, insert on facts", "select on dims")
    run(database, "create policy few on facts using (true) with check (fact_id < 100)")
    result = load_table(
        database.engine(role), facts(tmp_path, 150), "facts", ledger=False, max_rejects="50%"
    )
    assert (result.inserted, result.quarantined) == (100, 50)
    assert {r.code for r in result.reasons} == {"42501"}
    with pytest.raises(TargetError, match="may not TRUNCATE"):
        load_table(
            database.engine(role), facts(tmp_path, 5), "facts", mode="truncate", ledger=False
        )


def test_parents_hidden_by_row_security_are_no_orphans(database: Database, tmp_path: Path) -> None:
    run(database, STAR + "alter table dims enable row level security;")
    role = loader(database, "select, insert on facts", "select on dims")
    run(database, "create policy one on dims using (dim_id = 1)")
    path = facts(tmp_path, 40)
    with path.open("a", encoding="utf-8") as file:
        file.write("40,77,2024-01-01,orphan\n")
    result = load_table(database.engine(role), path, "facts", ledger=False, max_rejects=1)
    assert (result.inserted, result.quarantined) == (40, 1)


def test_a_trigger_that_swallows_rows_fails_the_load(database: Database, tmp_path: Path) -> None:
    run(
        database,
        STAR + "create function swallow() returns trigger language plpgsql as "
        "'begin if new.fact_id = 3 then return null; end if; return new; end'; "
        "create trigger swallow before insert on facts for each row execute function swallow()",
    )
    with pytest.raises(BalanceError, match="swallows or adds"):
        load_table(database.engine(), facts(tmp_path, 10), "facts")
    assert ask(database, "select count(*) from facts") == [(0,)]


def test_what_a_trigger_refuses_is_isolated(database: Database, tmp_path: Path) -> None:
    run(
        database,
        STAR + "create function refuse() returns trigger language plpgsql as "
        "'begin if new.fact_id % 1000 = 7 then raise exception ''no sevens: %'', new.fact_id; "
        "end if; return new; end'; "
        "create trigger refuse before insert on facts for each row execute function refuse()",
    )
    result = load_table(database.engine(), facts(tmp_path, 5000), "facts", max_rejects=5)
    assert (result.inserted, result.quarantined) == (4995, 5)
    assert result.reasons[0].code == "P0001"
    assert "no sevens" in result.reasons[0].samples[0][3]
    kept = ask(database, "select record - 1 from penstock.rejects order by 1")
    assert kept == [(7,), (1007,), (2007,), (3007,), (4007,)]


def test_rows_that_exclude_each_other_lose_all_but_the_first(
    database: Database, tmp_path: Path
) -> None:
    run(
        database,
        "create table stays (stay_id int primary key, period int4range, "
        "exclude using gist (period with &&))",
    )
    path = write(
        tmp_path / "stays.csv",
        "stay_id,period",
        ['1,"[1,10)"', '2,"[5,12)"',
         '3,"[10,20)"', '4,"[11,13)"'],
    )  # fmt: skip
    result = load_table(database.engine(), path, "stays", max_rejects="50%")
    assert ask(database, "select stay_id from stays order by 1") == [(1,), (3,)]
    assert {(r.code, r.rows) for r in result.reasons} == {("23P01", 2)}


def test_a_deferred_constraint_is_judged_before_the_commit(
    database: Database, tmp_path: Path
) -> None:
    run(
        database,
        "create table dims (dim_id int primary key); insert into dims values (1); "
        "create table facts (fact_id int primary key, "
        "dim_id numeric, day text, note text); "
        "create function later() returns trigger language plpgsql as "
        "'begin if new.fact_id = 5 then raise exception ''not five''; end if; return null; end'; "
        "create constraint trigger later after insert on facts deferrable initially deferred "
        "for each row execute function later()",
    )
    result = load_table(database.engine(), facts(tmp_path, 10), "facts", max_rejects=1)
    assert (result.inserted, result.quarantined) == (9, 1)


def test_rows_without_a_partition_are_refused(database: Database, tmp_path: Path) -> None:
    run(
        database,
        "create table facts (fact_id bigint, dim_id int, day date, note text) "
        "partition by range (day); create table facts_1 partition of facts "
        "for values from ('2024-01-01') to ('2024-01-20')",
    )
    result = load_table(database.engine(), facts(tmp_path, 28), "facts", max_rejects="50%")
    assert (result.inserted, result.quarantined) == (19, 9)
    assert {r.code for r in result.reasons} == {"23514"}


def test_views_are_no_targets(database: Database, tmp_path: Path) -> None:
    run(database, STAR)
    run(database, "create view seen as select * from facts")
    with pytest.raises(TargetError, match="seen is a view"):
        load_table(database.engine(), facts(tmp_path, 5), "seen")


def test_a_read_only_server_is_said_to_be_read_only(database: Database, tmp_path: Path) -> None:
    run(database, STAR)
    run(database, f'alter database "{database.name}" set default_transaction_read_only = on')
    with pytest.raises(PenstockError, match="read-only transaction"):
        load_table(database.url, facts(tmp_path, 5), "facts", ledger=False)


def test_identity_columns_take_supplied_ids_and_go_on_after_them(
    database: Database, tmp_path: Path
) -> None:
    run(
        database,
        "create table items (item_id int generated always as identity primary key, name text, "
        "twice text generated always as (name || name) stored)",
    )
    path = write(tmp_path / "items.csv", "item_id,name", ["5,five", "9,nine"])
    load_table(database.engine(), path, "items")
    run(database, "insert into items (name) values ('ten')")
    assert ask(database, "select item_id, twice from items order by 1") == [
        (5, "fivefive"),
        (9, "ninenine"),
        (10, "tenten"),
    ]
    with pytest.raises(PenstockError, match="generated by PostgreSQL"):
        load_table(database.engine(), write(tmp_path / "b.csv", "item_id,twice", ["11,x"]), "items")


def orphaned(database: Database, tmp_path: Path, policy: str, **options: object) -> LoadResult:
    run(database, STAR + "alter table dims add column inferred boolean not null default false;")
    lines = [f"{n},{n % 12},2024-01-01,x" for n in range(24)]
    path = write(tmp_path / "facts.csv", "fact_id,dim_id,day,note", lines)
    return load_table(
        database.engine(), path, "facts", orphans={"dim_id": policy}, max_rejects="50%", **options
    )


@pytest.mark.parametrize("mode", ["append", "truncate"])
def test_orphans_wait_get_null_or_a_marked_parent(
    database: Database, tmp_path: Path, mode: str
) -> None:
    waits = orphaned(database, tmp_path, "quarantine", mode=mode)
    assert (waits.inserted, waits.quarantined) == (20, 4)


def test_orphans_get_null_and_are_counted(database: Database, tmp_path: Path) -> None:
    result = orphaned(database, tmp_path, "null")
    assert (result.inserted, dict(result.changes)) == (24, {"orphans_nulled": 4})
    assert ask(database, "select count(*) from facts where dim_id is null") == [(4,)]


def test_orphans_get_a_marked_parent(database: Database, tmp_path: Path) -> None:
    result = orphaned(database, tmp_path, "placeholder")
    assert (result.inserted, result.inferred, result.quarantined) == (24, 2, 0)
    assert ask(database, "select dim_id, inferred from dims where dim_id > 8 order by 1") == [
        (9, False),
        (10, True),
        (11, True),
    ]


def test_placeholders_are_made_only_for_rows_that_are_loaded(
    database: Database, tmp_path: Path
) -> None:
    run(
        database,
        STAR + "alter table dims add column inferred boolean not null default false;"
        "alter table facts add check (note <> 'bad')",
    )
    path = write(
        tmp_path / "facts.csv",
        "fact_id,dim_id,day,note",
        ["1,50,2024-01-01,good", "2,60,2024-01-01,bad", "3,50,2024-01-01,good"],
    )
    result = load_table(
        database.engine(), path, "facts", orphans={"dim_id": "placeholder"}, max_rejects="50%"
    )
    assert (result.inserted, result.quarantined, result.inferred) == (2, 1, 1)
    assert ask(database, "select dim_id from dims where inferred") == [(50,)]


def test_a_policy_that_the_tables_cannot_carry_out_says_what_they_lack(
    database: Database, tmp_path: Path
) -> None:
    run(database, STAR)
    with pytest.raises(PenstockError, match="ADD COLUMN inferred boolean"):
        load_table(
            database.engine(), facts(tmp_path, 5), "facts", orphans={"dim_id": "placeholder"}
        )


def test_a_row_may_refer_to_another_row_of_its_load(database: Database, tmp_path: Path) -> None:
    run(
        database,
        "create table staff (id int primary key, boss int references staff, name text)",
    )
    path = write(
        tmp_path / "staff.csv",
        "id,boss,name",
        ["3,2,c", "2,1,b", "1,,a", "4,99,lost", "5,4,lost too", "6,5,lost as well"],
    )
    result = load_table(database.engine(), path, "staff", max_rejects="50%")
    assert (result.inserted, result.quarantined) == (3, 3)
    assert ask(database, "select id from staff order by 1") == [(1,), (2,), (3,)]


def test_what_is_accepted_does_not_depend_on_the_roles_settings(
    database: Database, tmp_path: Path
) -> None:
    run(database, "create table t (id int primary key, at timestamptz, day date, i inet)")
    role = database.role("german", DateStyle="German, DMY", TimeZone="Asia/Tokyo")
    run(database, f'grant all on t to "{role.name}"; grant usage on schema public to public')
    path = write(tmp_path / "t.csv", "id,at,day,i", ["1,2024-01-02 10:00:00Z,2024-02-01,10.0.0.1"])
    load_table(database.engine(role), path, "t", ledger=False)
    assert ask(database, "select at = '2024-01-02T10:00:00Z', day = '2024-02-01' from t") == [
        (True, True)
    ]


def test_names_with_quotes_and_spaces_are_names(database: Database, tmp_path: Path) -> None:
    run(
        database,
        'create schema "My ""Shop"; create table "My ""Shop"."Order; drop" '
        '("the id" int primary key, "we""ird" text, "_row" int)',
    )
    path = write(tmp_path / "x.csv", 'the id,"we""ird"', ["1,a", "1,b"])
    result = load_table(database.engine(), path, '"My ""Shop"."Order; drop"', max_rejects="50%")
    assert (result.inserted, result.quarantined) == (1, 1)


def test_a_star_whose_fact_is_refused_leaves_every_table_as_it_was(
    database: Database, tmp_path: Path
) -> None:
    run(database, STAR)
    write(tmp_path / "dims.csv", "dim_id,name", ["1,one"])
    write(tmp_path / "facts.csv", "fact_id,dim_id,day,note", ["1,5,2024-01-01,x"])
    with pytest.raises(PenstockError):
        load_star(database.engine(), tmp_path, allow_shrink=True)
    assert ask(database, "select count(*) from dims") == [(10,)]
