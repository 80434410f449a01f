"""Personal fields are in no table and no file in clear, whatever way they come, whatever fails."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import zstandard
from psycopg import sql

from penstock import quality
from penstock.connectors.registry import connectors
from penstock.errors import UsageError
from penstock.events import letters
from penstock.events.archive import write_archive
from penstock.events.drops import take_files
from penstock.events.encrypting import Cipher
from penstock.events.forgetting import forget
from penstock.events.personal import Counts, Person
from penstock.events.pipeline import Pipeline
from penstock.events.polling import take_pages
from penstock.events.replay import Span, enqueue
from penstock.events.restoring import restore
from penstock.events.sources import FileSource, HttpSource
from penstock.events.taken import Taken
from penstock.events.verifying import verify_archive
from penstock.events.worker import Worked, drain
from penstock.postgres.connection import connect
from penstock.project.keys import ProjectKey
from tests.fixtures.api import Api
from tests.fixtures.webhooks import receiving, signed
from tests.integration.events.conftest import Shop, event, row_of
from tests.integration.events.test_drops import old

PATHS = ["user.email", "items[].note"]
EMAIL, NOTE = "anna.canary@example.com", "note-canary"
FILES = FileSource(files="in/*", encrypt=PATHS)
KEYS = [base64.urlsafe_b64encode(bytes(range(n, n + 32))).decode() for n in range(3)]


def contact(one: dict[str, Any]) -> dict[str, Any] | None:
    """The row of an event; its kind is the address, and what `as` names too."""
    made = row_of(one)
    if made is None:
        return None
    user = one.get("user", {})
    if user.get("broken"):
        raise ValueError(f"cannot take {user['email'].upper()}")
    also = {user["as"]: user["email"]} if "as" in user else {}
    return {**made, "kind": user.get("email", "none"), **also}


PIPELINE = Pipeline(
    name="shop", target="events", key="event_id", time="occurred_at", transform=contact,
    sources=[FILES], archive="./kept",
)  # fmt: skip


def personal(number: int, email: str = EMAIL, **more: Any) -> Any:
    return event(number, user={"email": email, "id": number}, **more)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> ProjectKey:
    monkeypatch.setenv("PENSTOCK_KEY", KEYS[0])
    return ProjectKey("shop")


Take = Callable[..., Taken]


@pytest.fixture
def take(shop: Shop, tmp_path: Path, key: ProjectKey) -> Take:
    """Takes a file with events."""
    made: list[int] = []

    def one(*events: Any, name: str = "ndjson") -> Taken:
        lines = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
        made.append(1)
        old(tmp_path / f"in/{len(made)}.{name}", b"".join(b"%b\n" % line for line in lines))
        taken = take_files(shop.url, PIPELINE, FILES, {}, tmp_path, key=key)
        assert not taken.problems
        for path in (tmp_path / "in").iterdir():
            path.unlink()
        return taken

    return one


def everything(shop: Shop, folder: Path) -> str:
    """Each column of each table of the ledger, and each file of the archive; bytes as they are."""
    parts = []
    with psycopg.connect(shop.url) as connection:
        tables = connection.execute(
            "select c.oid::regclass::text, relname from pg_class c "
            "where relnamespace = 'penstock'::regnamespace and relkind in ('r', 'p')"
        ).fetchall()
        assert len(tables) > 20
        for _, name in tables:
            found = connection.execute(
                sql.SQL("select * from {}").format(sql.Identifier("penstock", name))
            )
            for row in found.fetchall():
                parts += [
                    one.decode("latin-1") if isinstance(one, bytes) else str(one) for one in row
                ]
    for path in (folder / "kept").rglob("*"):
        if path.suffix == ".zst":
            reader = zstandard.ZstdDecompressor().stream_reader(path.read_bytes())
            parts.append(io.TextIOWrapper(reader, "utf-8").read())
        elif path.is_file():
            parts.append(path.read_text())
    return "\n".join(parts)


def assert_hidden(shop: Shop, folder: Path) -> None:
    text = everything(shop, folder).lower()
    assert "enc:1:" in text
    assert "canary" not in text


def staged(shop: Shop) -> list[bytes]:
    found = shop.rows("select raw from penstock.events order by chunk, pos")
    return [bytes(one) for (one,) in found]


def test_files_are_hidden_where_they_are_kept_and_clear_to_the_transform(
    shop: Shop, take: Take, key: ProjectKey, tmp_path: Path
) -> None:
    raw = b'{"id": "e1","kind":"x", "at" :"2026-01-05T10:00:00Z", "total": 1.10, "total2": 1e400,'
    raw += b' "user": {"email": "%b"}, "items":[{"note": "%b","n":1}]}' % (
        EMAIL.encode(),
        NOTE.encode(),
    )
    taken = take(raw, personal(2), b'{"bad": "%b"' % EMAIL.encode(), event(4))
    assert taken.staged == 4
    first = staged(shop)[0]
    clear = raw.index(b' "user": {"email": ') + 19
    assert first.startswith(raw[:clear] + b'"enc:1:'), "no other byte is changed"
    assert_hidden(shop, tmp_path)
    worked = drain(PIPELINE, shop.url, key)
    assert (worked.loaded, worked.failed) == (3, 1)
    assert shop.held("event_id, kind") == [("e1", EMAIL), ("e2", EMAIL), ("e4", "none")]
    assert shop.rows("select code, reason from penstock.event_states") == [
        ("json", "is no JSON that can be read exactly")
    ]
    write_archive(shop.url, PIPELINE, {}, tmp_path, now=True)
    assert_hidden(shop, tmp_path)
    assert take(raw, personal(2)).staged == 0, "they are known by what was received"


def test_rows_of_a_csv_file_are_hidden_by_their_columns(
    shop: Shop, key: ProjectKey, tmp_path: Path
) -> None:
    source = FileSource(files="in/*", encrypt=["user.email", "Note"])
    text = f'id,user.email,Note,n\ne1,{EMAIL},"{NOTE}, ""x""",1\ne2,{EMAIL},{NOTE}\n'
    old(tmp_path / "in/a.csv", text.encode())
    taken = take_files(shop.url, PIPELINE, source, {}, tmp_path, key=key)
    assert (taken.staged, taken.problems, taken.notes) == (2, [], [])
    assert_hidden(shop, tmp_path)
    cipher = Cipher(key, "shop", "files")
    one, malformed = map(cipher.decrypt, staged(shop))
    row = {"id": "e1", "user.email": EMAIL, "Note": f'{NOTE}, "x"', "n": "1"}
    assert json.loads(one) == row
    assert malformed == f"e2,{EMAIL},{NOTE}".encode()
    assert b'"id":"e1"' in staged(shop)[0]


def test_a_path_that_no_event_has_is_told(shop: Shop, key: ProjectKey, tmp_path: Path) -> None:
    source = FileSource(files="in/*", encrypt=["user.email", "user.emial"])
    old(tmp_path / "in/a.ndjson", json.dumps(personal(1)).encode())
    taken = take_files(shop.url, PIPELINE, source, {}, tmp_path, key=key)
    assert taken.notes == ["encrypt: none of 1 events has user.emial"]


def test_an_apis_events_are_hidden_and_known_by_what_was_received(
    shop: Shop, api: Api, key: ProjectKey, tmp_path: Path
) -> None:
    api.on("GET", "/events")(lambda _: {"data": [personal(1), personal(2)]})
    module = {"path": "/events", "records": "data", "cursor": {"field": "at", "param": "since"}}
    env = {"feed": {"kind": "rest", "base_url": api.url, "modules": {"events": module}}}
    source = HttpSource(connector="feed", module="events", at="at", encrypt=PATHS)
    found = [
        take_pages(shop.url, PIPELINE, source, connectors(env, tmp_path), key=key) for _ in range(2)
    ]
    assert [(one.received, one.staged) for one in found] == [(2, 2), (2, 0)]
    assert_hidden(shop, tmp_path)
    drain(PIPELINE, shop.url, key)
    assert [kind for (kind,) in shop.held("kind")] == [EMAIL, EMAIL]


def test_a_webhooks_body_is_hidden_after_its_signature_was_checked(
    shop: Shop, key: ProjectKey, tmp_path: Path
) -> None:
    cipher = Cipher(key, "shop_events", "partner", PATHS)
    long = json.dumps(personal(2) | {"long": "x" * 100_000}).encode()
    bodies = [json.dumps(personal(1)).encode(), b'\xff{"canary', long]
    with receiving(shop.url) as hooks:
        sources = dict(hooks.receiver.sources)
        sources["partner"] = replace(sources["partner"], cipher=cipher)
        hooks.receiver.sources = sources
        for _ in range(2):
            for number, body in enumerate(bodies):
                assert hooks.post(body, signed(body, f"msg_{number}"))[0] == 200
        assert hooks.post(bodies[0], signed(bodies[1], "msg_9"))[0] == 401
        assert hooks.said == []
    assert_hidden(shop, tmp_path)
    assert [cipher.decrypt(raw) for raw in staged(shop)] == bodies
    assert shop.rows("select delivery_id from penstock.event_ids order by 1") == [
        ("msg_0",), ("msg_1",), ("msg_2",),
    ]  # fmt: skip
    worked = drain(replace(PIPELINE, name="shop_events"), shop.url, key)
    assert (worked.loaded, worked.failed) == (2, 1)


def by_frame(given: pl.DataFrame) -> pl.DataFrame:
    rows = [contact(json.loads(raw)) for raw in given["raw"]]
    names = ("event_id", "kind", "occurred_at", "qty")
    made = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String()))
    return made.with_columns(given["_row"])


@pytest.mark.parametrize("frame", [False, True])
def test_what_fails_tells_no_value(
    shop: Shop, take: Take, key: ProjectKey, tmp_path: Path, frame: bool
) -> None:
    shop.rows("alter table events add check (kind not like '%%deny%%')")
    broken = {"email": EMAIL, "broken": True}
    take(
        event(1, user=broken),
        event(2, user={"email": EMAIL, "as": "qty"}),
        event(3, user={"email": EMAIL, "as": "occurred_at"}),
        personal(4, email=f"deny {EMAIL}"),
        personal(5, at="2030-01-05T10:00:00Z"),
        personal(6, at=None),
        personal(7),
    )
    how = {"frame": by_frame, "transform": None} if frame else {}
    pipeline = replace(PIPELINE, **how)  # type: ignore[arg-type]
    worked = drain(pipeline, shop.url, key)
    assert (worked.loaded, worked.failed) == (1, 6)
    assert_hidden(shop, tmp_path)
    found = shop.rows("select code, reason from penstock.event_states order by pos")
    assert [code for code, _ in found] == [
        "transform", "22P02", "no_zone", "23514", "23514", "null_key",
    ]  # fmt: skip
    assert found[0][1].startswith("ValueError (test_personal.py, line ")
    withheld = "the value is not told, as fields of its event are encrypted"
    assert found[1][1] == f"qty: {withheld}"
    kept = shop.rows("select raw from penstock.rejects order by record")
    assert [bytes(raw) for (raw,) in kept] == staged(shop)[:6], "as they are staged"
    shop.rows("alter table events alter qty type text")
    with connect(shop.url) as connection:
        open_ones = letters.letters(connection, pipeline="shop", code="22P02")
        assert letters.requeue(connection, open_ones) == 1
    assert drain(pipeline, shop.url, key).loaded == 1
    assert ("e2", EMAIL) in shop.held("event_id, qty")


def test_others_reasons_keep_their_values(shop: Shop, take: Take, key: ProjectKey) -> None:
    take(personal(1, qty="many"))
    shop.stage(event(2, qty="many"), source="plain")
    assert drain(PIPELINE, shop.url, key).failed == 2
    assert shop.rows("select reason from penstock.event_states where chunk = 2") == [
        ("qty: many is not an integer",)
    ]
    assert len(shop.rows("select 1 from penstock.loads")) == 1, "both in one load"


def test_where_every_event_fails_nothing_of_them_is_told(
    shop: Shop, take: Take, key: ProjectKey, tmp_path: Path
) -> None:
    take(*(event(n, user={"email": EMAIL, "broken": True}) for n in range(100)))
    worked = drain(PIPELINE, shop.url, key)
    assert worked.troubles[-1].startswith("the transform fails for each of 100 events")
    assert "canary" not in worked.troubles[-1].lower()
    assert_hidden(shop, tmp_path)


def test_a_check_that_cannot_be_tried_tells_no_value(
    shop: Shop, take: Take, key: ProjectKey, tmp_path: Path
) -> None:
    number = quality.expression(pl.col("kind").cast(pl.Int64) > 0, name="a number")
    take(personal(1))
    worked = drain(replace(PIPELINE, checks=[number]), shop.url, key)
    assert "quality a number: the expression fails: " in worked.troubles[-1]
    assert "canary" not in worked.troubles[-1]
    assert_hidden(shop, tmp_path)


def test_without_the_key_events_wait_and_are_worked_on_when_it_is_there(
    shop: Shop, take: Take, key: ProjectKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(personal(1))
    monkeypatch.delenv("PENSTOCK_KEY")
    monkeypatch.setenv("PENSTOCK_KEY_FILE", str(tmp_path / "elsewhere.key"))
    there = ProjectKey("shop")
    assert_waits(drain(PIPELINE, shop.url, there), shop, f"copy {tmp_path}/elsewhere.key from")
    monkeypatch.setenv("PENSTOCK_KEY", KEYS[1])
    assert_waits(drain(PIPELINE, shop.url, key), shop, "with PENSTOCK_KEY: they were encrypted")
    assert_waits(drain(PIPELINE, shop.url), shop, "no key was given")
    monkeypatch.setenv("PENSTOCK_KEY", f"{KEYS[2]}\n{KEYS[1]}\n{KEYS[0]}")
    assert drain(PIPELINE, shop.url, key).loaded == 1


def assert_waits(worked: Worked, shop: Shop, said: str) -> None:
    assert worked.events == 0
    assert said in worked.troubles[-1]
    ((status, attempts),) = shop.rows("select status, attempts from penstock.batches")
    assert (status, attempts) == ("pending", 0)
    shop.rows("update penstock.batches set next_attempt_at = now()")


def test_after_a_rotation_both_are_read_and_a_repetition_is_known(
    shop: Shop, take: Take, key: ProjectKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert take(personal(1)).staged == 1
    monkeypatch.setenv("PENSTOCK_KEY", f"{KEYS[1]}\n{KEYS[0]}")
    assert take(personal(1), personal(2)).staged == 1
    assert drain(PIPELINE, shop.url, key).loaded == 2
    monkeypatch.setenv("PENSTOCK_KEY", KEYS[1])
    cipher = Cipher(key, "shop", "files")
    assert b"e2" in cipher.decrypt(staged(shop)[1])
    with pytest.raises(UsageError, match="another key"):
        cipher.decrypt(staged(shop)[0])


def test_a_field_that_was_altered_fails_its_event_alone(
    shop: Shop, take: Take, key: ProjectKey
) -> None:
    take(personal(1), personal(2), personal(3, email="bob"))
    shop.rows(
        "update penstock.events set raw = overlay(raw placing '0'::bytea "
        'from position(\'", "id"\'::bytea in raw) - 6 for 1) where pos = 1'
    )
    worked = drain(PIPELINE, shop.url, key)
    assert (worked.loaded, worked.failed) == (2, 1)
    assert shop.rows("select pos, code from penstock.event_states") == [(1, "altered")]


def test_what_looks_encrypted_and_is_a_senders_is_taken_as_it_is(
    shop: Shop, take: Take, key: ProjectKey
) -> None:
    take(personal(1))
    stolen = staged(shop)[0].split(b'"email": "')[1].split(b'"')[0].decode()
    take(event(2, user={"email": stolen}), event(3, user={"email": "x"}, extra=stolen))
    shop.stage(event(4, user={"email": stolen}), source="plain")
    assert drain(PIPELINE, shop.url, key).failed == 0
    assert shop.held("event_id, kind") == [
        ("e1", EMAIL), ("e2", stolen), ("e3", "x"), ("e4", stolen),
    ]  # fmt: skip


def test_what_was_archived_comes_back_with_its_ids_and_is_read(
    shop: Shop, take: Take, key: ProjectKey, tmp_path: Path
) -> None:
    take(personal(1), personal(2))
    write_archive(shop.url, PIPELINE, {}, tmp_path, now=True)
    before = shop.rows("select delivery_id, raw from penstock.events order by pos")
    shop.rows("delete from penstock.events")
    assert restore(shop.url, PIPELINE, {}, tmp_path, Span()).events == 2
    assert shop.rows("select delivery_id, raw from penstock.events order by pos") == before
    assert drain(PIPELINE, shop.url, key).loaded == 2
    assert take(personal(1)).staged == 0


def test_events_staged_before_the_declaration_went_are_still_read(
    shop: Shop, take: Take, key: ProjectKey
) -> None:
    take(personal(1))
    undeclared = replace(PIPELINE, sources=[FileSource(files="in/*")])
    assert drain(undeclared, shop.url, key).loaded == 1
    with connect(shop.url) as connection:
        assert enqueue(connection, undeclared, Span()) == 1
    assert drain(undeclared, shop.url, key).unchanged == 1
    assert shop.held("kind") == [(EMAIL,)]


def test_a_person_is_found_by_a_field_that_is_encrypted(
    shop: Shop, take: Take, key: ProjectKey, tmp_path: Path
) -> None:
    take(personal(1), personal(2, "bob"), personal(3, qty="x"), personal(4, "bob", qty="y"))
    drain(PIPELINE, shop.url, key)
    write_archive(shop.url, PIPELINE, {}, tmp_path, now=True)
    take(personal(5, qty="z"), b'{"email": "%b"' % EMAIL.encode())
    drain(PIPELINE, shop.url, key)
    shop.rows("delete from penstock.events where chunk = 1 or (chunk = 2 and pos = 0)")
    person = Person("user.email", EMAIL)
    with pytest.raises(UsageError, match="no key was given"):
        forget(shop.url, PIPELINE, {}, tmp_path, person)
    done = forget(shop.url, replace(PIPELINE, archive=None), {}, tmp_path, person, key=key)
    assert done.removed == Counts(rejects=2), "also of events that are nowhere any more"
    done = forget(shop.url, PIPELINE, {}, tmp_path, person, key=key)
    assert (done.removed, done.left) == (Counts(archived=2, rows=1), Counts())
    assert done.unclear == ["2/1"], "what is no JSON and names them is told"
    assert shop.held("event_id, kind") == [("e2", "bob")]
    assert verify_archive(shop.url, PIPELINE, {}, tmp_path).problems == []
    assert not forget(shop.url, PIPELINE, {}, tmp_path, person, key=key).removed.any


def test_rows_that_wait_for_parents_and_encryption_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="choose another policy than wait"):
        replace(PIPELINE, options={"orphans": {"kind": "wait"}})
