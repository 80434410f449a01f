"""Quality checks of pipelines: what a worker does with a batch that is not as declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from penstock import quality
from penstock.errors import UsageError
from penstock.events import letters
from penstock.events.checking import check, declared
from penstock.events.forgetting import forget
from penstock.events.personal import Person
from penstock.events.pipeline import Pipeline
from penstock.events.replay import Span, difference, enqueue
from penstock.events.worker import Worked, drain, loading_engine
from penstock.quality.declared import Check
from tests.integration.events.conftest import Shop, event, row_of

PRICED = quality.not_null("qty", 0.5, min_rows=2)


def pipeline(*checks: Check, **more: Any) -> Pipeline:
    how: dict[str, Any] = {"target": "events", "transform": row_of, "time": "occurred_at", **more}
    return Pipeline(name="shop", key="event_id", checks=checks, **how)


def work(shop: Shop, *checks: Check, **more: Any) -> Worked:
    return drain(pipeline(*checks, **more), shop.url)


def kept(shop: Shop) -> list[tuple[Any, ...]]:
    return shop.rows(
        "select pipeline, name, outcome, rows, wrong, examples from penstock.checks "
        "order by check_id"
    )


def requeue(shop: Shop) -> int:
    with psycopg.connect(shop.url, autocommit=True) as connection:
        return letters.requeue(connection, letters.letters(connection, limit=None))


def test_a_bad_batch_fails_whole_with_the_figures_and_stops_no_other(shop: Shop) -> None:
    """Both were claimed at once; the bad one is found by loading each alone."""
    shop.stage(event(1, qty=1), event(2, qty=2))
    shop.stage(event(3), event(4), event(5, qty=5), event(6, "noise"), event(7, qty="many"))
    shop.stage(event(8, qty=8))
    worked = work(shop, quality.not_null("qty"))
    assert shop.held() == [("e1", "view", 1), ("e2", "view", 2), ("e8", "view", 8)]
    assert (worked.events, worked.loaded, worked.dropped, worked.failed) == (8, 3, 1, 4)
    assert (worked.batches, worked.troubles) == (3, [])
    assert shop.balance() == {"files": (8, 0, 0, 3, 1, 4, 0)}
    reason = "events: not_null(qty) failed, 2 of 3 rows have no value (at least 1)"
    states = "select pos, status, code, reason from penstock.event_states order by pos"
    assert shop.rows(states) == [
        (0, "failed", "quality", f"{reason}. The load was rolled back."),
        (1, "failed", "quality", f"{reason}. The load was rolled back."),
        (2, "failed", "quality", f"{reason}. The load was rolled back."),
        (4, "failed", "22P02", "qty: many is not an integer"),  # as it was before
    ]  # fmt: skip
    # Of the load of all three, and of that of the bad one alone; what is right is not kept.
    places = ["shop/files chunk 2 record 1", "shop/files chunk 2 record 2"]
    assert kept(shop) == [
        ("shop", "not_null(qty)", "failed", 6, 2, places),
        ("shop", "not_null(qty)", "failed", 3, 2, places),
    ]
    done = shop.rows("select status, count(*) from penstock.loads group by 1 order by 1")
    assert done == [("failed", 2), ("succeeded", 2)]
    assert shop.rows("select status, load_id is null from penstock.batches order by chunk") == [
        ("succeeded", False), ("succeeded", True), ("succeeded", False),
    ]  # fmt: skip


def test_of_many_small_commits_those_fail_that_are_wrong_however_small_they_are(
    shop: Shop,
) -> None:
    """30 rows are enough to judge a share by; of the 3 of one commit it is asked then too."""
    for number in range(0, 30, 3):
        given: dict[str, Any] = {} if number == 12 else {"qty": 1}
        shop.stage(*(event(one, **given) for one in range(number, number + 3)))
    worked = work(shop, quality.not_null("qty", 0.95))
    assert (worked.loaded, worked.failed, worked.batches) == (27, 3, 10)
    assert shop.rows("select count(*) from events where qty is null") == [(0,)]
    assert shop.balance() == {"files": (30, 0, 0, 27, 0, 3, 0)}


def test_after_the_mend_a_requeue_loads_all_of_it(shop: Shop) -> None:
    shop.stage(event(1), event(2))
    assert work(shop, PRICED).failed == 2
    assert requeue(shop) == 2
    assert work(shop, PRICED).failed == 2  # nothing was mended
    assert shop.held() == []

    def mended(one: dict[str, Any]) -> dict[str, Any]:
        return {**(row_of(one) or {}), "qty": 0}

    assert requeue(shop) == 2
    worked = work(shop, PRICED, transform=mended)
    assert (worked.loaded, worked.failed) == (2, 0)
    assert shop.held() == [("e1", "view", 0), ("e2", "view", 0)]
    assert shop.balance() == {"files": (2, 0, 0, 2, 0, 0, 0)}


def test_what_marks_or_warns_is_loaded_and_kept_with_its_rows(shop: Shop) -> None:
    shop.stage(event(1), event(2, qty=2))
    warned = quality.accepted("kind", ["buy"], severity="warn")
    worked = work(shop, quality.not_null("qty", stops=False), warned, quality.unique("event_id"))
    assert (worked.loaded, worked.failed) == (2, 0)
    assert [one[1:5] for one in kept(shop)] == [
        ("not_null(qty)", "failed", 2, 1), ("accepted(kind)", "warned", 2, 2),
    ]  # fmt: skip
    assert shop.rows(
        "select count(*) from penstock.checks c join penstock.loads l using (load_id, run_id) "
        "where c.checked_at >= l.started_at and l.status = 'succeeded'"
    ) == [(2,)]


def test_batches_without_fault_leave_no_trace_of_their_checks(shop: Shop) -> None:
    for number in range(3):
        shop.stage(event(number, qty=number))
        work(shop, quality.not_null("qty", name="all"), PRICED)
    assert len(shop.held()) == 3
    assert kept(shop) == []


def test_a_table_that_others_wrote_into_is_held_to_the_same_checks(shop: Shop) -> None:
    """The first attempt appends, finds a row there, and loads anew by key."""
    shop.rows(
        "insert into events (event_id, kind, occurred_at, qty) "
        "values ('e1', 'old', '2026-01-05T10:00:00Z', 0)"
    )
    shop.stage(event(1), event(2))
    assert work(shop, quality.not_null("qty")).failed == 2
    assert shop.held() == [("e1", "old", 0)]
    assert shop.rows("select count(*) from penstock.event_keys") == [(0,)]


@pytest.mark.parametrize("mode", ["append", "insert_new"])
def test_every_mode_is_stopped(shop: Shop, mode: str) -> None:
    shop.stage(event(1), event(2))
    assert work(shop, PRICED, mode=mode).failed == 2
    assert shop.held() == []


def test_in_a_replay_the_rows_that_are_there_stay(shop: Shop) -> None:
    shop.stage(event(1, qty=1), event(2, qty=2))
    assert work(shop, PRICED).loaded == 2

    def broken(one: dict[str, Any]) -> dict[str, Any]:
        return {**(row_of(one) or {}), "qty": None}

    wrong = pipeline(PRICED, transform=broken)
    with psycopg.connect(shop.url, autocommit=True) as control:
        with loading_engine(shop.url) as engine:
            found = difference(control, engine, wrong, Span())
        assert (found.unchanged, found.changed, found.failed) == (2, 0, 2)
        (reason,) = found.reasons
        assert reason.startswith("events: not_null(qty) failed, 2 of 2 rows have no value")
        assert kept(shop) == []  # it was only looked at
        enqueue(control, wrong, Span())
    assert drain(wrong, shop.url).failed == 2
    assert shop.held() == [("e1", "view", 1), ("e2", "view", 2)]
    with psycopg.connect(shop.url, autocommit=True) as control:
        enqueue(control, wrong, Span())
    assert work(shop, PRICED).failed == 0
    assert shop.balance() == {"files": (2, 0, 0, 2, 0, 0, 0)}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (quality.not_null("qyt"), "has no column qyt. Did you mean qty?"),
        (quality.between("qty", "few", "many"), "'few' is no finite number"),
    ],
)
def test_a_check_that_does_not_fit_the_target_stops_the_worker_at_its_start(
    shop: Shop, wrong: Check, said: str
) -> None:
    shop.stage(event(1))
    with pytest.raises(UsageError) as error:
        work(shop, wrong)
    assert said in error.value.message
    assert shop.rows("select status from penstock.batches") == [("pending",)]


def test_a_worker_that_ends_after_the_rollback_leaves_the_batch_to_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results are kept; the events are tried again by whoever takes over."""
    shop.stage(event(1), event(2))

    def ends(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("penstock.events.processing.Processor._fail_all", ends)
        with pytest.raises(KeyboardInterrupt):
            work(shop, PRICED)
    assert shop.held() == []
    assert [one[2] for one in kept(shop)] == ["failed"]
    assert shop.rows("select status, attempts from penstock.batches") == [("processing", 1)]
    shop.rows("update penstock.batches set lease_until = clock_timestamp()")
    # It is cut in parts, as it might have ended the worker; they are of one commit, and judged as
    # one.
    worked = work(shop, PRICED)
    assert (worked.loaded, worked.failed) == (0, 2)
    assert shop.balance() == {"files": (2, 0, 0, 0, 0, 2, 0)}


def test_the_target_is_checked_and_all_results_are_kept(shop: Shop) -> None:
    shop.stage(event(1, qty=1), event(2), event(3, qty=3))
    work(shop)
    declared_here = pipeline(
        quality.unique("event_id"),
        quality.not_null("qty"),
        quality.between("qty", 2, 5, severity="warn"),
        quality.not_null("kind", 0.9),
        quality.expression(pl.col("qty") > 0, name="positive"),
    )
    found = list(check(shop.url, declared_here))
    assert [(one.result.outcome, one.figure) for one in found] == [
        ("passed", "1"), ("failed", "0.6666"), ("warned", "0.5"), ("skipped", "-"),
        ("skipped", "-"),
    ]  # fmt: skip
    assert found[1].advice == "mend them at the source, or allow them: at_least=0.6666"
    assert [one[1:5] for one in kept(shop)] == [
        ("unique(event_id)", "passed", 3, 0),
        ("not_null(qty)", "failed", 3, 1),
        ("between(qty)", "warned", 2, 1),
        ("not_null(kind)", "skipped", 3, 0),
        ("positive", "skipped", 0, 0),
    ]
    runs = "select kind, command, status, error from penstock.runs where kind = 'check'"
    assert shop.rows(runs) == [
        ("check", "penstock check shop", "failed", "events: not_null(qty) failed"),
    ]  # fmt: skip


def test_the_pipelines_that_are_meant_are_found_by_name_or_target() -> None:
    one = pipeline(PRICED)
    other = Pipeline(
        name="other", target="sales.goods", key="id", transform=row_of, checks=[PRICED]
    )
    none = Pipeline(name="none", target="events", key="id", transform=row_of)
    all_of_them = {"shop": one, "other": other, "none": none}
    assert declared(all_of_them, (), None) == [one, other]
    assert declared(all_of_them, ["other"], None) == [other]
    assert declared(all_of_them, (), "events") == [one]
    assert declared(all_of_them, (), "public.events") == [one]
    assert declared(all_of_them, (), "goods") == [other]
    with pytest.raises(UsageError, match=r"no pipeline shp. Did you mean shop?"):
        declared(all_of_them, ["shp"], None)
    with pytest.raises(UsageError, match="none declares no checks"):
        declared(all_of_them, ["none"], None)
    with pytest.raises(UsageError, match=r"has the target evnts. Did you mean events?"):
        declared(all_of_them, (), "evnts")
    with pytest.raises(UsageError, match="No pipeline of this project declares checks"):
        declared({"none": none}, (), None)


def test_a_check_that_cannot_be_tried_is_told_and_its_run_has_failed(shop: Shop) -> None:
    with pytest.raises(UsageError, match="no_table"):
        list(check(shop.url, pipeline(quality.sql("select * from no_table", name="q"))))
    shop.rows("drop table events cascade")
    with pytest.raises(UsageError, match="no table events"):
        list(check(shop.url, pipeline(PRICED)))
    assert shop.rows("select status from penstock.runs") == [("failed",), ("failed",)]


def test_what_a_check_found_of_a_person_is_forgotten_with_them(shop: Shop, tmp_path: Path) -> None:
    """In a table rows are named by their key, which may be a person's."""
    shop.stage(event("anna", user="anna"), event("bob", qty=1))
    named = pipeline(quality.not_null("qty", severity="warn"))
    drain(named, shop.url)
    list(check(shop.url, named))
    of_load, of_table = [one[5] for one in kept(shop)]
    assert of_load == ["shop/files chunk 1 record 1"]
    assert of_table[0].startswith("event_id eanna, occurred_at 2026-01-05 10:00:00")
    forget(shop.url, named, {}, tmp_path, Person("user", "anna"))
    assert [one[5] for one in kept(shop)] == [["shop/files chunk 1 record 1"], []]


def test_a_version_whose_newer_one_was_rolled_back_is_not_taken_for_loaded(shop: Shop) -> None:
    """Who discards the newer one, which is wrong, must still find the sound one before it."""
    shop.stage(event(1, qty=1), event(1, at="2026-01-06T10:00:00Z", qty=-5))
    within = quality.between("qty", 0, 10)
    worked = work(shop, within)
    assert (worked.failed, worked.older) == (2, 0)
    assert shop.balance() == {"files": (2, 0, 0, 0, 0, 2, 0)}
    with psycopg.connect(shop.url, autocommit=True) as connection:
        newer, older = sorted(letters.letters(connection), key=lambda one: -one.pos)
        letters.discard(connection, [newer], "wrong")
        letters.requeue(connection, [older])
    work(shop, within)
    assert shop.held() == [("e1", "view", 1)]
    assert shop.balance() == {"files": (2, 0, 0, 1, 1, 0, 0)}


def test_a_caller_who_looks_at_the_first_result_only_leaves_nothing_open(shop: Shop) -> None:
    found = check(shop.url, pipeline(PRICED, quality.unique("event_id")))
    next(found)
    found.close()
    assert kept(shop) == []


@pytest.mark.parametrize("timed", [True, False])
def test_two_versions_of_an_event_are_one_row_that_is_unique(shop: Shop, timed: bool) -> None:
    """What is left out because a newer one came with it is not looked at."""
    shop.rows("create table kinds (event_id text primary key, kind text)")
    shop.stage(event(1, "view", qty=1), event(1, "buy", at="2026-01-06T10:00:00Z", qty=2))

    def kind_of(one: dict[str, Any]) -> dict[str, Any]:
        return {"event_id": one["id"], "kind": one["kind"]}

    more: dict[str, Any] = {} if timed else {"target": "kinds", "time": None, "transform": kind_of}
    worked = work(shop, quality.unique("event_id"), **more)
    assert (worked.events, worked.failed) == (2, 0)
    table = "events" if timed else "kinds"
    assert shop.rows(f"select event_id, kind from {table}") == [("e1", "buy")]
