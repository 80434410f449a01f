"""Which rows are one row, and which of two is newer: by their values, however they are written."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from penstock.errors import UsageError
from penstock.events import letters
from penstock.events.pipeline import Pipeline
from penstock.events.worker import Worked, drain
from tests.integration.events.conftest import Shop, event, row_of


def work(shop: Shop, **more: Any) -> Worked:
    given = {"target": "events", "key": "event_id", "time": "occurred_at", "transform": row_of}
    return drain(Pipeline(name="shop", **{**given, **more}), shop.url)


def keyed(one: dict[str, Any]) -> dict[str, Any]:
    return {"k": one["k"], "qty": one["qty"], "at": one["at"]}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("kind", "newer", "older"),
    [
        ("uuid", "6F9619FF-8B86-D011-B42D-00C04FC964FF", "{6f9619ff8b86d011b42d00c04fc964ff}"),
        ("int", "7", "07"),
        ("int", 7.0, 7),
        ("numeric", "1.50", "1.5"),
        ("char(5)", "a", "a  "),
    ],
)
def test_one_key_written_in_two_ways_is_one_row(
    shop: Shop, kind: str, newer: Any, older: Any, together: bool
) -> None:
    shop.rows(
        f"create table t (k {kind}, qty int, at timestamptz, primary key (k, at)) "
        "partition by range (at);"
        "create table t1 partition of t for values from ('2026-01-01') to ('2026-02-01');"
        "create table t2 partition of t for values from ('2026-02-01') to ('2026-03-01')"
    )
    events = [
        event(1, qty=2, k=newer, at="2026-02-02T00:00:00Z"),
        event(2, qty=1, k=older, at="2026-01-02T00:00:00Z"),
    ]
    for part in [events] if together else [events[:1], events[1:]]:
        shop.stage(*part)
        work(shop, target="t", key="k", time="at", transform=keyed)
    assert shop.rows("select qty, tableoid::regclass::text from t") == [(2, "t2")]
    assert shop.rows("select count(*) from penstock.event_keys") == [(1,)]


@pytest.mark.parametrize("key", ["a\x1fb", "a\x1db", "", "a\tb", "a\x1eb"])
def test_a_row_moves_whatever_its_key_holds(shop: Shop, key: str) -> None:
    def transform(one: dict[str, Any]) -> dict[str, Any]:
        return {**(row_of(one) or {}), "event_id": key}

    for at in ("2026-01-05T00:00:00Z", "2026-02-05T00:00:00Z", "2026-01-06T00:00:00Z"):
        shop.stage(event(1, at=at))
        assert work(shop, transform=transform).troubles == []
    assert shop.held("event_id, tableoid::regclass::text") == [(key, "events_february")]


def test_keys_of_two_columns_are_told_apart_whatever_they_hold(shop: Shop) -> None:
    shop.rows("create table t (a text, b text, primary key (a, b))")
    shop.stage({"a": "x\x1fy", "b": "z"}, {"a": "x", "b": "y\x1fz"})
    work(shop, target="t", key=("a", "b"), time=None, transform=dict)
    assert shop.rows("select count(*) from t") == [(2,)]


def test_a_key_that_no_text_can_be_fails_alone(shop: Shop) -> None:
    def transform(one: dict[str, Any]) -> dict[str, Any]:
        return {**(row_of(one) or {}), "event_id": one["k"]}

    shop.stage(event(1, k="a"), event(2, k="b\0"))
    worked = work(shop, transform=transform)
    assert (worked.loaded, worked.failed, worked.troubles) == (1, 1, [])
    assert shop.rows("select pos, code from penstock.event_states") == [(1, "nul")]


@pytest.mark.parametrize(
    ("kind", "newer", "older"),
    [
        ("timestamptz", "2026-01-06 10:00:00+00", "2026-01-05T10:00:00Z"),
        ("timestamptz", "2026-01-06T10:00Z", "2026-01-05 10:00:00.5+01"),
        ("timestamp", "2026-01-06T10:00:00", "2026-01-05T10:00:00"),
        ("date", "2026-01-06", "2026-01-05"),
        ("bigint", 10.0, 9),
        ("numeric", "10.00", "9"),
        ("bigint", 5, None),
    ],
)
def test_an_older_row_stays_out_however_its_version_is_written(
    shop: Shop, kind: str, newer: Any, older: Any
) -> None:
    shop.rows(f"create table t (k text primary key, qty int, at {kind})")
    for qty, version in enumerate((newer, older)):
        shop.stage({"k": "a", "qty": qty, "at": version})
        work(shop, target="t", key="k", time=None, version="at", transform=keyed)
    assert shop.rows("select qty from t") == [(0,)]


def test_a_version_that_nothing_can_be_compared_with_is_refused(shop: Shop) -> None:
    shop.rows("create table t (k text primary key, qty int, at numeric)")
    shop.stage({"k": "a", "qty": 1, "at": "1.5"}, {"k": "b", "qty": 1, "at": 10**19})
    work(shop, target="t", key="k", time=None, version="at", transform=keyed)
    assert shop.rows("select code, reason from penstock.event_states order by pos") == [
        ("no_version", 'at: "1.5" is no version: a whole number of 64 bits, or a time'),
        ("no_version", f'at: "{10**19}" is no version: a whole number of 64 bits, or a time'),
    ]
    assert shop.rows("select count(*) from t") == [(0,)]


def test_a_version_of_another_type_is_told_at_the_start(shop: Shop) -> None:
    with pytest.raises(UsageError, match="version kind is text"):
        work(shop, version="kind")


def test_where_many_versions_are_refused_the_sound_one_before_them_is_not_lost(shop: Shop) -> None:
    shop.stage(*(event(1, at=f"2026-01-{day:02}T00:00:00Z", qty="x") for day in range(2, 12)))
    shop.stage(event(1, at="2026-01-01T00:00:00Z", qty=1))
    assert work(shop).older == 0
    assert shop.balance() == {"files": (11, 0, 0, 0, 0, 11, 0)}
    with psycopg.connect(shop.url, autocommit=True) as connection:
        letters.requeue(connection, letters.letters(connection, code="newer_refused"))
    work(shop)
    assert shop.held() == [("e1", "view", 1)]
    assert shop.balance() == {"files": (11, 0, 0, 1, 0, 10, 0)}
