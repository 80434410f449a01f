"""Events that failed: listed, shown, worked on again, discarded; replays and what they would do."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from penstock.errors import UsageError
from penstock.events import letters, replay
from penstock.events.pipeline import Pipeline
from penstock.events.replay import Change, Difference, Span
from penstock.events.staging import source_id
from penstock.events.worker import drain, loading_engine
from penstock.postgres.connection import connect
from tests.integration.events.conftest import Shop, event, places, row_of


def pipeline(transform: Any = row_of) -> Pipeline:
    return Pipeline(
        name="shop", target="events", key="event_id", time="occurred_at", transform=transform
    )


def strict(one: dict[str, Any]) -> dict[str, Any] | None:
    if one["kind"] == "odd":
        raise ValueError("no such kind")
    return row_of(one)


@pytest.fixture
def failed(shop: Shop) -> Shop:
    """Two events failed in the transform, one in the load; one is in the target."""
    shop.stage(event(1), event(2, "odd"), event(3, "odd"), event(4, qty="x"))
    drain(pipeline(strict), shop.url)
    return shop


def test_reasons_are_counted_and_letters_named(failed: Shop) -> None:
    with connect(failed.url) as connection:
        found = letters.reasons(connection)
        assert [(one.code, one.events, one.source) for one in found] == [
            ("transform", 2, "files"),
            ("22P02", 1, "files"),
        ]
        assert found[0].reason.startswith("ValueError: no such kind (test_letters.py, line ")
        assert places(letters.letters(connection)) == ["1/1", "1/2", "1/3"]
        assert places(letters.letters(connection, code="22P02")) == ["1/3"]
        assert letters.letters(connection, pipeline="other") == []


def test_an_event_is_found_by_its_place_and_by_its_id_in_every_version(failed: Shop) -> None:
    failed.stage(event(2, "odd", qty=2))
    with connect(failed.url) as connection:
        assert letters.find(connection, "1/3") == [(1, 3)]
        assert letters.find(connection, "e2") == [(2, 0), (1, 1)]
        for unknown in ("e", "9/9", "nobody"):
            with pytest.raises(UsageError, match="No event is called"):
                letters.find(connection, unknown)
        shown = letters.show(connection, (1, 3))
    assert shown is not None
    assert shown["status"] == "failed"
    assert shown["last_error"] == "qty: x is not an integer"
    assert json.loads(bytes(shown["raw"])) == event(4, qty="x")


def test_requeued_events_are_tried_again_once_and_heal(failed: Shop) -> None:
    with connect(failed.url) as connection:
        chosen = letters.letters(connection)
        assert letters.requeue(connection, chosen) == 3
        assert letters.requeue(connection, chosen) == 0  # they are about to be
    worked = drain(pipeline(), failed.url)  # the transform was mended
    assert (worked.events, worked.loaded, worked.failed) == (3, 2, 1)
    assert [one[0] for one in failed.held()] == ["e1", "e2", "e3"]
    with connect(failed.url) as connection:
        left = letters.letters(connection)
        assert places(left) == ["1/3"]
        assert left[0].attempts == 2
        shown = letters.show(connection, (1, 1))
    assert shown is not None
    assert (shown["status"], shown["last_error"]) == ("succeeded", None)


def test_discarded_events_are_left_alone_until_they_are_requeued(failed: Shop) -> None:
    with connect(failed.url) as connection:
        chosen = letters.letters(connection, code="transform")
        assert letters.discard(connection, chosen, "a test") == 2
        assert places(letters.letters(connection)) == ["1/3"]
        assert places(letters.letters(connection, statuses=["discarded"])) == ["1/1", "1/2"]
        assert failed.rows("select distinct note from penstock.event_states") == [
            (None,),
            ("a test",),
        ]
        assert letters.requeue(connection, chosen) == 2
    assert drain(pipeline(), failed.url).loaded == 2


def test_the_balance_says_what_became_of_events_by_now(failed: Shop) -> None:
    assert failed.balance() == {"files": (4, 0, 0, 1, 0, 3, 0)}
    with connect(failed.url) as connection:
        letters.discard(connection, letters.letters(connection, code="22P02"), "a test")
        assert failed.balance() == {"files": (4, 0, 0, 1, 1, 2, 0)}
        letters.requeue(connection, letters.letters(connection))
    drain(pipeline(), failed.url)
    assert failed.balance() == {"files": (4, 0, 0, 3, 1, 0, 0)}


def test_discarded_events_stay_so_in_a_replay_and_are_taken_back_by_name(failed: Shop) -> None:
    discarded = ["discarded"]
    with connect(failed.url) as connection:
        letters.discard(connection, letters.letters(connection), "a test")
        replay.enqueue(connection, pipeline(strict), Span())
        drain(pipeline(strict), failed.url)
        assert places(letters.letters(connection)) == []
        chosen = letters.letters(connection, statuses=discarded)
        assert places(chosen) == ["1/1", "1/2", "1/3"]
        assert letters.requeue(connection, chosen) == 3
        assert places(letters.letters(connection)) == ["1/1", "1/2", "1/3"]
        drain(pipeline(), failed.url)
        assert places(letters.letters(connection)) == ["1/3"]
        assert letters.letters(connection, statuses=discarded) == []
    assert failed.balance() == {"files": (4, 0, 0, 3, 0, 1, 0)}


def difference(shop: Shop, transform: Any, span: Span | None = None) -> Difference:
    with connect(shop.url) as control, loading_engine(shop.url) as engine:
        return replay.difference(control, engine, pipeline(transform), span or Span())


def test_what_a_replay_would_change_is_told_and_nothing_is_changed(shop: Shop) -> None:
    shop.stage(event(1, qty=1), event(2, "noise"), event(3, "buy", qty=3), event(4, qty="x"))
    drain(pipeline(), shop.url)
    before = shop.held("*, xmin, ctid")
    tables = "select (select count(*) from penstock.loads), (select count(*) from penstock.batches)"
    books = shop.rows(tables)
    same = difference(shop, row_of)
    assert (same.added, same.changed, same.removed, same.unchanged) == (0, 0, 0, 2)
    assert (same.events, same.dropped, same.failed) == (4, 1, 1)
    assert same.reasons == {"qty: x is not an integer": 1}

    def other(one: dict[str, Any]) -> Any:
        made = row_of({**one, "kind": one["kind"].replace("noise", "quiet")})
        if made is not None and one["kind"] == "buy":
            made["qty"] = made["qty"] * 10
        return made

    would = difference(shop, other)
    assert (would.added, would.changed, would.removed, would.unchanged) == (1, 1, 0, 1)
    by_key = {one.key["event_id"]: one for one in would.samples}
    assert by_key["e3"] == Change({"event_id": "e3"}, {"qty": 3}, {"qty": 30})
    assert by_key["e2"].before is None
    assert shop.held("*, xmin, ctid") == before
    assert shop.rows(tables) == books


def test_a_row_that_would_move_to_another_time_is_told(shop: Shop) -> None:
    shop.stage(event(1))
    drain(pipeline(), shop.url)

    def later(one: dict[str, Any]) -> Any:
        return {**(row_of(one) or {}), "occurred_at": "2026-02-02T00:00:00Z"}

    would = difference(shop, later)
    assert (would.added, would.removed) == (1, 1)
    assert [row[0] for row in shop.held()] == ["e1"]


def test_a_replay_is_of_a_source_and_a_time(shop: Shop) -> None:
    shop.stage(event(1))
    shop.stage(event(2), source="partner")
    drain(pipeline(), shop.url)
    (moment,) = shop.rows("select max(received_at) from penstock.chunks")[0]
    with connect(shop.url) as connection:
        for span, batches in (
            (Span(), 2),
            (Span(source="partner"), 1),
            (Span(since=moment), 1),
            (Span(until=moment), 1),
            (Span(since=moment + timedelta(seconds=1)), 0),
        ):
            assert replay.enqueue(connection, pipeline(), span) == batches
    worked = drain(pipeline(), shop.url)
    assert (worked.events, worked.loaded) == (5, 0)
    assert shop.balance() == {"files": (1, 0, 0, 1, 0, 0, 0), "partner": (1, 0, 0, 1, 0, 0, 0)}


def test_an_event_that_fails_can_be_replayed_twice_at_once(failed: Shop) -> None:
    with connect(failed.url) as connection:
        for _ in range(2):
            assert replay.enqueue(connection, pipeline(), Span()) == 1
    worked = drain(pipeline(strict), failed.url)
    assert (worked.events, worked.failed, worked.troubles) == (8, 6, [])
    with connect(failed.url) as connection:
        assert places(letters.letters(connection)) == ["1/1", "1/2", "1/3"]


def test_reasons_are_told_apart_by_the_version_of_the_schema(shop: Shop) -> None:
    def strict_about_two(one: dict[str, Any]) -> Any:
        if one.get("v", {}).get("n") != 1:
            raise ValueError("not known")
        return row_of(one)

    versions = [{"n": 1}, {"n": 2}, {"n": "2"}, {"n": 3}, {}]
    shop.stage(*(event(n, v=one) for n, one in enumerate(versions)), b"{bad")
    drain(pipeline(strict_about_two), shop.url)
    with connect(shop.url) as connection:
        assert [one.events for one in letters.reasons(connection)] == [4, 1]
        for path in ("x", "v.n"):  # it may be declared later, and otherwise
            source_id(connection, "shop", "files", path)
        found = [(one.code, one.schema_version, one.events) for one in letters.reasons(connection)]
        assert found == [
            ("transform", "2", 2), ("json", None, 1), ("transform", "3", 1), ("transform", None, 1),
        ]  # fmt: skip
        (place,) = letters.find(connection, "1/1")
        shown = letters.show(connection, place)
        assert shown is not None
        assert shown["schema_version"] == "2"
