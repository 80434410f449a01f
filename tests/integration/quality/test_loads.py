"""Checks on the rows of loads: what is stopped, what is marked, and what the ledger keeps."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy

from penstock import load_star, load_table, quality, unit
from penstock.errors import BudgetExceeded, LoadError, UsageError
from penstock.model.result import LoadResult
from penstock.quality.declared import Check
from tests.fixtures.postgres import Database

TABLE = """
create table orders (
    order_id int, kind text, code char(3), amount numeric(8,2), free numeric, share float8,
    open boolean, day date, at timestamptz, local timestamp, id uuid, note text default 'none');
"""
IDS = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
CSV = f"""order_id,kind,code,amount,free,share,open,day,at,local,id
1,view,AT,1.00,1.0,0.1,true,2026-01-01,2026-01-01T10:00:00Z,2026-01-01 10:00,{IDS[0].upper()}
2,buy,DE,2.50,1,0.5,false,2026-01-02,2026-01-02T10:00:00Z,2026-01-02 10:00,{IDS[1]}
3,odd,DE,99.99,0.10,2.5,true,2026-01-03,2026-01-03T10:00:00Z,2026-01-03 10:00,
4,view,,-1.00,-5,,,,,,
5,,FR,,,0.9,true,2026-01-05,,,{IDS[0]}
"""


@pytest.fixture
def shop(ledger_database: Database) -> Database:
    with ledger_database.connect() as connection:
        connection.execute(TABLE)
    return ledger_database


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("orders.csv").write_text(CSV)
    return Path("orders.csv")


def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(statement.encode()).fetchall()


def kept(database: Database) -> list[tuple[Any, ...]]:
    return rows(
        database,
        "select name, outcome, rows, wrong, load_id is null from penstock.checks order by check_id",
    )


def load(database: Database, file: Path, *checks: Check, **more: Any) -> LoadResult:
    return load_table(database.url, file, quality=list(checks), **more)


@pytest.mark.parametrize(
    ("check", "looked", "wrong", "lines"),
    [
        (quality.unique("order_id"), 5, 0, ()),
        (quality.unique("code"), 4, 2, (3, 4)),
        (quality.unique("free"), 4, 2, (2, 3)),  # 1.0 is 1
        (quality.unique("id"), 3, 2, (2, 6)),  # as the server says, whatever its case
        (quality.unique("kind", "open"), 3, 0, ()),
        (quality.not_null("kind"), 5, 1, (6,)),
        (quality.not_null("amount", 0.8, min_rows=5), 5, 1, None),
        (quality.not_null("amount", 0.81, min_rows=5), 5, 1, (6,)),
        (quality.not_null("kind", 0, min_rows=1), 5, 1, None),
        (quality.accepted("kind", ["view", "buy"]), 4, 1, (4,)),
        (quality.accepted("code", ["AT", "DE ", "FR"]), 4, 0, ()),
        (quality.accepted("order_id", [1, 2, 3.5]), 5, 3, (4, 5, 6)),
        (quality.accepted("amount", [1, "2.5", 99.99, Decimal(-1), 0.001]), 4, 0, ()),
        (quality.accepted("free", [1, 0.1]), 4, 1, (5,)),
        (quality.accepted("share", [0.1, 0.5]), 4, 2, (4, 6)),
        (quality.accepted("open", [True]), 4, 1, (3,)),
        (quality.accepted("day", [date(2026, 1, 1), "2026-01-05"]), 4, 2, (3, 4)),
        (quality.between("amount", 0, 99.99), 4, 1, (5,)),
        (quality.between("amount", 1.001, None), 4, 2, (2, 5)),
        (quality.between("order_id", 1.5, 10**30), 5, 1, (2,)),
        (quality.between("order_id", None, -(10**30)), 5, 5, (2, 3, 4, 5, 6)),
        (quality.between("free", 0, "0.10"), 4, 3, (2, 3, 5)),
        (quality.between("share", 0, 1), 4, 1, (4,)),
        (quality.between("day", "2026-01-02", None), 4, 1, (2,)),
        (quality.between("at", datetime(2026, 1, 2, 11, tzinfo=UTC), None), 3, 2, (2, 3)),
        (quality.between("local", None, "2026-01-02T10:00"), 3, 1, (4,)),
        (quality.expression(pl.col("amount") > pl.col("share"), name="more"), 3, 0, ()),
        (quality.expression(pl.col("kind").is_in(["view"]), name="views"), 4, 2, (3, 4)),
    ],
    ids=lambda one: one.name if isinstance(one, Check) else "",
)  # fmt: skip
@pytest.mark.parametrize("mode", ["append", "truncate"])
def test_each_kind_counts_the_rows_that_came_and_stops_the_load(
    shop: Database,
    file: Path,
    check: Check,
    looked: int,
    wrong: int,
    lines: tuple[int, ...] | None,
    mode: str,
) -> None:
    """The lines are those of the file; None: some are wrong, and as many as are allowed."""
    if not lines:
        result = load(shop, file, check, mode=mode)
        (found,) = result.checks
        assert (found.outcome, found.rows, found.wrong) == ("passed", looked, wrong)
        assert result.inserted == 5
        assert kept(shop) == []  # a record of what is right is made by penstock check
        return
    with pytest.raises(LoadError) as error:
        load(shop, file, check, mode=mode)
    assert error.value.code == "quality"
    assert f"orders: {check.name} failed, {wrong} of {looked} rows" in error.value.message
    named = ", ".join(f"orders.csv line {line}" for line in lines)
    assert f"such as {named}\n" in error.value.message
    assert rows(shop, "select count(*) from orders") == [(0,)]
    assert kept(shop) == [(check.name, "failed", looked, wrong, False)]
    assert rows(shop, "select status, inserted from penstock.loads") == [("failed", 0)]


def test_a_check_that_marks_or_warns_lets_the_load_through(shop: Database, file: Path) -> None:
    result = load(
        shop,
        file,
        quality.not_null("kind", stops=False),
        quality.unique("code", severity="warn"),
        quality.not_null("order_id"),
        quality.not_null("open", 0.9),
    )
    assert result.inserted == 5
    assert [one.outcome for one in result.checks] == ["failed", "warned", "passed", "skipped"]
    assert result.checks[3].reason == "5 rows to look at, fewer than 20"
    assert result.warnings[-2:] == (
        "not_null(kind) failed: 1 of 5 rows has no value, such as orders.csv line 6",
        "unique(code) warned: 2 of 4 rows share their values with others, such as orders.csv "
        "line 3, orders.csv line 4",
    )
    assert kept(shop) == [
        ("not_null(kind)", "failed", 5, 1, False), ("unique(code)", "warned", 4, 2, False),
    ]  # fmt: skip
    details = rows(
        shop,
        "select c.schema_name, c.table_name, c.columns, c.severity, c.figure, c.bound, c.examples, "
        "c.pipeline, l.status from penstock.checks c join penstock.loads l using (load_id, run_id) "
        "order by check_id limit 1",
    )
    assert details == [
        ("public", "orders", ["kind"], "fail", 0.8, "at least 1", ["orders.csv line 6"], None,
         "succeeded"),
    ]  # fmt: skip


def test_rows_that_are_refused_are_not_looked_at(shop: Database, file: Path) -> None:
    file.write_text(CSV + "many,,,,,,,,,,\n")
    result = load(
        shop, file, quality.not_null("kind", 0.8, min_rows=5), max_rejects="all"
    )  # fmt: skip
    assert (result.quarantined, result.checks[0].rows, result.checks[0].wrong) == (1, 5, 1)


def test_a_stopped_load_keeps_what_it_refused_and_what_the_checks_found(
    shop: Database, file: Path
) -> None:
    file.write_text(CSV + "many,,,,,,,,,,\n")
    with pytest.raises(LoadError):
        load(shop, file, quality.not_null("kind"), max_rejects="all")
    assert rows(shop, "select status, line from penstock.rejects") == [("void", 7)]
    assert kept(shop) == [("not_null(kind)", "failed", 5, 1, False)]


def test_a_load_that_fails_for_another_reason_leaves_no_results(shop: Database, file: Path) -> None:
    file.write_text(CSV + "many,,,,,,,,,,\n")
    with pytest.raises(BudgetExceeded):
        load(shop, file, quality.not_null("kind"), max_rejects=0)
    assert kept(shop) == []


def test_a_dry_run_says_what_it_found_and_keeps_nothing(shop: Database, file: Path) -> None:
    result = load(shop, file, quality.not_null("kind", severity="warn"), dry_run=True)
    assert result.checks[0].outcome == "warned"
    assert kept(shop) == []


def test_uniqueness_and_shares_are_of_all_batches_together(shop: Database) -> None:
    """100,000 rows of a frame are one batch."""
    frame = pl.DataFrame({"order_id": [*range(150_000), 7], "kind": ["a"] * 150_000 + [None]})
    with pytest.raises(LoadError) as error:
        load_table(shop.url, frame, "orders", quality=[quality.unique("order_id")])
    assert "2 of 150,001 rows share their values with others" in error.value.message
    assert "frame record 8, frame record 150,001" in error.value.message
    found = load_table(
        shop.url, frame, "orders", quality=[quality.not_null("kind", 0.99)]
    ).checks[0]  # fmt: skip
    assert (found.rows, found.wrong, found.figure) == (150_001, 1, 150_000 / 150_001)


def test_what_the_input_does_not_have_is_null_or_says_nothing(shop: Database, file: Path) -> None:
    file.write_text("order_id\n1\n2\n")
    found = load(
        shop,
        file,
        quality.not_null("kind", stops=False),
        quality.not_null("note"),
        quality.accepted("kind", ["view"]),
        quality.unique("order_id", "kind"),
    ).checks
    assert [(one.outcome, one.rows, one.wrong) for one in found] == [
        ("failed", 2, 2), ("skipped", 0, 0), ("skipped", 0, 0), ("skipped", 0, 0),
    ]  # fmt: skip
    assert found[0].examples == ("orders.csv line 2", "orders.csv line 3")
    assert found[1].reason == "the input has no note, which has a default"


def test_a_file_of_a_header_alone_passes(shop: Database, file: Path) -> None:
    file.write_text("order_id,kind\n")
    found = load(shop, file, quality.not_null("kind"), quality.unique("order_id")).checks
    assert [one.outcome for one in found] == ["skipped", "skipped"]


def test_odd_names_are_taken_as_they_are(shop: Database, file: Path) -> None:
    with shop.connect() as connection:
        connection.execute('create table odd ("50%" int, "Q""t" text, "a b" numeric)')
    file.write_text('50%,"Q""t",a b\n1,x,1.0\n1,,1\n')
    checks = [
        quality.unique("50%", "a b", stops=False),
        quality.not_null('Q"t', stops=False),
        quality.between("a b", 1, 2),
    ]
    result = load_table(shop.url, file, "odd", quality=checks)
    assert [(one.rows, one.wrong) for one in result.checks] == [(2, 2), (2, 1), (2, 0)]


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (quality.not_null("knd"), "orders has no column knd. Did you mean kind?"),
        (quality.accepted("amount", ["much"]), "'much' is no finite number"),
        (quality.between("day", 1, 2), "day is a date, and 1 is none"),
        (quality.expression(pl.col("amount") > pl.col("nowhere"), name="x"),
            "orders has no column nowhere"),
        (quality.expression(pl.col("amount") * 2, name="x"), "gives Decimal"),
        (quality.expression(pl.col("kind") > 2, name="x"), "quality x: the expression fails"),
        (quality.fresh("at", timedelta(1)), "is about a whole table"),
        (quality.sql("select 1", name="s"), "is about a whole table"),
    ],
    ids=lambda one: one.name if isinstance(one, Check) else "",
)  # fmt: skip
def test_a_mistake_is_told_and_nothing_is_loaded(
    shop: Database, file: Path, check: Check, said: str
) -> None:
    with pytest.raises(UsageError) as error:
        load(shop, file, check)
    assert said in error.value.message
    assert rows(shop, "select count(*) from orders") == [(0,)]
    assert rows(shop, "select count(*) from penstock.runs where status <> 'failed'") == [(0,)]


def test_a_type_that_only_the_server_compares_is_left_to_it(shop: Database) -> None:
    with shop.connect() as connection:
        connection.execute("create table hosts (net inet)")
    frame = pl.DataFrame({"net": ["10.0.0.1"]})
    (found,) = load_table(
        shop.url, frame, "hosts", quality=[quality.accepted("net", ["10.0.0.2"])]
    ).checks  # fmt: skip
    assert found.outcome == "skipped"
    assert found.reason == "net is inet, which only the server compares: penstock check"


def test_within_a_unit_the_stopped_load_is_undone_and_the_other_stands(
    shop: Database, file: Path
) -> None:
    with unit(shop.url) as both:
        both.load(pl.DataFrame({"order_id": [9]}), "orders")
        with pytest.raises(LoadError):
            both.load(file, quality=[quality.not_null("kind")])
    assert rows(shop, "select order_id from orders") == [(9,)]
    assert kept(shop) == [("not_null(kind)", "failed", 5, 1, False)]


def test_a_caller_who_rolls_back_takes_the_results_with_it(shop: Database, file: Path) -> None:
    with shop.engine().connect() as connection:
        load_table(connection, file, quality=[quality.not_null("kind", severity="warn")])
        assert connection.execute(sqlalchemy.text("select count(*) from penstock.checks")).scalar()
        connection.rollback()
    assert kept(shop) == []


def test_without_a_ledger_the_load_is_stopped_all_the_same(database: Database, file: Path) -> None:
    with database.connect() as connection:
        connection.execute(TABLE)
    with pytest.raises(LoadError):
        load(database, file, quality.not_null("kind"), ledger=False)
    assert rows(database, "select count(*) from orders") == [(0,)]


def test_in_a_star_the_checks_hold_for_each_table_and_stop_all(
    shop: Database, tmp_path: Path
) -> None:
    with shop.connect() as connection:
        connection.execute("create table a (id int, v text); create table b (id int, v text)")
    (tmp_path / "a.csv").write_text("id,v\n1,x\n")
    (tmp_path / "b.csv").write_text("id,v\n1,x\n2,\n")
    with pytest.raises(LoadError, match=r"b: not_null\(v\) failed, 1 of 2 rows"):
        load_star(shop.url, tmp_path, quality=[quality.not_null("v")])
    assert rows(shop, "select count(*) from a") == [(0,)]


def test_results_are_purged_as_rejects_are(shop: Database, file: Path) -> None:
    from penstock.ledger import checks

    load(shop, file, quality.not_null("kind", severity="warn"))
    with shop.connect() as connection:
        assert checks.purge(connection) == 0
        connection.execute("update penstock.checks set checked_at = now() - interval '91 days'")
        assert checks.purge(connection) == 1
