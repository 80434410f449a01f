"""APIs that are read for their events: exactly, onwards, and without a gap when they misbehave."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.connectors.registry import connectors
from penstock.errors import UsageError
from penstock.events.pipeline import Pipeline
from penstock.events.polling import take_pages
from penstock.events.sources import HttpSource
from penstock.events.taken import Taken
from tests.fixtures.api import Api, Asked, Reply
from tests.integration.events.conftest import Shop

CURSOR = {"kind": "cursor", "param": "after", "next": "after"}
NUMBERS = {"kind": "page", "size_param": "size", "size": 10}
MOMENT = datetime(2026, 1, 5, 10, tzinfo=UTC)


def event(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"e{number}", **more}


def at(minutes: float) -> str:
    return (MOMENT + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


class Feed:
    """An API's events, and who takes them."""

    def __init__(self, shop: Shop, api: Api, page: dict[str, Any] | None, **more: Any) -> None:
        self.shop, self.api = shop, api
        module = {"path": "/events", "records": "data", **more.pop("module", {})}
        if page:
            module["page"] = page
        self.env = {
            "feed": {
                "kind": "rest", "base_url": api.url, "backoff": 0.01, "timeout": 5,
                "modules": {"events": module}, **more.pop("rest", {}),
            }
        }  # fmt: skip
        self.source = HttpSource(connector="feed", module="events", **more)

    def take(self, on_step: Callable[[str], None] = lambda _: None) -> Taken:
        one = Pipeline(name="shop", target="t", key="id", transform=dict, sources=[self.source])
        made = connectors(self.env, Path())
        taken = take_pages(self.shop.url, one, self.source, made, on_step=on_step)
        assert taken.received == taken.staged + taken.repeated
        return taken

    def ids(self) -> list[str]:
        """Of what is staged, in the order of arrival."""
        found = self.shop.rows("select raw from penstock.events order by chunk, pos")
        return [json.loads(bytes(raw))["id"] for (raw,) in found]

    def cursor(self) -> Any:
        found = self.shop.rows(
            "select value from penstock.cursors where flow = 'pipeline shop' "
            "and name = 'feed.events'"
        )
        return found[0][0] if found else None


def chained(api: Api, pages: dict[str, Any]) -> None:
    """Mark -> its page, the first one under the empty mark."""

    @api.on("GET", "/events")
    def answer(asked: Asked) -> Any:
        return pages[asked.params.get("after", "")]


def numbered(api: Api, *pages: list[int], total: int | None = None) -> None:
    @api.on("GET", "/events")
    def answer(asked: Asked) -> Any:
        number = int(asked.params["page"])
        found = pages[number - 1] if number <= len(pages) else []
        return {"data": [event(one) for one in found], "total": total}


def test_events_are_what_the_api_wrote(shop: Shop, api: Api) -> None:
    texts = [
        '{"id": "a", "n": 1.10, "m": 1e2, "big": 12345678901234567890.123}',
        '{ "id":"b", "x": "\\u00e9\\ud800", "x": 1 }',
        '{"id": "c", "é": [1,\n 2]}',
    ]
    body = '{"meta": {"n": 1}, "data": [%s], "after": null}' % ",\n".join(texts)  # noqa: UP031
    api.on("GET", "/events")(lambda _: Reply(body))
    feed = Feed(shop, api, CURSOR)
    assert feed.take().staged == 3
    raws = shop.rows("select raw from penstock.events order by pos")
    assert [bytes(raw).decode() for (raw,) in raws] == texts
    again = feed.take()
    assert (again.staged, again.repeated) == (0, 3)


def test_a_read_that_was_stopped_goes_on_at_the_next_page(shop: Shop, api: Api) -> None:
    pages = {
        "": {"data": [event(1, at=at(0))], "after": "m2"},
        "m2": {"data": [event(2, at=at(9))], "after": "m3"},
        "m3": {"data": [event(3, at=at(5))], "after": None},
    }
    chained(api, pages)
    feed = Feed(shop, api, CURSOR, at="at", module={"cursor": {"field": "at", "param": "since"}})
    api.faults = [None, None, Reply(None, 403)]
    stopped = feed.take()
    assert stopped.staged == 2
    assert "403" in stopped.problems[0]
    assert "type" not in feed.cursor(), "not moved: an older event may be on a page to come"
    done = feed.take()
    assert (done.staged, done.problems) == (1, [])
    assert [one.params.get("after") for one in api.asked] == [None, "m2", "m3", "m3"]
    assert feed.cursor()["value"] == (MOMENT + timedelta(minutes=9)).isoformat()
    assert feed.cursor()["place"] is None
    feed.take()
    assert api.asked[4].params == {"since": at(4)}, "5 minutes before the newest"


def test_a_place_that_the_api_forgot_is_read_from_the_beginning(shop: Shop, api: Api) -> None:
    chained(api, {"": {"data": [event(1)], "after": "m2"}, "m2": {"data": [event(2)]}})
    feed = Feed(shop, api, CURSOR)
    api.faults = [None, Reply(None, 403), Reply({"message": "mark is over"}, 410)]
    feed.take()
    again = feed.take()
    assert (again.staged, again.repeated, again.problems) == (1, 1, [])
    assert again.notes == ["feed does not know the last place any more"]
    assert feed.ids() == ["e1", "e2"]


def test_a_place_of_another_declaration_is_not_gone_to(shop: Shop, api: Api) -> None:
    chained(api, {"": {"data": [event(1)], "after": "m2"}, "m2": {"data": [event(2)]}})
    api.faults = [None, Reply(None, 403)]
    Feed(shop, api, CURSOR).take()
    other = Feed(shop, api, CURSOR, module={"params": {"kind": "paid"}})
    other.take()
    assert api.asked[2].params == {"kind": "paid"}


def test_a_place_with_a_key_in_it_is_not_kept(shop: Shop, api: Api) -> None:
    @api.on("GET", "/events")
    def answer(asked: Asked) -> Any:
        return {"data": [event(len(api.asked))], "next": "/events?key=s3cret-key&after=2"}

    api.faults = [None, Reply(None, 403)]
    auth = {"auth": {"kind": "api_key", "query": "key", "api_key": "s3cret-key"}}
    feed = Feed(shop, api, {"kind": "next_url", "next": "next"}, rest=auth)
    assert feed.take().staged == 1
    assert feed.cursor() is None
    found = shop.rows("select count(*) from penstock.chunks where origin ~ 's3cret'")
    assert found == [(0,)]


def test_late_events_are_found_by_the_overlap_and_equal_times_are_not_lost(
    shop: Shop, api: Api
) -> None:
    held = [event(1, at=at(0)), event(2, at=at(10)), event(3, at=at(10))]

    @api.on("GET", "/events")
    def answer(asked: Asked) -> Any:
        since = asked.params.get("since", "")
        return {"data": sorted((one for one in held if one["at"] >= since), key=lambda e: e["at"])}

    feed = Feed(shop, api, None, at="at", module={"cursor": {"field": "at", "param": "since"}})
    assert feed.take().staged == 3
    held += [event(4, at=at(10)), event(5, at=at(6)), event(6, at=at(11))]
    assert feed.take().staged == 3
    held += [event(7, at=at(8))]
    assert feed.take().staged == 1
    assert sorted(feed.ids()) == [one["id"] for one in held]


def test_a_clock_that_is_ahead_does_not_move_the_cursor_into_the_future(
    shop: Shop, api: Api
) -> None:
    chained(api, {"": {"data": [event(1, at="2999-01-01T00:00:00Z"), event(2, at=at(0))]}})
    feed = Feed(shop, api, CURSOR, at="at", module={"cursor": {"field": "at", "param": "since"}})
    before = datetime.now(UTC)
    feed.take()
    assert before <= datetime.fromisoformat(feed.cursor()["value"]) <= datetime.now(UTC)


@pytest.mark.parametrize(("unit", "sent"), [(1, 1767607200), (1000, 1767607200000)])
def test_times_in_seconds_and_milliseconds(shop: Shop, api: Api, unit: int, sent: int) -> None:
    assert MOMENT.timestamp() * unit == sent
    chained(api, {"": {"data": [event(1, created=sent), event(2, created=None)]}})
    module = {"cursor": {"field": "created", "param": "created[gte]"}}
    feed = Feed(shop, api, CURSOR, at="created", overlap=timedelta(seconds=60), module=module)
    taken = feed.take()
    assert taken.notes == [
        "1 events have no time with a zone at created: they do not move the cursor"
    ]
    feed.take()
    assert api.asked[1].params == {"created[gte]": str(sent - 60 * unit)}


def test_windows_of_time_follow_one_another_until_now(shop: Shop, api: Api) -> None:
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
    made = [begin + timedelta(minutes=37 * number) for number in range(8)]

    @api.on("GET", "/events")
    def answer(asked: Asked) -> Any:
        low, high = (datetime.fromisoformat(asked.params[key]) for key in ("from", "to"))
        found = [event(number, at=one.isoformat()) for number, one in enumerate(made)]
        return {"data": [e for e, one in zip(found, made, strict=True) if low <= one < high]}

    page = {"kind": "window", "until": "to", "first": begin.isoformat(), "span": "2h"}
    module = {"cursor": {"field": "at", "param": "from"}}
    feed = Feed(shop, api, page, at="at", module=module)
    api.faults = [None, Reply(None, 403)]
    assert feed.take().staged == sum(one < begin + timedelta(hours=2) for one in made)
    assert feed.take().problems == []
    assert feed.ids() == [f"e{number}" for number in range(8)]
    asked = [(one.params["from"], one.params["to"]) for one in api.asked]
    assert asked[1] == asked[2], "it goes on where it was stopped"
    assert [low for low, _ in asked[3:]] == [high for _, high in asked[2:-1]], "without a gap"
    assert datetime.now(UTC) - datetime.fromisoformat(asked[-1][1]) < timedelta(minutes=1)
    feed.take()
    assert datetime.fromisoformat(api.asked[-1].params["from"]) == made[-1] - timedelta(minutes=5)


def test_a_window_that_may_be_cut_off_is_an_error(shop: Shop, api: Api) -> None:
    chained(api, {"": {"data": [event(1), event(2)]}})
    page = {"kind": "window", "until": "to", "first": "2026-01-01T00:00Z", "most": 2}
    module = {"cursor": {"field": "at", "param": "from"}}
    taken = Feed(shop, api, page, module=module).take()
    assert taken.received == 0
    assert "may have cut it off" in taken.problems[0]


def test_a_missing_page_fails_the_read_and_the_cursor_stays(shop: Shop, api: Api) -> None:
    numbered(api, [1, 2], [], [5, 6], total=6)
    page = NUMBERS | {"total": "total"}
    feed = Feed(shop, api, page, at="at")
    taken = feed.take()
    assert taken.problems[0].startswith("feed: events page 2: only 2 of 6 records came")
    assert feed.ids() == ["e1", "e2"]
    assert feed.cursor() is None
    numbered(api, [1, 2], [3, 4], [5, 6], total=6)
    assert feed.take().problems == []
    assert feed.ids() == ["e1", "e2", "e3", "e4", "e5", "e6"]


def test_a_total_that_grows_meanwhile_counts_as_it_is_at_the_end(shop: Shop, api: Api) -> None:
    @api.on("GET", "/events")
    def answer(asked: Asked) -> Any:
        number = int(asked.params["page"])
        ids = {1: [1, 2], 2: [3, 4, 5]}.get(number, [])
        return {"data": [event(one) for one in ids], "total": 4 if number == 1 else 5}

    taken = Feed(shop, api, NUMBERS | {"total": "total"}).take()
    assert (taken.staged, taken.problems) == (5, [])


def test_an_empty_page_in_the_middle_is_no_end_where_the_api_says_so(shop: Shop, api: Api) -> None:
    pages: dict[str, list[int]] = {"1": [1], "2": [], "3": [3]}

    @api.on("GET", "/events")
    def answer(asked: Asked) -> Any:
        number = asked.params["page"]
        return {"data": [event(one) for one in pages[number]], "more": number != "3"}

    taken = Feed(shop, api, NUMBERS | {"more": "more"}).take()
    assert (taken.staged, taken.pages, taken.problems) == (2, 3, [])


def test_pages_that_overlap_or_come_in_another_order_are_events_once(shop: Shop, api: Api) -> None:
    numbered(api, [5, 6], [6, 3], [3, 4, 1])
    taken = Feed(shop, api, NUMBERS).take()
    assert (taken.received, taken.staged) == (7, 5)


@pytest.mark.parametrize("pages", [([1, 2], [1, 2]), ([1], [2], [1], [3])])
def test_a_page_that_comes_again_is_told(
    shop: Shop, api: Api, pages: tuple[list[int], ...]
) -> None:
    numbered(api, *pages)
    feed = Feed(shop, api, NUMBERS)
    taken = feed.take()
    assert "has the same records as" in taken.problems[0]
    assert feed.cursor() is None
    assert taken.staged == len(set(feed.ids()))


def test_more_without_a_mark_is_an_error(shop: Shop, api: Api) -> None:
    chained(api, {"": {"data": [], "more": True}})
    page = CURSOR | {"next": "data.-1.id", "more": "more"}
    assert "says that there are more" in Feed(shop, api, page).take().problems[0]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply("<html>login</html>", kind="text/html"), "a page for people"),
        (Reply({"error": {"message": "quota"}}), "says: quota"),
        (Reply('{"data": [{"id": 1}'), "is no JSON"),
        (Reply('{"data": [{"id": "é"}]}'.encode("latin-1")), "is no JSON"),
        (Reply('{"data": [' + "[" * 100_000), "is no JSON"),
        (Reply({"message": "no"}, 403), "lacks a right"),
        (Reply(b"\x1f\x8b no gzip", headers={"Content-Encoding": "gzip"}), "while decompressing"),
    ],
)
def test_an_ill_answer_is_told_and_what_came_before_it_is_staged(
    shop: Shop, api: Api, reply: Reply, said: str
) -> None:
    numbered(api, [1, 2], [3])
    feed = Feed(shop, api, NUMBERS, at="at", rest={"retries": 0})
    api.faults = [None, reply]
    taken = feed.take()
    assert said.lower() in taken.problems[0].lower()
    assert api.fired == 1
    assert feed.ids() == ["e1", "e2"]
    assert feed.cursor() is None
    assert feed.take().staged == 1


def test_a_commit_that_fails_moves_nothing(shop: Shop, api: Api) -> None:
    chained(
        api,
        {
            "": {"data": [event(1, at=at(0))], "after": "m2"},
            "m2": {"data": [event(2, at=at(1))], "after": None},
        },
    )
    feed = Feed(shop, api, CURSOR, at="at", module={"cursor": {"field": "at", "param": "since"}})
    seen: list[str] = []

    def cut(step: str) -> None:
        seen.append(step)
        if seen.count("staged") == 2 and step == "staged":
            shop.rows(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )

    with pytest.raises(psycopg.OperationalError):
        feed.take(cut)
    assert feed.ids() == ["e1"]
    assert "value" not in feed.cursor()
    assert feed.take().staged == 1
    assert feed.ids() == ["e1", "e2"]


def test_wrong_declarations_are_said(shop: Shop, api: Api) -> None:
    chained(api, {"": {"data": [event(1, at=at(0))]}})
    feed = Feed(shop, api, CURSOR, at="at")
    feed.take()
    with pytest.raises(UsageError, match="events has no cursor"):
        feed.take()
    feed.source = HttpSource(connector="nope", module="events")
    with pytest.raises(UsageError, match="'nope' is no connector in env; APIs are feed"):
        feed.take()
