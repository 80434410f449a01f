"""Events and names that are meant to stop a worker, to double a row or to hide from a search."""

from __future__ import annotations

import json
import random
import threading
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from penstock.events import letters
from penstock.events.forgetting import forget
from penstock.events.personal import Person
from penstock.events.pipeline import Pipeline
from penstock.events.replay import Span, difference, enqueue
from penstock.events.worker import Worked, drain, loading_engine
from penstock.postgres.connection import connect
from tests.integration.events.conftest import Shop, event, row_of

CREATED = rb"""
create table "t%s 100%" ("k%s" text, "at%" timestamptz, primary key ("k%s", "at%"))
partition by range ("at%");
create table t1 partition of "t%s 100%" for values from ('2026-01-01') to ('2026-02-01');
create table t2 partition of "t%s 100%" for values from ('2026-02-01') to ('2026-03-01');
"""


def pipeline(**more: Any) -> Pipeline:
    given = {"target": "events", "key": "event_id", "time": "occurred_at"}
    how = {} if "frame" in more else {"transform": row_of}
    return Pipeline(name="shop", **{**given, **how, **more})


def work(shop: Shop, **more: Any) -> Worked:
    return drain(pipeline(**more), shop.url)


def broken(one: Any) -> Any:
    raise ValueError("cannot")


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_number_of_a_billion_digits_is_refused_as_it_is_written(shop: Shop, sign: str) -> None:
    shop.rows("create table t (k text primary key, n numeric)")
    shop.stage(b'{"k": "a", "n": 1e%s999999999}' % sign.encode(), b'{"k": "b", "n": 1e300}')
    assert work(shop, target="t", key="k", time=None, transform=dict).failed == 1
    [(code, reason)] = shop.rows("select code, reason from penstock.event_states")
    assert code == "22003"
    assert f"1E{sign or '+'}999999999" in reason
    assert shop.rows("select k, n = 1e300 from t") == [("b", True)]


def test_small_and_large_numbers_are_written_in_full(shop: Shop) -> None:
    shop.rows("create table t (k text primary key, n numeric)")
    shop.stage(b'{"k": "a", "n": 0.00001}', b'{"k": "b", "n": 12345678901234567000.0}')
    work(shop, target="t", key="k", time=None, transform=dict)
    assert shop.rows("select k, n::text from t order by k") == [
        ("a", "0.00001"), ("b", "12345678901234567000"),
    ]  # fmt: skip


def test_a_key_that_no_index_holds_fails_alone(shop: Shop) -> None:
    shop.rows("create table t (k text primary key)")
    letters_of = [chr(code) for code in range(33, 127)]
    # So that it cannot be packed; the target's own index would hold it.
    shop.stage({"k": "".join(random.Random(1).choices(letters_of, k=2690))}, {"k": "a"})
    worked = work(shop, target="t", key="k", time=None, transform=dict)
    assert (worked.loaded, worked.failed, worked.troubles) == (1, 1, [])
    assert shop.rows("select pos, code from penstock.event_states") == [(0, "54000")]


def test_a_frame_that_is_made_in_parts_keeps_its_numbers(shop: Shop) -> None:
    """One event fails, and the parts around it have other types: no number becomes a float."""
    shop.rows("create table t (k text primary key, n text)")

    def transform(frame: pl.DataFrame) -> pl.DataFrame:
        rows = [json.loads(raw) for raw in frame["raw"]]
        made = [{"k": one["k"], "n": None if one["n"] == "bad" else one["n"]} for one in rows]
        if any(one["n"] == "bad" for one in rows):
            raise ValueError("bad")
        return pl.DataFrame(made).with_columns(frame["_row"])

    values = [9007199254740993, "bad", 0.5, 1.5, True, "bad", None, [1]]
    shop.stage(*({"k": f"k{place}", "n": value} for place, value in enumerate(values)))
    assert work(shop, target="t", key="k", time=None, frame=transform).failed == 2
    assert shop.rows("select k, n from t order by k") == [
        ("k0", "9007199254740993"), ("k2", "0.5"), ("k3", "1.5"), ("k4", "true"), ("k6", None),
        ("k7", "[1]"),
    ]  # fmt: skip


def test_names_with_a_percent_sign_are_names(shop: Shop, tmp_path: Path) -> None:
    with psycopg.connect(shop.url) as connection:
        connection.execute(CREATED)

    def transform(one: dict[str, Any]) -> dict[str, Any]:
        return {"k%s": one["id"], "at%": one["at"]}

    named = pipeline(target='"t%s 100%"', key="k%s", time="at%", transform=transform)
    for at in ("2026-01-05T10:00:00Z", "2026-02-05T10:00:00Z"):
        shop.stage(event(1, at=at))
        assert drain(named, shop.url).troubles == []
    assert shop.rows("select (select count(*) from t1), (select count(*) from t2)") == [(0, 1)]
    with connect(shop.url) as control, loading_engine(shop.url) as engine:
        assert difference(control, engine, named, Span(source="files")).events == 2
    assert forget(shop.url, named, {}, tmp_path, Person("id", "e1")).removed.rows == 1


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("user.email", b'{"user.email": "anna"}'),
        ("a.user.email", b'{"a": {"user.email": "anna"}}'),
        ("items[].note", b'{"items": [{"note": "anna"}]}'),
    ],
)
def test_a_person_is_found_by_every_path_that_can_be_encrypted(
    shop: Shop, tmp_path: Path, path: str, raw: bytes
) -> None:
    shop.stage(raw)
    assert forget(shop.url, pipeline(), {}, tmp_path, Person(path, "anna")).removed.staged == 1


def test_a_person_whose_key_no_text_can_be_is_forgotten(shop: Shop, tmp_path: Path) -> None:
    shop.stage(event("x\0", user="anna"))
    assert work(shop).failed == 1
    done = forget(shop.url, pipeline(), {}, tmp_path, Person("user", "anna"))
    assert (done.removed.staged, done.left.any) == (1, False)


def test_two_who_requeue_the_same_event_let_it_be_tried_once(shop: Shop) -> None:
    shop.rows("create table t (event_id text)")
    given: dict[str, Any] = {"target": "t", "time": None, "mode": "append"}
    shop.stage(event(1))
    work(shop, **given, transform=broken)
    with psycopg.connect(shop.url) as one, connect(shop.url) as other:
        chosen = letters.letters(one)
        assert letters.requeue(one, chosen) == 1
        found: list[int] = []
        second = threading.Thread(target=lambda: found.append(letters.requeue(other, chosen)))
        second.start()
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        while second.is_alive() and shop.rows(waits) == [(0,)]:
            """Until it waits."""
        one.commit()
        second.join()
    assert found == [0]
    work(shop, **given, transform=lambda one: {"event_id": one["id"]})
    assert shop.rows("select event_id from t") == [("e1",)]


@pytest.mark.parametrize("commits", [1, 2])
@pytest.mark.parametrize(
    ("first", "then", "balance"),
    [
        ("drop", "fail", (2, 0, 0, 0, 0, 2, 0)),
        ("drop", "load", (2, 0, 0, 2, 0, 0, 0)),
        ("load", "drop", (2, 0, 0, 0, 2, 0, 0)),
        ("fail", "drop", (2, 0, 0, 0, 2, 0, 0)),
        ("fail", "load", (2, 0, 0, 2, 0, 0, 0)),
    ],
)
def test_after_a_replay_the_balance_says_what_became_of_events(
    shop: Shop, first: str, then: str, balance: tuple[int, ...], commits: int
) -> None:
    how: dict[str, Any] = {"drop": lambda _: None, "fail": broken, "load": row_of}
    for part in [[event(1), event(2)]] if commits == 1 else [[event(1)], [event(2)]]:
        shop.stage(*part)
    work(shop, transform=how[first])
    for _ in range(2):  # nothing is counted twice
        with connect(shop.url) as connection:
            enqueue(connection, pipeline(), Span())
        work(shop, transform=how[then])
        assert shop.balance() == {"files": balance}


def test_what_is_requeued_and_makes_no_row_is_dropped(shop: Shop) -> None:
    shop.stage(event(1), event(2), event(3, "noise"))
    work(shop, transform=lambda one: broken(one) if one["id"] == "e1" else row_of(one))
    assert shop.balance() == {"files": (3, 0, 0, 1, 1, 1, 0)}
    with connect(shop.url) as connection:
        letters.requeue(connection, letters.letters(connection))
    work(shop, transform=lambda one: None)
    assert shop.balance() == {"files": (3, 0, 0, 1, 2, 0, 0)}


@pytest.mark.parametrize("again", ["requeue", "replay"])
def test_what_was_discarded_is_not_loaded_by_what_was_begun_before(shop: Shop, again: str) -> None:
    shop.stage(event(1), event(2))
    work(shop, transform=lambda one: broken(one) if one["id"] == "e1" else row_of(one))
    with connect(shop.url) as connection:
        chosen = letters.letters(connection)
        if again == "requeue":
            letters.requeue(connection, chosen)
        else:
            enqueue(connection, pipeline(), Span())
        assert letters.discard(connection, chosen, "a test") == 1
    work(shop)
    assert shop.held() == [("e2", "view", None)]
    assert shop.balance() == {"files": (2, 0, 0, 1, 1, 0, 0)}
