"""Checks on tables of a real PostgreSQL; every figure is counted by hand from the rows inserted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest

from penstock import quality
from penstock.errors import UsageError
from penstock.model.checked import CheckResult
from penstock.quality.declared import Check
from penstock.quality.tables import tried
from tests.fixtures.postgres import Database

SHOP = """
create table users (id int primary key, name text);
insert into users values (1, 'Ann'), (2, 'Bob');
create table orders (
    order_id int primary key, user_id int, kind text, amount numeric(8,2), at timestamptz,
    code char(3), day date, open boolean, share float8);
insert into orders values
    (1, 1, 'view', 1.00, '2026-01-01 10:00Z', 'AT', '2026-01-01', true, 0.1),
    (2, 2, 'buy', 2.50, '2026-01-02 10:00Z', 'DE', '2026-01-02', false, 0.5),
    (3, 7, 'odd', 99.99, '2026-01-03 10:00Z', 'DE', '2026-01-03', true, 'NaN'),
    (4, null, 'view', -1.00, '2026-01-04 10:00Z', null, null, null, null),
    (5, 1, null, null, null, 'FR', '2026-01-05', true, 0.9);
"""


@pytest.fixture
def shop(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(SHOP)
    return database


def on(database: Database, *checks: Check, table: str = "orders") -> list[CheckResult]:
    with psycopg.connect(database.url, autocommit=True) as connection:
        return list(tried(connection, table, checks))


def run(database: Database, statement: str) -> None:
    with database.connect() as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("check", "outcome", "rows", "wrong", "examples"),
    [
        (quality.unique("order_id"), "passed", 5, 0, ()),
        (quality.unique("user_id"), "failed", 4, 2, ("user_id 1",)),  # the NULL is left out
        (quality.unique("user_id", "kind"), "passed", 3, 0, ()),  # two rows have a NULL
        (quality.unique("code"), "failed", 4, 2, ("code DE",)),
        (quality.not_null("kind"), "failed", 5, 1, ("order_id 5",)),
        (quality.not_null("kind", 0.8, min_rows=5), "passed", 5, 1, ()),
        (quality.not_null("kind", 0.81, min_rows=5), "failed", 5, 1, ("order_id 5",)),
        (quality.not_null("kind", 0, min_rows=1), "passed", 5, 1, ()),
        (quality.not_null("kind", severity="warn"), "warned", 5, 1, ("order_id 5",)),
        (quality.not_null("kind", 0.9), "skipped", 5, 1, ()),  # fewer than 20
        (quality.accepted("kind", ["view", "buy"]), "failed", 4, 1, ("order_id 3",)),
        (quality.accepted("code", ["AT", "DE", "FR"]), "passed", 4, 0, ()),
        (quality.accepted("user_id", [1, 2]), "failed", 4, 1, ("order_id 3",)),
        (quality.accepted("amount", [1, 2.5, "99.99", Decimal("-1.0")]), "passed", 4, 0, ()),
        (quality.accepted("open", [True]), "failed", 4, 1, ("order_id 2",)),
        (quality.accepted("day", [date(2026, 1, 1)]), "failed", 4, 3,
            ("order_id 2", "order_id 3", "order_id 5")),
        (quality.between("amount", 0, 99.99), "failed", 4, 1, ("order_id 4",)),
        (quality.between("amount", 1.001, None), "failed", 4, 2, ("order_id 1", "order_id 4")),
        (quality.between("user_id", 0.5, 10**30), "passed", 4, 0, ()),
        (quality.between("share", 0, 1), "failed", 4, 1, ("order_id 3",)),  # NaN is no share
        (quality.between("day", "2026-01-02", date(2026, 1, 5)), "failed", 4, 1, ("order_id 1",)),
        (quality.between("at", datetime(2026, 1, 2, tzinfo=UTC), None), "failed", 4, 1,
            ("order_id 1",)),
        (quality.refers("user_id", "users.id"), "failed", 4, 1, ("order_id 3",)),
        (quality.refers("user_id", "public.users.id", 0.75, min_rows=4), "passed", 4, 1, ()),
        (quality.sql("select order_id from orders where amount < 0", name="negative"),
            "failed", 1, 1, ('{"order_id": 4}',)),
        (quality.sql("select 1 where '5%' = '' -- {}", name="none"), "passed", 0, 0, ()),
    ],
    ids=lambda one: one.name if isinstance(one, Check) else "",
)  # fmt: skip
def test_each_kind_counts_rows_and_names_the_wrong_ones(
    shop: Database, check: Check, outcome: str, rows: int, wrong: int, examples: tuple[str, ...]
) -> None:
    (found,) = on(shop, check)
    assert (found.outcome, found.rows, found.wrong) == (outcome, rows, wrong)
    assert sorted(found.examples) == sorted(examples)
    if check.kind != "sql" and outcome != "skipped":
        assert found.figure == (rows - wrong) / rows


def test_an_empty_table_says_nothing_about_shares_and_is_not_fresh(shop: Database) -> None:
    run(shop, "truncate orders")
    checks = [
        quality.unique("order_id"),
        quality.not_null("kind"),
        quality.accepted("kind", ["a"]),
        quality.between("amount", 0, 1),
        quality.refers("user_id", "users.id"),
        quality.row_count("at"),
        quality.fresh("at", timedelta(days=1)),
        quality.sql("select * from orders", name="any"),
    ]
    found = on(shop, *checks)
    assert [one.outcome for one in found] == [*["skipped"] * 6, "failed", "passed"]
    assert found[0].reason == "no rows"
    assert found[6].reason == "there is no row"


def test_the_newest_row_is_fresh_and_one_of_tomorrow_does_not_make_it_so(shop: Database) -> None:
    run(
        shop,
        "truncate orders; insert into orders (order_id, at, day) values "
        "(1, now() - interval '90 minutes', (now() at time zone 'UTC')::date), "
        "(2, now() + interval '1 day', (now() at time zone 'UTC')::date + 1)",
    )
    new, old, day, warned = on(
        shop,
        quality.fresh("at", timedelta(minutes=91)),
        quality.fresh("at", timedelta(minutes=89)),
        quality.fresh("day", timedelta(hours=24)),
        quality.fresh("at", timedelta(minutes=1), name="at once", severity="warn"),
    )
    assert (new.outcome, old.outcome, day.outcome, warned.outcome) == (
        "passed", "failed", "passed", "warned",
    )  # fmt: skip
    assert old.figure == pytest.approx(5400, abs=60)
    assert old.bound == "at most 1 h 29 min"
    assert old.reason.startswith("the newest row is 1 h 30 min old: ")


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
@pytest.mark.parametrize(
    ("days", "outcome", "figure", "rows"),
    [
        ({1: 10, 2: 10, 3: 30}, "passed", 0.5, 10),  # a mean of 20
        ({1: 9, 2: 10, 3: 30}, "failed", 0.45, 9),
        ({1: 40, 2: 10, 3: 30}, "passed", 2.0, 40),
        ({1: 41, 2: 10, 3: 30}, "failed", 2.05, 41),
        ({2: 10, 3: 30}, "failed", 0.0, 0),  # nothing came
        ({1: 5, 3: 30}, "failed", 1 / 3, 5),  # a day without rows counts: 30 in 2 days
        ({1: 10, 2: 10, 8: 60, 9: 99}, "passed", 1.0, 10),  # 70 in 7 days
        ({1: 10}, "skipped", None, 0),  # nothing to compare with
    ],
)  # fmt: skip
def test_the_last_whole_day_is_held_against_the_mean_of_those_before(
    database: Database,
    days: dict[int, int],
    outcome: str,
    figure: float | None,
    rows: int,
    kind: str,
    zone: str,
) -> None:
    """Days are those of UTC, whatever the session's zone; today does not count."""
    run(database, f'create table "Log" ("When" {kind}); alter database '
        f'"{database.name}" set timezone to \'{zone}\'')  # fmt: skip
    with psycopg.connect(database.url, autocommit=True) as connection:
        for ago, count in {**days, 0: 500}.items():
            connection.execute(
                "insert into \"Log\" select case when %s = 'timestamptz' then "
                "(((now() at time zone 'UTC')::date - %s)::timestamp at time zone 'UTC')::text "
                f"else ((now() at time zone 'UTC')::date - %s)::text end::{kind} "
                "from generate_series(1, %s)".encode(),
                [kind, ago, ago, count],
            )
    (found,) = on(database, quality.row_count("When"), table='"Log"')
    assert (found.outcome, found.rows) == (outcome, rows)
    assert found.figure == (None if figure is None else pytest.approx(figure))


def test_names_with_quotes_capitals_and_percent_signs_are_taken_as_they_are(
    database: Database,
) -> None:
    run(
        database,
        'create table "Od""d %s" ("Ke""y" int primary key, "a b%" text, "*" int); '
        "insert into \"Od\"\"d %s\" values (1, 'x', 1), (2, null, 2), (3, '100%', 2)",
    )
    found = on(
        database,
        quality.not_null("a b%"),
        quality.accepted("a b%", ["x", "100%"]),
        quality.unique("*"),
        quality.refers("*", '"Od""d %s"."Ke""y"'),
        table='"Od""d %s"',
    )
    assert [(one.outcome, one.rows, one.wrong) for one in found] == [
        ("failed", 3, 1), ("passed", 2, 0), ("failed", 3, 2), ("passed", 3, 0),
    ]  # fmt: skip
    assert found[0].examples == ('Ke"y 2',)


def test_a_partitioned_table_is_looked_at_as_one(database: Database) -> None:
    run(
        database,
        "create table events (id int, day date) partition by list (day); "
        "create table events_1 partition of events for values in ('2026-01-01'); "
        "create table events_2 partition of events for values in ('2026-01-02'); "
        "insert into events values (1, '2026-01-01'), (1, '2026-01-02'), (2, '2026-01-02')",
    )
    (found,) = on(database, quality.unique("id"), table="events")
    assert (found.outcome, found.rows, found.wrong) == ("failed", 3, 2)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (quality.not_null("emial"), "orders has no column emial. Did you mean email?"),
        (quality.refers("user_id", "usrs.id"), "There is no table usrs here. Did you mean users?"),
        (quality.refers("user_id", "users.ident"), "users has no column ident"),
        (quality.between("amount", "a", 2), "amount is numeric(8,2), and 'a' is no finite number"),
        (quality.between("day", 1, 2), "day is a date, and 1 is none"),
        (quality.between("at", datetime(2026, 1, 1), None),  # noqa: DTZ001  that is the mistake
            "with a zone"),
        (quality.accepted("kind", [1]), "kind is text, and 1 is no text"),
        (quality.accepted("open", ["yes"]), "'yes' is not True or False"),
        (quality.fresh("kind", timedelta(1)), "kind is text, and no date or time"),
        (quality.row_count("amount"), "amount is numeric(8,2), and no date or time"),
        (quality.unique("place"), "could not identify an equality operator"),
        (quality.sql("select * from nowhere", name="n"), 'relation "nowhere" does not exist'),
        (quality.sql("with x as (delete from orders returning 1) select * from x", name="n"),
            "quality n:"),
    ],
    ids=lambda one: one.name if isinstance(one, Check) else "",
)  # fmt: skip
def test_a_mistake_is_told_with_the_check_and_what_would_be_right(
    shop: Database, check: Check, said: str
) -> None:
    run(shop, "alter table orders add email text, add place json")
    with pytest.raises(UsageError) as error:
        on(shop, check)
    assert said in error.value.message
    with shop.connect() as connection:
        assert connection.execute("select count(*) from orders").fetchone() == (5,)


def test_a_query_that_calls_what_writes_changes_nothing(shop: Database) -> None:
    run(shop, "create function gone() returns int language sql as 'delete from orders returning 1'")
    with pytest.raises(UsageError, match="must not"):
        on(shop, quality.sql("select gone()", name="n"))


def test_types_that_a_frame_does_not_compare_are_compared_by_the_server(database: Database) -> None:
    run(
        database,
        "create type mood as enum ('sad', 'glad'); "
        "create table t (id uuid, m mood, net inet, many int[]); "
        "insert into t values ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'sad', '10.0.0.1', '{1,2}')",
    )
    found = on(
        database,
        quality.accepted("id", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
        quality.accepted("m", ["glad"]),
        quality.between("net", "10.0.0.0", "10.0.0.9"),
        quality.accepted("many", ["{1,2}"]),
        table="t",
    )
    assert [one.outcome for one in found] == ["passed", "failed", "passed", "passed"]
    with pytest.raises(UsageError, match="invalid input value for enum mood"):
        on(database, quality.accepted("m", ["mad"]), table="t")


def test_an_expression_is_left_to_the_loads(shop: Database) -> None:
    (found,) = on(shop, quality.expression(pl.col("amount") > 0, name="positive"))
    assert (found.outcome, found.reason) == ("skipped", "is tried on the rows of each load")


def test_all_checks_see_the_table_at_one_moment(shop: Database) -> None:
    checks: list[Any] = [quality.not_null("order_id"), quality.unique("order_id")]
    with psycopg.connect(shop.url, autocommit=True) as connection:
        results = tried(connection, "orders", checks)
        assert next(results).rows == 5
        run(shop, "insert into orders (order_id) values (6)")
        assert [one.rows for one in results] == [5]


def test_a_role_that_may_not_read_is_told_so(shop: Database) -> None:
    with (
        shop.connect(shop.role("stranger")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        list(tried(connection, "orders", [quality.not_null("kind")]))
