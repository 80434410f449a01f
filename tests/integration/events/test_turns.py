"""Pipelines that share a process take turns: one with much to do keeps no other waiting."""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import Any

import polars as pl
import psycopg
import pytest

from penstock.errors import UsageError
from penstock.events.pipeline import Pipeline
from penstock.events.sources import Identified
from penstock.events.staging import identified, source_id, stage
from penstock.events.worker import Worked, Worker, in_turn
from tests.fixtures.flows import until
from tests.integration.events.conftest import Shop, event, row_of

ORDER = "select pipeline from penstock.batches where status = 'succeeded' order by processed_at"


def pipeline(name: str, **more: Any) -> Pipeline:
    told: dict[str, Any] = {"target": "events", "key": "event_id", "time": "occurred_at"}
    return Pipeline(name=name, transform=row_of, batch=10, **told | more)


def staged(shop: Shop, name: str, begin: int, count: int = 10) -> None:
    raws = [json.dumps(event(f"{name}{begin + one}")).encode() for one in range(count)]
    frame = identified(Identified(), pl.Series(raws, dtype=pl.Binary))
    with psycopg.connect(shop.url) as connection:
        stage(connection, source_id(connection, name, "files"), frame, "test")


def finished(shop: Shop) -> str:
    """The first letters of the pipelines of batches, in the order in which they were finished."""
    return "".join(name[0] for (name,) in shop.rows(ORDER))


def test_a_backlog_and_a_trickle_are_worked_on_in_turn(shop: Shop) -> None:
    for turn in range(6):
        staged(shop, "busy", 10 * turn)
    for turn in range(2):
        staged(shop, "calm", 10 * turn)
    stop = threading.Event()
    workers = [Worker(pipeline(name), shop.url, stop=stop) for name in ("busy", "calm")]
    in_turn(workers, stop, once=True)
    assert finished(shop) == "bcbcbbbb"
    assert [one.worked.loaded for one in workers] == [60, 20]


def test_what_comes_during_a_backlog_is_next(shop: Shop) -> None:
    for turn in range(6):
        staged(shop, "busy", 10 * turn)

    def arrives(worked: Worked) -> None:
        if worked.batches in (2, 4):
            staged(shop, "calm", worked.batches, 1)

    stop = threading.Event()
    busy = Worker(pipeline("busy"), shop.url, stop=stop, on_batch=arrives)
    in_turn([Worker(pipeline("calm"), shop.url, stop=stop), busy], stop, once=True)
    assert finished(shop) == "bbcbbcbb"


def test_one_that_cannot_work_keeps_no_other_from_it(shop: Shop) -> None:
    shop.rows("create table others (like events including all)")
    staged(shop, "odd", 0)
    staged(shop, "calm", 0)
    odd = pipeline("odd", target="others", options={"max_rejects": 0, "columns": {"x": "y"}})
    stop = threading.Event()
    workers = [Worker(one, shop.url, stop=stop) for one in (odd, pipeline("calm"))]
    in_turn(workers, stop, once=True)
    assert finished(shop) == "c"
    assert workers[0].worked.troubles
    assert workers[1].worked.troubles == []


def test_those_that_wait_hear_of_events_of_each(shop: Shop) -> None:
    stop = threading.Event()
    workers = [Worker(pipeline(name), shop.url, stop=stop) for name in ("busy", "calm")]
    thread = threading.Thread(target=in_turn, args=(workers, stop))
    thread.start()
    try:
        for turn, name in enumerate(("busy", "calm", "calm", "busy")):
            staged(shop, name, turn, 1)
            until(partial(_done, shop, turn + 1), "it is done")
    finally:
        stop.set()
        thread.join()
    assert finished(shop) == "bccb"


def _done(shop: Shop, batches: int) -> bool:
    return len(finished(shop)) == batches


def test_what_is_declared_wrongly_ends_all_at_the_beginning(shop: Shop) -> None:
    stop = threading.Event()
    names = (pipeline("calm"), pipeline("odd", key="kind"))
    with pytest.raises(UsageError, match=r"odd: .* has no primary key"):
        in_turn([Worker(one, shop.url, stop=stop) for one in names], stop, once=True)
