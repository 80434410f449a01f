"""Events become rows: once each, newest version, with what failed and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from psycopg.conninfo import make_conninfo

from penstock.errors import UsageError
from penstock.events.pipeline import Pipeline
from penstock.events.sources import Identified
from penstock.events.worker import Worked, drain, loading_engine
from penstock.postgres.connection import target_of
from tests.integration.events.conftest import Shop, event, row_of


def pipeline(**more: Any) -> Pipeline:
    how = {"transform": row_of} if "frame" not in more else {}
    return Pipeline(
        **{
            "name": "shop",
            "target": "events",
            "key": "event_id",
            "time": "occurred_at",
            **how,
            **more,
        }
    )


def work(shop: Shop, **more: Any) -> Worked:
    return drain(pipeline(**more), shop.url)


def test_each_event_is_loaded_dropped_or_failed_with_its_reason(shop: Shop) -> None:
    shop.stage(
        event(1, qty=1),
        event(2, "noise"),
        event(3, qty="many"),
        b"{bad",
        event(5, at="2026-01-05 10:00:00"),
        {"kind": "view", "at": "2026-01-05T10:00:00Z"},
        event(7, at="2027-01-01T00:00:00Z"),
        event(8, "buy", qty=8),
    )
    worked = work(shop)
    assert (worked.events, worked.loaded, worked.dropped, worked.failed) == (8, 2, 1, 5)
    assert shop.held() == [("e1", "view", 1), ("e8", "buy", 8)]
    assert shop.balance() == {"files": (8, 0, 0, 2, 1, 5, 0)}
    states = shop.rows("select pos, code, reason from penstock.event_states order by pos")
    assert [(pos, code) for pos, code, _ in states] == [
        (2, "22P02"), (3, "json"), (4, "no_zone"), (5, "null_key"), (6, "23514"),
    ]  # fmt: skip
    assert states[0][2] == "qty: many is not an integer"
    assert states[3][2] == "event_id: no event_id"
    rejects = shop.rows(
        "select source, record, codes[1], raw from penstock.rejects order by record"
    )
    assert [(source, record) for source, record, *_ in rejects] == [
        ("shop/files chunk 1", record) for record in (3, 4, 5, 6, 7)
    ]
    assert bytes(rejects[1][3]) == b"{bad"
    assert shop.rows("select read, inserted, quarantined from penstock.loads") == [(7, 2, 5)]


def test_a_row_knows_its_source_run_and_times(shop: Shop) -> None:
    shop.stage(event(1), source="partner")
    work(shop)
    found = shop.rows(
        "select e.source, e.ingested_at = c.received_at, e.processed_at > e.ingested_at, "
        "e.run_id = l.run_id from events e, penstock.chunks c, penstock.loads l"
    )
    assert found == [("partner", True, True, True)]


def test_what_comes_again_changes_nothing(shop: Shop) -> None:
    shop.stage(event(1), event(2))
    work(shop)
    before = shop.held("*, xmin, ctid")
    shop.stage(event(1), event(2))
    assert work(shop).events == 0
    # Under other delivery ids, so that the transform meets them again.
    shop.stage(event(1), event(2), source="again")
    assert shop.held("*, xmin, ctid") == before
    worked = work(shop)
    assert (worked.events, worked.loaded) == (2, 0)
    assert shop.held("*, xmin, ctid") == before


def test_a_replayed_row_is_not_touched_although_it_would_be_stamped_anew(shop: Shop) -> None:
    shop.stage(event(1), event(2))
    work(shop)
    before = shop.held("*, xmin, ctid")
    shop.rows(
        "insert into penstock.batches (kind, pipeline, source_id, chunk, pos_from, pos_to, "
        "received_at) select 'replay', pipeline, source_id, chunk, pos_from, pos_to, received_at "
        "from penstock.batches"
    )
    worked = work(shop)
    assert (worked.events, worked.loaded) == (2, 0)
    assert shop.held("*, xmin, ctid") == before


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (2, 1, 3)])
@pytest.mark.parametrize("together", [True, False])
def test_the_newest_version_stays_in_whatever_order_they_come(
    shop: Shop, order: tuple[int, ...], together: bool
) -> None:
    """Its time is also that of its partition: the row moves from January to February."""
    times = {1: "2026-01-05T10:00:00Z", 2: "2026-01-06T10:00:00Z", 3: "2026-02-01T09:00:00+01:00"}
    versions = [event("x", at=times[number], qty=number) for number in order]
    if together:
        shop.stage(*versions)
        work(shop)
    else:
        for one in versions:
            shop.stage(one)
            work(shop)
    assert shop.held("event_id, qty, tableoid::regclass::text") == [
        ("e" + "x", 3, "events_february")
    ]
    assert shop.rows("select key, held_at from penstock.event_keys") == [
        ("ex", datetime(2026, 2, 1, 8, tzinfo=UTC))
    ]
    received, _, _, loaded, *_ = shop.balance()["files"]
    assert (received, loaded) == (3, 3)  # an older one was worked on, and is not a failure


def test_a_version_may_be_a_number_of_its_own(shop: Shop) -> None:
    shop.rows("create table prices (event_id text primary key, qty int, version bigint)")

    def transform(one: dict[str, Any]) -> dict[str, Any]:
        return {"event_id": one["id"], "qty": one["qty"], "version": one["version"]}

    given = {"target": "prices", "time": None, "version": "version", "transform": transform}
    for number in (2, 5, 4, 5):
        shop.stage(event(1, qty=number, version=number))
        work(shop, **given)
    assert shop.rows("select * from prices") == [("e1", 5, 5)]


def test_where_the_newest_is_refused_the_sound_one_before_it_is_loaded(shop: Shop) -> None:
    shop.stage(
        event("x", at="2026-01-06T00:00:00Z", qty=1),
        event("x", at="2026-01-08T00:00:00Z", qty="many"),
        event("x", at="2026-01-07T00:00:00Z", qty=2),
        event("x", at="2026-01-09T00:00:00Z", qty="more"),
    )
    worked = work(shop)
    assert shop.held("event_id, qty") == [("ex", 2)]
    assert (worked.events, worked.failed, worked.older) == (4, 2, 1)


def test_rows_that_others_wrote_into_the_target_are_updated_and_not_doubled(shop: Shop) -> None:
    """No key of the batch is registered, and one is in the target all the same."""
    shop.rows(
        "insert into events (event_id, kind, occurred_at, qty) "
        "values ('e1', 'old', '2026-01-05T10:00:00Z', 0)"
    )
    shop.stage(event(1, qty=1), event(2, qty=2), event(3, qty="x"))
    worked = work(shop)
    assert (worked.loaded, worked.failed) == (2, 1)
    assert shop.held() == [("e1", "view", 1), ("e2", "view", 2)]
    done = (
        "select mode, inserted, updated, quarantined from penstock.loads where status = 'succeeded'"
    )
    assert shop.rows(done) == [("upsert", 1, 1, 1)]


def test_insert_new_leaves_what_is_there(shop: Shop) -> None:
    shop.stage(event(1, qty=1))
    work(shop, mode="insert_new")
    shop.stage(event(1, qty=2, at="2026-01-07T00:00:00Z"), event(2))
    assert work(shop, mode="insert_new").older == 1
    assert shop.held("event_id, qty") == [("e1", 1), ("e2", None)]


def test_append_takes_every_event_as_a_row(shop: Shop) -> None:
    shop.rows("create table clicks (event_id text, kind text, occurred_at timestamptz, qty int)")
    given = {"target": "clicks", "mode": "append", "time": None}
    shop.stage(event(1, qty=1), event(1, qty=2))
    assert work(shop, **given).loaded == 2


def test_all_events_of_a_batch_may_fail(shop: Shop) -> None:
    shop.stage(event(1, qty="a"), event(2, qty="b"))
    assert work(shop).failed == 2
    assert shop.balance() == {"files": (2, 0, 0, 0, 0, 2, 0)}
    shop.stage(b"{", b"[")
    assert work(shop).failed == 2


def test_small_commits_are_worked_on_together(shop: Shop) -> None:
    for number in range(5):
        shop.stage(event(number))
    assert work(shop).batches == 5
    assert shop.rows("select count(*) from penstock.loads") == [(1,)]
    assert len(shop.held()) == 5


def test_a_frame_transform_gives_the_same_rows(shop: Shop) -> None:
    def frame(given: pl.DataFrame) -> pl.DataFrame:
        kind = pl.Struct({"id": pl.String, "kind": pl.String, "at": pl.String, "qty": pl.Int64})
        one = given.select("_row", one=pl.col("raw").str.json_decode(kind)).unnest("one")
        one = one.filter(pl.col("kind") != "noise")
        return one.rename({"id": "event_id", "at": "occurred_at"})

    shop.stage(event(1, qty=1), event(2, "noise"), b"{bad", event(4, qty=4))
    worked = work(shop, frame=frame)
    assert (worked.loaded, worked.dropped, worked.failed) == (2, 1, 1)
    assert shop.held() == [("e1", "view", 1), ("e4", "view", 4)]


def test_a_transform_that_is_broken_leaves_its_events_waiting(shop: Shop) -> None:
    def broken(_: Any) -> Any:
        raise KeyError("renamed")

    shop.stage(*(event(number) for number in range(150)))
    worked = work(shop, transform=broken)
    assert (worked.events, len(worked.troubles)) == (0, 1)
    assert shop.balance() == {"files": (150, 0, 150, 0, 0, 0, 0)}
    found = shop.rows("select status, attempts, last_error from penstock.batches")
    assert [one[:2] for one in found] == [("pending", 0)]
    assert "KeyError: 'renamed'" in found[0][2]
    shop.rows("update penstock.batches set next_attempt_at = now()")
    assert work(shop).loaded == 150


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"target": "event"}, "no table event.*Did you mean events"),
        ({"key": "id"}, "has no column id"),
        ({"time": None}, r"no primary key or unique constraint over \(event_id\)"),
        ({"version": "revision"}, "has no column revision"),
    ],
)
def test_a_declaration_that_does_not_fit_the_target_is_told(
    shop: Shop, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        work(shop, **given)


def test_an_unknown_column_is_told_and_the_events_wait(shop: Shop) -> None:
    shop.stage(event(1))
    worked = work(shop, transform=lambda one: {**(row_of(one) or {}), "knid": "x"})
    assert worked.events == 0
    assert "knid" in worked.troubles[0]
    assert "kind" in worked.troubles[0]


def test_ids_without_versions_are_taken_once_whatever_comes_with_them(shop: Shop) -> None:
    of = Identified(immutable=True)
    shop.stage(event(1, qty=1), of=of)
    assert shop.stage(event(1, qty=2), of=of).repeated == 1
    work(shop)
    assert shop.held("event_id, qty") == [("e1", 1)]


@pytest.mark.parametrize("keywords", [False, True])
def test_who_asks_for_another_connection_gets_to_the_same_database(
    shop: Shop, keywords: bool
) -> None:
    """Else nobody could say whether a COMMIT whose reply was lost came through."""
    dsn = make_conninfo(shop.url, application_name="it's = odd?&") if keywords else shop.url
    where = "select current_database(), inet_server_port(), current_user"
    with loading_engine(dsn) as engine, target_of(engine) as target:
        ours = target.connection.execute(where).fetchone()
        with target.another() as other:
            assert other.execute(where).fetchone() == ours
            if keywords:
                name = other.execute("show application_name").fetchone()
                assert name == ("it's = odd?&",)


def test_a_load_that_begins_anew_is_not_told_as_failed(shop: Shop) -> None:
    shop.rows("insert into events values ('e1', 'view', '2026-01-05T10:00:00Z', 1)")
    shop.stage(event(1, qty=2))
    assert work(shop).loaded == 1
    assert shop.held() == [("e1", "view", 2)]
    assert shop.rows("select status, mode from penstock.loads order by started_at") == [
        ("anew", "append"), ("succeeded", "upsert"),
    ]  # fmt: skip
    assert shop.rows("select status from penstock.runs") == [("succeeded",)]
    assert shop.rows("select count(*) from penstock.rejects") == [(0,)]
