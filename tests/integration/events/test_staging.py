"""Each delivery is staged once, however often and by however many it is brought."""

from __future__ import annotations

import threading

import psycopg
import pytest

from penstock.events.staging import Delivery, Staged, provide_days, source_id, stage
from tests.integration.events.conftest import Shop, event


def test_a_delivery_is_staged_once_within_a_commit_and_over_commits(shop: Shop) -> None:
    first = shop.stage(event(1), event(2), event(1))
    again = shop.stage(event(2), event(3), event(3))
    assert (first.staged, first.repeated) == (2, 1)
    assert (again.staged, again.repeated) == (1, 2)
    assert shop.stage(event(1)) == Staged(0, 1, None)
    assert shop.balance() == {"files": (7, 4, 3, 0, 0, 0, 0)}
    ids = shop.rows("select delivery_id from penstock.events order by chunk, pos")
    assert [one.partition("#")[0] for (one,) in ids] == ["e1", "e2", "e3"]


def test_any_bytes_are_kept_as_they_came(shop: Shop) -> None:
    raws = [b"", b"\x00", b"\xff\xfe", b'{"a": "\\u0000"}', bytes(range(256)), b"x" * 300_000]
    shop.stage(*raws)
    assert [
        bytes(raw) for (raw,) in shop.rows("select raw from penstock.events order by pos")
    ] == raws
    payloads = shop.rows("select penstock.payload(raw) from penstock.events order by pos")
    assert payloads == [(None,)] * 6  # neither is JSON that jsonb can hold
    shop.stage(b'{"a": 1}')
    assert shop.rows("select penstock.payload(raw) ->> 'a' from penstock.events "
                     "where raw = '{\"a\": 1}'") == [("1",)]  # fmt: skip


def test_ids_outlive_the_events(shop: Shop) -> None:
    shop.stage(event(1))
    today = shop.rows("select tableoid::regclass::text from penstock.events")[0][0]
    shop.rows(f"drop table {today}")
    shop.rows("select penstock.provide_event_days(0)")
    assert shop.stage(event(1)) == Staged(0, 1, None)


def test_two_sources_may_send_the_same_id(shop: Shop) -> None:
    assert shop.stage(event(1), source="files").staged == 1
    assert shop.stage(event(1), source="partner").staged == 1


def test_what_is_rolled_back_was_never_received(shop: Shop) -> None:
    with psycopg.connect(shop.url) as connection:
        number = source_id(connection, "shop", "files")
        connection.commit()
        assert stage(connection, number, [Delivery("a", b"1")]).staged == 1
        connection.rollback()
        assert stage(connection, number, [Delivery("a", b"1")]).staged == 1
    assert shop.balance() == {"files": (1, 0, 1, 0, 0, 0, 0)}


def test_two_that_bring_the_same_at_once_stage_it_once(shop: Shop) -> None:
    """The second one waits for the first: both have the ids of all, in opposite orders."""
    first = psycopg.connect(shop.url)
    number = source_id(first, "shop", "files")
    first.commit()
    deliveries = [Delivery(f"d{n:03}", b"x") for n in range(200)]
    assert stage(first, number, deliveries).staged == 200
    found: list[Staged] = []

    def bring() -> None:
        with psycopg.connect(shop.url, application_name="second") as connection:
            found.append(stage(connection, number, [*reversed(deliveries), Delivery("new", b"y")]))

    second = threading.Thread(target=bring)
    second.start()
    waits = (
        "select count(*) from pg_stat_activity "
        "where application_name = 'second' and wait_event_type = 'Lock'"
    )
    while shop.rows(waits) != [(1,)]:  # it has met the first one's ids
        assert second.is_alive()
    first.commit()
    first.close()
    second.join()
    assert (found[0].staged, found[0].repeated) == (1, 200)
    assert shop.rows("select count(*), count(distinct delivery_id) from penstock.events") == [
        (201, 201)
    ]


def test_days_ahead_are_made_once_and_not_without_end(shop: Shop) -> None:
    with psycopg.connect(shop.url, autocommit=True) as connection:
        assert provide_days(connection, 3) == 0  # the fixture made them
        assert provide_days(connection, 5) == 2
        with pytest.raises(psycopg.errors.RaiseException, match="between 0 and 31"):
            provide_days(connection, 32)


def test_a_big_commit_is_worked_on_in_parts(shop: Shop) -> None:
    with psycopg.connect(shop.url) as connection:
        number = source_id(connection, "shop", "files")
        stage(connection, number, [Delivery(str(n), b"1") for n in range(120_001)])
    found = shop.rows("select pos_from, pos_to from penstock.batches order by 1")
    assert found == [(0, 50_000), (50_000, 100_000), (100_000, 120_001)]
