"""Days of staging go when nobody needs them; ids, counts and what became of events stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.errors import TargetError
from penstock.events import letters, retention
from penstock.events.archive import write_archive
from penstock.events.pipeline import Pipeline
from penstock.events.replay import Span, enqueue
from penstock.events.retention import Day
from penstock.events.worker import drain
from penstock.ledger.roles import Roles, apply
from penstock.postgres.connection import connect
from tests.fixtures.postgres import Database
from tests.integration.events.conftest import Shop, event, row_of

PIPELINE = Pipeline(
    name="shop", target="events", key="event_id", time="occurred_at", transform=row_of, days=3
)


def aged(shop: Shop, days: int) -> None:
    """What came today came so many days ago."""
    shop.rows("select penstock.restore_event_day((now() at time zone 'UTC')::date - %s)", days)
    today = "received_at >= date_trunc('day', now(), 'UTC')"
    for table in ("chunks", "batches", "events"):
        shop.rows(
            f"update penstock.{table} set received_at = received_at - make_interval(days => %s) "
            f"where {today}",
            days,
        )


def purge(shop: Shop, *more: Pipeline, **how: Any) -> list[Day]:
    return retention.purge(shop.url, {one.name: one for one in (PIPELINE, *more)}, **how)


def staged(shop: Shop) -> int:
    return int(shop.rows("select count(*) from penstock.events")[0][0])


def test_days_that_are_old_enough_go_and_the_books_and_ids_stay(shop: Shop) -> None:
    for days in (4, 3):
        shop.stage(event(days), event(10 * days, "noise"))
        drain(PIPELINE, shop.url)
        aged(shop, days)
    shop.stage(event(1))
    drain(PIPELINE, shop.url)
    balance = shop.balance()
    found = purge(shop)
    assert [(one.events, one.dropped, one.due) for one in found] == [
        (2, True, True), (2, False, False),
    ]  # fmt: skip
    assert found[1].held == ["shop/files: kept for 3 days"]
    assert staged(shop) == 3
    assert shop.balance() == balance
    again = shop.stage(event(4), event(1))
    assert (again.staged, again.repeated) == (0, 2)
    assert [one.dropped for one in purge(shop)] == [False]


def test_a_day_is_kept_by_whoever_needs_it(shop: Shop, tmp_path: Path) -> None:
    archived = replace(PIPELINE, archive="./kept")
    shop.stage(event(1, qty="x"), event(2))
    aged(shop, 9)
    with psycopg.connect(shop.url, autocommit=True) as connection:
        assert retention.purge(shop.url, {"shop": archived})[0].held == [
            "shop/files: 2 events are not archived (penstock archive write shop)",
            "shop/files: 2 events wait (penstock work shop)",
        ]
        drain(PIPELINE, shop.url)
        write_archive(shop.url, archived, {}, tmp_path, now=True)
        assert retention.purge(shop.url, {"shop": archived})[0].held == [
            "shop/files: 1 events failed: requeue or discard them (penstock events list shop)"
        ]
        letters.discard(connection, letters.letters(connection), "known")
        for others, said in (
            ({}, "shop/files: the project declares no such pipeline"),
            ({"shop": replace(PIPELINE, days=None)}, "shop/files: kept for ever"),
            ({"shop": replace(PIPELINE, days=9)}, "shop/files: kept for 9 days"),
        ):
            assert retention.purge(shop.url, others)[0].held == [said]
        assert staged(shop) == 2
        assert retention.purge(shop.url, {"shop": archived}, days=30)[0].dropped is False
        assert retention.purge(shop.url, {"shop": archived}, days=8)[0].dropped
    assert staged(shop) == 0


def test_a_day_of_two_pipelines_goes_when_both_agree(shop: Shop) -> None:
    other = replace(PIPELINE, name="other", days=20)
    shop.stage(event(1))
    with psycopg.connect(shop.url) as connection:
        connection.execute("insert into penstock.sources (pipeline, source) values ('other', 'o')")
        connection.execute(
            "insert into penstock.chunks (source_id, received, staged, repeated) "
            "select source_id, 1, 1, 0 from penstock.sources where pipeline = 'other'"
        )
    drain(PIPELINE, shop.url)
    aged(shop, 9)
    (day,) = purge(shop, other)
    assert (day.due, day.dropped, day.held) == (True, False, ["other/o: kept for 20 days"])
    (day,) = purge(shop, other, only="shop", days=1)
    assert not day.dropped
    assert purge(shop, other, only="nobody") == []
    (day,) = purge(shop, other, days=1)
    assert day.dropped


def test_what_was_only_of_use_for_the_work_goes_with_the_day(shop: Shop) -> None:
    shop.stage(event(1), event(2))
    drain(PIPELINE, shop.url)
    with connect(shop.url) as connection:
        assert enqueue(connection, PIPELINE, Span()) == 1
    drain(PIPELINE, shop.url)
    shop.stage(event(3, qty="x"))
    drain(PIPELINE, shop.url)
    with connect(shop.url) as connection:
        letters.discard(connection, letters.letters(connection), "known")
    aged(shop, 9)
    for table in ("runs", "loads"):
        shop.rows(
            f"update penstock.{table} set finished_at = finished_at - interval '9 days', "
            "started_at = started_at - interval '9 days'"
        )
    assert purge(shop)[0].dropped
    assert shop.rows("select kind, status from penstock.batches") == [("new", "succeeded")] * 2
    # That of the reject stays, with its run.
    assert shop.rows(
        "select count(*), count(x) from penstock.loads l "
        "left join penstock.rejects x using (load_id)"
    ) == [(1, 1)]
    assert shop.rows("select count(*) from penstock.runs where kind = 'work'") == [(1,)]
    with connect(shop.url) as connection:
        assert enqueue(connection, PIPELINE, Span()) == 0, "they are not in staging"
        gone = letters.letters(connection, statuses=["discarded"])
        assert letters.requeue(connection, gone) == 0


def test_the_day_itself_refuses_while_events_of_it_wait_or_it_is_not_over(shop: Shop) -> None:
    shop.stage(event(1))
    with pytest.raises(psycopg.errors.RaiseException, match="is not over"):
        shop.rows("select penstock.drop_event_day((now() at time zone 'UTC')::date)")
    aged(shop, 9)
    with pytest.raises(psycopg.errors.RaiseException, match="wait for a worker"):
        shop.rows("select penstock.drop_event_day((now() at time zone 'UTC')::date - 9)")
    assert shop.rows("select penstock.drop_event_day('2020-01-01')") == [(False,)]
    assert staged(shop) == 1


def test_only_who_may_drops_days(shop: Shop, ledger_database: Database) -> None:
    shop.stage(event(1))
    drain(PIPELINE, shop.url)
    aged(shop, 9)
    worker = ledger_database.role("worker")
    ((owner,),) = shop.rows("select current_user::text")
    with ledger_database.connect() as connection:
        apply(connection, Roles(owner=owner, workers=(worker.name,)))
    with pytest.raises(TargetError, match=f'Purge as "{owner}"'):
        retention.purge(worker.url, {"shop": PIPELINE})
    shop.rows(f'grant execute on function penstock.drop_event_day(date) to "{worker.name}"')
    assert retention.purge(worker.url, {"shop": PIPELINE})[0].dropped
