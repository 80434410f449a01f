"""JSON of every kind, well and badly written, over every way into staging: each is accounted for.

Raw bytes are kept exactly; what is read of them is the same whichever way they came. The table is
this project's own. Not for: files that are no NDJSON (`tests/integration/formats`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from penstock.connectors.registry import connectors
from penstock.events.drops import take_files
from penstock.events.pipeline import Pipeline
from penstock.events.replay import Span, enqueue
from penstock.events.sources import FileSource
from penstock.events.worker import drain
from penstock.postgres.connection import connect
from tests.fixtures.api import Api, Reply
from tests.fixtures.webhooks import receiving, signed
from tests.integration.events.conftest import Shop
from tests.integration.events.test_polling import Feed


@dataclass(frozen=True)
class Case:
    """A way to write an event; whether a row is made of it, and whether jsonb holds it."""

    raw: bytes
    sound: bool
    payload: bool

    @property
    def utf8(self) -> bool:
        try:
            self.raw.decode()
        except UnicodeDecodeError:
            return False
        return True


def value(text: str | bytes) -> bytes:
    """An event with a value that is written so."""
    raw = text if isinstance(text, bytes) else text.encode()
    return b'{"id": "' + hashlib.sha256(raw).hexdigest()[:12].encode() + b'", "v": ' + raw + b"}"


# fmt: off
SOUND = [
    *("1", "-0", "1e3", "1.5", "true", "false", "null", '""', '"a"', '"\\u00e9"', '"é"', '"\\/"'),
    *('"\\ud83d\\ude00"', '"\\""', '"\\u2028"', "[]", "{}", "[1,[2]]", '{"a":{"b":1}}', " 1 "),
    *("9" * 5_000, "1e400", "1e131000", "9007199254740993", "-1.7976931348623157e309", "1E+2"),
    *("0." + "1" * 60, "[" * 400 + "]" * 400, '{"":1}', '{"a":1,"A":2}', '"\x7f"'),
]
#: What Python reads and jsonb does not hold.
NO_JSONB = ["1e140000"]
#: No row: a text of the target cannot hold it; or it is no value that can be read exactly.
NO_ROW_NO_JSONB: list[str | bytes] = [
    *('"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', "[" * 100_000 + "]" * 100_000),
    *("01", "+1", ".5", "1.", "1e", "0x1", "1_000", "NaN", "Infinity", "-Infinity", "nan", "-"),
    *("True", "None", "undefined", "'a'", '"a', '"\\x41"', '"\\u12"', '"\\uZZZZ"', '"\\a"', "tru"),
    *('"a\tb"', "[1,]", "[,1]", '{"a":1,}', "{a:1}", '{"a" 1}', "[1 2]", '{"a":}', "[1", "1]"),
    *("1 // why", "/* why */ 1", "1 # why", "", "1 2", b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"'),
    *(b'"\xe9"', b'"\xf4\x90\x80\x80"', b'"a\0b"', "\ufeff1", "\u00a01", "\u20281"),
]
DUPLICATE = ['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '1, "v": 2']
#: Not of one object with a value: whole bodies.
WHOLE = [
    Case(b"1", True, True), Case(b'"text"', True, True), Case(b"null", True, True),
    Case(b"[]", True, True), Case(b"\t{} ", True, True), Case(b"{} {}", False, False),
    Case(b"[1]]", False, False), Case(b"{", False, False), Case(b"\xef\xbb\xbf{}", False, False),
    Case('{"id": 1}'.encode("utf-16"), False, False), Case(b"\0", False, False),
    Case('{"id": 1}'.encode("utf-16-be"), False, False), Case(b"id;v", False, False),
]
# fmt: on
CASES = [
    *(Case(value(text), True, True) for text in SOUND),
    *(Case(value(text), True, False) for text in NO_JSONB),
    *(Case(value(text), False, False) for text in NO_ROW_NO_JSONB),
    *(Case(value(text), False, True) for text in DUPLICATE),
    *WHOLE,
]
#: Bodies that are no line of a file.
BODIES = [Case(raw, False, False) for raw in (b"", b" ", b"\n", b"\r\n\t")]


def row_of(one: Any) -> dict[str, Any]:
    """The transform: a text is given as it is."""
    key = one["id"] if isinstance(one, dict) and "id" in one else f"whole {one!r}"
    told = one.get("v") if isinstance(one, dict) else one
    kind = told if isinstance(told, str) else type(told).__name__
    return {"event_id": key, "kind": kind, "occurred_at": "2026-01-05T10:00:00Z"}


PIPELINE = Pipeline(
    name="shop_events", target="events", key="event_id", time="occurred_at", transform=row_of
)


def by_file(shop: Shop, folder: Path, cases: list[Case]) -> None:
    (folder / "in").mkdir()
    (folder / "in/a.ndjson").write_bytes(b"{}\n" + b"\n".join(one.raw for one in cases) + b"\n")
    env = {"drops": {"kind": "files", "folder": "in", "complete": "name"}}
    source = FileSource(files="*", connector="drops", name="partner")
    taken = take_files(shop.url, PIPELINE, source, connectors(env, folder), folder)
    assert (taken.received, taken.problems) == (len(cases) + 1, [])


def by_webhook(shop: Shop, folder: Path, cases: list[Case]) -> None:
    del folder
    with receiving(shop.url) as hooks:
        for number, one in enumerate([Case(b"{}", True, True), *cases]):
            assert hooks.post(one.raw, signed(one.raw, f"m-{number}"))[0] == 200


def test_there_are_many() -> None:
    assert len(CASES) >= 95
    assert len({one.raw for one in CASES}) == len(CASES)
    assert not [one for one in CASES if b"\n" in one.raw]


@pytest.mark.parametrize("way", ["file", "webhook"])
def test_each_is_accounted_for_and_kept_as_it_was(shop: Shop, tmp_path: Path, way: str) -> None:
    cases = [*CASES, *BODIES] if way == "webhook" else CASES
    (by_webhook if way == "webhook" else by_file)(shop, tmp_path, cases)
    cases = [Case(b"{}", True, True), *cases]
    drain(PIPELINE, shop.url)
    found = shop.rows(
        "select e.raw, e.status, penstock.payload(e.raw) is not null, x.reason "
        "from penstock.event_status e left join penstock.event_states x using (chunk, pos) "
        "order by e.chunk, e.pos"
    )
    assert [bytes(raw) for raw, *_ in found] == [one.raw for one in cases]
    for one, (_, status, payload, reason) in zip(cases, found, strict=True):
        shown = one.raw[:80]
        assert status == ("succeeded" if one.sound else "failed"), (shown, reason)
        assert payload == one.payload, shown
        assert bool(reason) is not one.sound, shown
    bad = sum(not one.sound for one in cases)
    assert shop.rows(
        "select received, repeated, waiting, loaded, dropped, failed, dead, balanced "
        "from penstock.event_balance where source = 'partner'"
    ) == [(len(cases), 0, 0, len(cases) - bad, 0, bad, 0, True)]
    texts = [json.loads(text) for text in SOUND if text.startswith('"')]
    held = {kind for (kind,) in shop.rows("select kind from events")}
    assert {*texts} <= held

    # A transform of frames gets texts, and reads them itself: only what is no text fails.
    frame = Pipeline(
        name="shop_events",
        target="events",
        key="event_id",
        time="occurred_at",
        frame=lambda given: given.select(
            "_row",
            event_id=pl.format("frame {}", "_row"),
            kind=pl.lit("frame"),
            occurred_at=pl.lit("2026-01-06T10:00:00Z"),
        ),
    )
    with connect(shop.url) as connection:
        enqueue(connection, frame, Span())
    worked = drain(frame, shop.url)
    assert (worked.events, worked.failed) == (len(cases), sum(not one.utf8 for one in cases))


def test_an_api_gives_the_same_bytes_and_a_bad_page_gives_nothing(shop: Shop, api: Api) -> None:
    page: list[bytes] = []
    api.on("GET", "/events")(lambda _: Reply(b'{"data": [' + b" , ".join(page) + b"]}"))
    feed = Feed(shop, api, None)
    good = [Case(b"{}", True, True), *(one for one in CASES if one.sound and one.raw[:1] == b"{")]
    page += [one.raw for one in good]
    assert feed.take().staged == len(good)
    kept = [one.raw for one in good]
    refused = 0
    for one in CASES:
        if one.sound or one.raw[:1] != b"{":
            continue
        page[:] = [b'{"id": "good"}', one.raw]
        taken = feed.take()
        if not taken.received:  # nothing of it is taken, and somebody is told
            assert len(taken.problems) == 1
            refused += 1
        else:  # the page is JSON, and this element of it cannot be a row
            assert (taken.received, taken.problems) == (2, [])
            kept += page if taken.staged == 2 else page[1:]  # the good one is new once
    found = shop.rows("select raw from penstock.events order by chunk, pos")
    assert [bytes(raw) for (raw,) in found] == kept
    assert refused >= 30
