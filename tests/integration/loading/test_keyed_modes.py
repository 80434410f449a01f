"""`insert_new`, `upsert`, `sync` and `replace_range` against a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock import LoadResult, load_table
from penstock.errors import BalanceError, PenstockError, ShrinkRefused, TargetError, UsageError
from tests.fixtures.postgres import Database

TABLE = """
create table items (
    id int primary key, name text, price numeric(8,2), region text not null default 'EU',
    active boolean not null default true
);
insert into items values (1, 'one', 1.00, 'EU'), (2, 'two', 2.00, 'EU'), (3, 'three', 3.00, 'US'),
    (4, 'four', 4.00, 'EU');
"""


def run(database: Database, statements: str) -> None:
    with database.connect() as connection:
        connection.execute(statements)


def rows(database: Database, columns: str = "id, name, price::text") -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(f"select {columns} from items order by 1").fetchall()


def load(database: Database, tmp_path: Path, text: str, mode: str, **options: Any) -> LoadResult:
    path = tmp_path / "items.csv"
    path.write_text(text, encoding="utf-8")
    options.setdefault("max_rejects", "all")
    result = load_table(database.engine(), path, "items", mode=mode, **options)
    assert result.balanced
    with database.connect() as connection:
        (balanced,) = connection.execute(
            "select bool_and(balanced) from penstock.balance"
        ).fetchone() or (None,)
    assert balanced is True
    return result


def counts(result: LoadResult) -> dict[str, int]:
    names = ("inserted", "updated", "unchanged", "ignored", "quarantined", "deleted")
    return {name: getattr(result, name) for name in names if getattr(result, name)}


def test_insert_new_leaves_rows_alone_whose_key_is_there(
    database: Database, tmp_path: Path
) -> None:
    run(database, TABLE)
    text = "id,name,price\n1,other,9\n5,five,5\n5,again,6\n"
    result = load(database, tmp_path, text, "insert_new")
    assert counts(result) == {"inserted": 1, "ignored": 2}
    assert rows(database)[0] == (1, "one", "1.00")
    assert rows(database)[-1] == (5, "five", "5.00")


def test_upsert_writes_only_what_differs(database: Database, tmp_path: Path) -> None:
    run(database, TABLE)
    before = dict(rows(database, "id, xmin::text || ctid::text || xmax::text"))
    text = "id,name,price\n1,one,1.0\n2,two,2.50\n5,five,5\n"
    result = load(database, tmp_path, text, "upsert")
    assert counts(result) == {"inserted": 1, "updated": 1, "unchanged": 1}
    after = dict(rows(database, "id, xmin::text || ctid::text || xmax::text"))
    assert {n for n in before if before[n] != after[n]} == {2}
    assert rows(database)[1] == (2, "two", "2.50")


def test_upsert_twice_is_all_unchanged_and_leaves_every_row_version_as_it_was(
    database: Database, tmp_path: Path
) -> None:
    run(database, TABLE)
    text = "id,name,price\n" + "".join(f"{n},name {n},{n}.5\n" for n in range(1, 2001))
    first = load(database, tmp_path, text, "upsert")
    assert counts(first) == {"inserted": 1996, "updated": 4}
    versions = rows(database, "id, xmin, ctid, xmax")
    again = load(database, tmp_path, text, "upsert")
    assert counts(again) == {"unchanged": 2000}
    assert rows(database, "id, xmin, ctid, xmax") == versions


def test_an_upsert_of_equal_rows_writes_nothing_of_the_table_to_the_log(
    database: Database, tmp_path: Path
) -> None:
    run(database, TABLE + "create extension pg_walinspect")
    text = "id,name,price\n" + "".join(f"{n},name {n},{n}.5\n" for n in range(1, 2001))
    load(database, tmp_path, text, "upsert")
    with database.connect() as connection:
        for statement in ("checkpoint", "vacuum items", "checkpoint"):
            connection.execute(statement)  # nothing is left that a reader would mark on its pages

        # A checkpoint, also one that a test beside this one asks for, would take away the segments
        # that are looked at: the slot keeps them.
        slot = database.name
        connection.execute("select pg_create_physical_replication_slot(%s, true, true)", [slot])
        connection.execute("set synchronous_commit = on")

        def records(since: str) -> int:
            connection.execute("select pg_logical_emit_message(true, 'penstock', 'flush')")
            found = connection.execute(
                "select count(*) from pg_class c, "
                "pg_get_wal_records_info(%s::pg_lsn, pg_current_wal_flush_lsn()) r "
                "where c.relname in ('items', 'items_pkey') "
                "and r.block_ref like '%%/' || c.relfilenode || ' %%'",
                [since],
            ).fetchone()
            assert found is not None
            return int(found[0])

        (before,) = connection.execute("select pg_current_wal_flush_lsn()::text").fetchone() or ()
        assert counts(load(database, tmp_path, text, "upsert")) == {"unchanged": 2000}
        assert records(before) == 0
        load(database, tmp_path, text.replace("name 7,", "name seven,"), "upsert")
        assert records(before) > 0, "the log is looked at"


def test_upsert_sets_only_the_columns_that_the_input_has(
    database: Database, tmp_path: Path
) -> None:
    run(database, TABLE)
    assert counts(load(database, tmp_path, "id,price\n1,7\n", "upsert")) == {"updated": 1}
    assert rows(database)[0] == (1, "one", "7.00")


def test_of_rows_with_one_key_the_last_counts_and_the_overtaken_are_named(
    database: Database, tmp_path: Path
) -> None:
    run(database, TABLE)
    text = "id,name,price\n1,a,1\n1,b,1\n1,b,1\n"
    result = load(database, tmp_path, text, "upsert")
    assert counts(result) == {"updated": 1, "ignored": 2}
    assert rows(database)[0] == (1, "b", "1.00")
    assert any("record 1 by record 3" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("duplicates", "kept", "expected"),
    [
        ("first", "a", {"updated": 1, "ignored": 2}),
        ("last", "c", {"updated": 1, "ignored": 2}),
        ("max:price", "b", {"updated": 1, "ignored": 2}),
        ("reject", "one", {"unchanged": 1, "quarantined": 3}),
    ],
)
def test_which_of_several_rows_counts_can_be_said(
    database: Database, tmp_path: Path, duplicates: str, kept: str, expected: dict[str, int]
) -> None:
    run(database, TABLE)
    text = "id,name,price\n1,a,1\n1,b,3\n1,c,2\n2,two,2\n"
    result = load(database, tmp_path, text, "upsert", duplicates=duplicates)
    expected = {**expected, "unchanged": 1}
    assert counts(result) == expected
    assert rows(database)[0][1] == kept


@pytest.mark.parametrize("mode", ["insert_new", "upsert", "sync"])
def test_a_contested_key_loads_by_none_of_its_rows_even_where_one_has_a_copy(
    database: Database, tmp_path: Path, mode: str
) -> None:
    run(
        database,
        "create table items (id int primary key, name text);"
        "insert into items values (1, 'old'), (2, 'z')",
    )
    # 1: a copy of its first row; 3: a copy of its last; 4: copies alone, which contest nothing
    text = "id,name\n1,a\n1,a\n1,b\n2,z\n3,a\n3,b\n3,b\n4,d\n4,d\n"
    result = load(database, tmp_path, text, mode, duplicates="reject")
    assert (result.inserted, result.updated, result.quarantined) == (1, 0, 6)
    assert rows(database, "id, name") == [(1, "old"), (2, "z"), (4, "d")]
    with database.connect() as connection:
        found = connection.execute("select line, codes from penstock.rejects order by 1").fetchall()
    assert found == [(line, ["23505"]) for line in (2, 3, 4, 6, 7, 8)]


def test_a_row_without_its_key_is_refused(database: Database, tmp_path: Path) -> None:
    run(database, "create table items (id int unique, name text, price numeric(8,2))")
    text = "id,name,price\n,a,1\n1,b,1\n"
    for _ in range(2):
        result = load(database, tmp_path, text, "upsert", key=("id",))
        assert result.quarantined == 1
        assert result.reasons[0].code == "null_key"
    assert rows(database) == [(1, "b", "1.00")]


def test_values_that_are_equal_and_not_the_same_are_updated(
    database: Database, tmp_path: Path
) -> None:
    run(
        database,
        "create table items (id int primary key, name double precision, price numeric);"
        "insert into items values (1, 0, 1.0), (2, 5, 2.0)",
    )
    text = "id,name,price\n1,-0,1.0\n2,5,2.00\n"
    assert counts(load(database, tmp_path, text, "upsert")) == {"updated": 2}
    assert rows(database, "id, name::text, price::text") == [(1, "-0", "1.0"), (2, "5", "2.00")]


def test_what_only_the_server_refuses_is_isolated_among_updates_too(
    database: Database, tmp_path: Path
) -> None:
    run(database, TABLE + "alter table items add check (price < 100), add unique (name)")
    text = "id,name,price\n1,one,1.5\n2,one,2\n3,three,300\n5,five,5\n6,six,600\n"
    result = load(database, tmp_path, text, "upsert")
    assert counts(result) == {"inserted": 1, "updated": 1, "quarantined": 3}
    assert {reason.code for reason in result.reasons} == {"23505", "23514"}
    assert rows(database)[:3] == [(1, "one", "1.50"), (2, "two", "2.00"), (3, "three", "3.00")]


def test_partitioned_tables_and_a_changing_partition_key(
    database: Database, tmp_path: Path
) -> None:
    run(
        database,
        "create table items (id int, day date, name text, primary key (id, day))"
        " partition by range (day);"
        "create table items_1 partition of items for values from ('2024-01-01') to ('2025-01-01');"
        "create table items_2 partition of items for values from ('2025-01-01') to ('2026-01-01');"
        "insert into items values (1, '2024-05-05', 'a'), (2, '2024-05-05', 'b')",
    )
    text = "id,day,name\n1,2024-05-05,a\n2,2025-05-05,b\n2,2024-05-05,c\n3,2030-01-01,x\n"
    result = load(database, tmp_path, text, "upsert")
    assert counts(result) == {"inserted": 1, "updated": 1, "unchanged": 1, "quarantined": 1}
    assert rows(database, "id, day::text, name") == [
        (1, "2024-05-05", "a"),
        (2, "2024-05-05", "c"),
        (2, "2025-05-05", "b"),
    ]


def test_a_trigger_that_swallows_rows_fails_the_load(database: Database, tmp_path: Path) -> None:
    run(
        database,
        TABLE + "create function gone() returns trigger language plpgsql as"
        " 'begin return null; end';"
        "create trigger gone before insert on items for each row execute function gone()",
    )
    with pytest.raises(PenstockError, match="a trigger swallows"):
        load(database, tmp_path, "id,name,price\n5,five,5\n", "upsert")


def test_a_trigger_that_changes_rows_is_counted_once(database: Database, tmp_path: Path) -> None:
    run(
        database,
        TABLE + "create function upper_name() returns trigger language plpgsql as"
        " 'begin new.name := upper(new.name); return new; end';"
        "create trigger upper_name before insert or update on items"
        " for each row execute function upper_name()",
    )
    result = load(database, tmp_path, "id,name,price\n1,x,1\n5,five,5\n", "upsert")
    assert counts(result) == {"inserted": 1, "updated": 1}


def test_a_table_without_a_key_needs_one(database: Database, tmp_path: Path) -> None:
    run(database, "create table items (id int, name text, price numeric)")
    with pytest.raises(UsageError, match="--key"):
        load(database, tmp_path, "id,name,price\n1,a,1\n", "upsert")
    with pytest.raises(UsageError, match="ADD UNIQUE"):
        load(database, tmp_path, "id,name,price\n1,a,1\n", "upsert", key=("id",))


def test_sync_removes_what_the_input_no_longer_has(database: Database, tmp_path: Path) -> None:
    run(database, TABLE)
    text = "id,name,price\n1,one,1\n2,two,2.5\n4,four,4\n"
    result = load(database, tmp_path, text, "sync")
    assert counts(result) == {"updated": 1, "unchanged": 2, "deleted": 1}
    assert [row[0] for row in rows(database)] == [1, 2, 4]


def test_sync_within_a_scope_leaves_the_rest_alone(database: Database, tmp_path: Path) -> None:
    run(database, TABLE)
    text = "id,name,price,region\n1,one,1,EU\n2,two,2,EU\n9,nine,9,US\n"
    result = load(database, tmp_path, text, "sync", within={"region": "EU"})
    assert counts(result) == {"unchanged": 2, "quarantined": 1, "deleted": 1}
    assert result.reasons[0].code == "out_of_scope"
    assert [row[0] for row in rows(database)] == [1, 2, 3]


def test_sync_never_removes_a_row_that_came_and_was_refused(
    database: Database, tmp_path: Path
) -> None:
    run(database, TABLE + "alter table items add check (price < 100)")
    text = "id,name,price\n1,one,x\n2,two,200\n3,three,3\n"
    result = load(database, tmp_path, text, "sync")
    assert counts(result) == {"unchanged": 1, "quarantined": 2, "deleted": 1}
    assert [row[0] for row in rows(database)] == [1, 2, 3]


@pytest.mark.parametrize("bad", ["x,four,4", ",four,4", "4,four", '4,"four,4'])
def test_sync_removes_nothing_when_a_key_could_not_be_read(
    database: Database, tmp_path: Path, bad: str
) -> None:
    run(database, TABLE)
    result = load(
        database, tmp_path, f"id,name,price\n1,one,1\n2,two,2\n3,three,3\n{bad}\n", "sync"
    )
    assert counts(result) == {"unchanged": 3, "quarantined": 1}
    assert any("nothing was removed" in warning for warning in result.warnings)
    assert len(rows(database)) == 4


def test_sync_marks_what_is_gone_and_unmarks_what_comes_back(
    database: Database, tmp_path: Path
) -> None:
    run(database, TABLE)
    missing = {"active": False}
    three = "id,name,price\n1,one,1\n2,two,2\n3,three,3\n"
    result = load(database, tmp_path, three, "sync", missing=missing)
    assert counts(result) == {"unchanged": 3, "deleted": 1}
    assert rows(database, "id, active")[3] == (4, False)
    again = load(database, tmp_path, three, "sync", missing=missing)
    assert counts(again) == {"unchanged": 3}
    back = load(database, tmp_path, three + "4,four,4\n", "sync", missing=missing)
    assert counts(back) == {"updated": 1, "unchanged": 3}
    assert rows(database, "id, active")[3] == (4, True)


def test_sync_refuses_to_remove_more_than_half_unless_told(
    database: Database, tmp_path: Path
) -> None:
    run(database, TABLE)
    text = "id,name,price\n1,one,1\n"
    with pytest.raises(ShrinkRefused, match="--max-deletes 3"):
        load(database, tmp_path, text, "sync")
    with pytest.raises(ShrinkRefused, match="--max-deletes is 2"):
        load(database, tmp_path, text, "sync", max_deletes="2")
    assert len(rows(database)) == 4
    assert counts(load(database, tmp_path, text, "sync", max_deletes="3")) == {
        "unchanged": 1,
        "deleted": 3,
    }


def test_sync_of_rows_that_others_refer_to_is_refused_with_the_remedy(
    database: Database, tmp_path: Path
) -> None:
    run(
        database,
        TABLE + "create table lines (item int references items); insert into lines values (4)",
    )
    with pytest.raises(TargetError, match="--missing"):
        load(database, tmp_path, "id,name,price\n1,a,1\n2,b,2\n3,c,3\n", "sync")
    assert len(rows(database)) == 4


def test_sync_frees_unique_values_before_new_rows_take_them(
    database: Database, tmp_path: Path
) -> None:
    run(database, TABLE + "alter table items add unique (name)")
    text = "id,name,price\n1,one,1\n2,two,2\n3,three,3\n9,four,4\n"
    assert counts(load(database, tmp_path, text, "sync")) == {
        "inserted": 1,
        "unchanged": 3,
        "deleted": 1,
    }


def test_replace_range_replaces_just_the_range(database: Database, tmp_path: Path) -> None:
    run(database, TABLE)
    text = "id,name,price,region\n2,zwei,2,EU\n7,sieben,7,EU\n8,acht,8,US\n3,drei,3,EU\n"
    for _ in range(2):
        result = load(database, tmp_path, text, "replace_range", within={"region": "EU"})
        assert result.inserted == 2
        assert result.quarantined == 2
    assert {reason.code for reason in result.reasons} == {"out_of_scope", "23505"}
    assert rows(database) == [(2, "zwei", "2.00"), (3, "three", "3.00"), (7, "sieben", "7.00")]


def test_replace_range_by_bounds_includes_both(database: Database, tmp_path: Path) -> None:
    run(database, TABLE)
    text = "id,name,price\n2,b,2\n3,c,3\n"
    result = load(database, tmp_path, text, "replace_range", within={"id": "2..3"})
    assert counts(result) == {"inserted": 2, "deleted": 2}
    assert [row[1] for row in rows(database)] == ["one", "b", "c", "four"]


def test_replace_range_refuses_to_leave_less_than_half(database: Database, tmp_path: Path) -> None:
    run(database, TABLE)
    with pytest.raises(ShrinkRefused, match="--allow-shrink"):
        load(database, tmp_path, "id,name,price\n1,a,1\n", "replace_range", within={"id": "1..4"})
    assert len(rows(database)) == 4


@pytest.mark.parametrize(
    ("mode", "options", "said"),
    [
        ("replace_range", {}, "--within"),
        ("replace_range", {"within": {"nope": "1"}}, "no column nope"),
        ("replace_range", {"within": {"id": "x"}}, "is not an integer"),
        ("replace_range", {"within": {"id": "1.."}}, "two with .. between"),
        ("append", {"within": {"id": "1"}}, "not for append"),
        ("append", {"key": ("id",)}, "not for the mode append"),
        ("sync", {"missing": {"active": "maybe"}}, "--missing active=maybe: "),
        ("sync", {"missing": ["active"]}, "missing is a dictionary"),
        ("append", {"modus": "upsert"}, "There is no option modus. Did you mean mode"),
        ("upsert", {"missing": {"active": False}}, "not for upsert"),
        ("upsert", {"duplicates": "best"}, "not one of first"),
        ("upsert", {"duplicates": "max:nope"}, "no column nope"),
        ("upsert", {"key": ("nope",)}, "no column nope"),
        ("sync", {"missing": {"nope": 1}}, "no column nope"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_done(
    database: Database, tmp_path: Path, mode: str, options: dict[str, Any], said: str
) -> None:
    run(database, TABLE)
    with pytest.raises(UsageError, match=said):
        load(database, tmp_path, "id,name,price\n1,a,1\n", mode, **options)


def test_an_update_may_lack_a_column_that_a_new_row_needs(
    database: Database, tmp_path: Path
) -> None:
    run(database, TABLE + "alter table items alter name set not null, add check (price < 100)")
    result = load(database, tmp_path, "id,price\n1,7\n2,700\n9,9\n", "upsert")
    assert counts(result) == {"updated": 1, "quarantined": 2}
    assert {reason.code for reason in result.reasons} == {"23502", "23514"}
    assert rows(database)[0] == (1, "one", "7.00")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("3,q,3\n4,three,4", {3: "q", 4: "three"}),
        ("4,q,4\n2,four,2", {2: "four", 4: "q"}),
    ],
)
def test_rows_may_take_over_values_of_another_unique_key_in_file_order(
    database: Database, tmp_path: Path, lines: str, expected: dict[int, str]
) -> None:
    run(database, TABLE + "alter table items add unique (name)")
    result = load(database, tmp_path, f"id,name,price\n{lines}\n", "upsert")
    assert result.quarantined == 0
    found = {row[0]: row[1] for row in rows(database)}
    assert found | expected == found


def test_a_removal_that_changes_rows_that_stay_is_compared_with_what_it_left(
    database: Database, tmp_path: Path
) -> None:
    run(
        database,
        TABLE + "create function let_go() returns trigger language plpgsql as"
        " $$begin update items set name = null where name = old.name || '!'; return null; end$$;"
        "create trigger let_go after delete on items for each row execute function let_go();"
        "insert into items values (5, 'four!', 5, 'EU')",
    )
    text = "id,name,price,region\n1,one,1,EU\n2,two,2,EU\n3,three,3,US\n5,,5,EU\n"
    result = load(database, tmp_path, text, "sync")
    assert counts(result) == {"unchanged": 4, "deleted": 1}
    assert rows(database)[-1] == (5, None, "5.00")


@pytest.mark.parametrize(
    ("mode", "options"), [("sync", {}), ("replace_range", {"within": {"region": "EU"}})]
)
def test_rows_that_a_trigger_keeps_are_not_said_to_be_gone(
    database: Database, tmp_path: Path, mode: str, options: dict[str, Any]
) -> None:
    run(
        database,
        TABLE + "create function stay() returns trigger language plpgsql as"
        " 'begin return null; end';"
        "create trigger stay before delete on items for each row execute function stay()",
    )
    text = "id,name,price,region\n1,one,1,EU\n2,two,2,EU\n3,three,3,EU\n"
    with pytest.raises(BalanceError, match="a trigger keeps"):
        load(database, tmp_path, text, mode, **options)


@pytest.mark.parametrize(
    ("mode", "options"), [("sync", {}), ("replace_range", {"within": {"region": "EU"}})]
)
def test_rows_of_other_tables_never_go_uncounted(
    database: Database, tmp_path: Path, mode: str, options: dict[str, Any]
) -> None:
    run(
        database,
        TABLE + "create table lines (item int references items on delete cascade);"
        "insert into lines values (1)",
    )
    with pytest.raises(TargetError, match="lines would lose theirs"):
        load(database, tmp_path, "id,name,price,region\n1,one,1,EU\n", mode, **options)


@pytest.mark.parametrize(
    ("within", "said"),
    [
        ({"region": "EUROPE"}, "longer than 2"),
        ({"day": "2024-01-02 23:00"}, "time of day"),
        ({"day": "today"}, "today"),
        ({"price": "1.099"}, "decimals"),
    ],
)
def test_a_bound_that_the_column_would_cut_is_refused(
    database: Database, tmp_path: Path, within: dict[str, str], said: str
) -> None:
    run(
        database,
        "create table items (id int primary key, name text, price numeric(8,2),"
        " region varchar(2), day date)",
    )
    with pytest.raises(UsageError, match=said):
        load(
            database,
            tmp_path,
            "id,name,price,region,day\n1,a,1,EU,2024-01-01\n",
            "replace_range",
            within=within,
        )


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        ("id int primary key deferrable, name text, price numeric", {}, "DEFERRABLE|deferrable"),
        (
            "id int generated always as identity primary key, name text unique, price numeric",
            {"key": "name"},
            "GENERATED ALWAYS AS IDENTITY",
        ),
        ("id int primary key, name json, price numeric", {"duplicates": "max:name"}, "no order"),
    ],
)
def test_tables_that_upsert_cannot_go_by_are_named_with_the_reason(
    database: Database, tmp_path: Path, table: str, options: dict[str, Any], said: str
) -> None:
    run(database, f"create table items ({table})")
    with pytest.raises(PenstockError, match=said):
        load(database, tmp_path, 'id,name,price\n1,"""a""",1\n', "upsert", **options)
