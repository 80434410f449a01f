"""Webhooks are staged once each, answered when durable, and refused without a word more."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg import sql

from penstock.events.sources import WebhookSource
from penstock.events.webhooks import app
from penstock.events.webhooks.rates import Rate
from penstock.events.webhooks.schemes import Scheme
from penstock.events.webhooks.signatures import Verified, delivery_id
from penstock.ledger import roles
from tests.fixtures.flows import until
from tests.fixtures.postgres import Database
from tests.fixtures.webhooks import (
    GITHUB_SECRET,
    Hooks,
    github_signed,
    receiving,
    request,
    signed,
    status,
)

#: JSON that no parser and writer would give back as it is.
BODY = b'{"id": "e-1",\r\n "total": 12.50, "total": 1e400, "name": "\\ud800\xc3\xa9"}\n'

STAGED = """
select s.source, e.delivery_id, e.raw
from penstock.events e join penstock.sources s using (source_id)
order by e.chunk, e.pos
"""


@pytest.fixture(scope="module")
def running(module_database: Database) -> Iterator[Hooks]:
    with receiving(module_database.url) as made:
        yield made


@pytest.fixture
def hooks(running: Hooks) -> Hooks:
    """A receiver that has received nothing yet."""
    running.empty()
    return running


def staged(url: str) -> list[tuple[str, str, bytes]]:
    with psycopg.connect(url) as connection:
        return [(s, d, bytes(r)) for s, d, r in connection.execute(STAGED)]


def test_a_signed_delivery_is_staged_as_it_came(hooks: Hooks) -> None:
    answered = hooks.post(BODY, signed(BODY, "msg_1"))
    assert answered[:2] == (200, b"")
    assert hooks.post(BODY, github_signed(BODY, "d-1"), "/in/code")[0] == 200
    assert staged(hooks.url) == [("partner", "msg_1", BODY), ("code", "d-1", BODY)]


def test_a_body_that_is_no_json_is_staged_too(hooks: Hooks) -> None:
    bodies = [b"", b"\x00", b"\xff\xfe", b"[" * 100_000, b"NaN"]
    for number, body in enumerate(bodies):
        assert hooks.post(body, signed(body, f"msg_{number}"))[0] == 200
    assert [raw for _, _, raw in staged(hooks.url)] == bodies


def test_a_delivery_is_staged_once_however_often_and_whenever_it_comes(hooks: Hooks) -> None:
    first = hooks.post(BODY, signed(BODY, "msg_1"))
    with psycopg.connect(
        hooks.url, autocommit=True
    ) as connection:  # as after years, and after retention
        connection.execute(
            "update penstock.chunks set received_at = received_at - interval '3 years'"
        )
        connection.execute("truncate penstock.events")
    later = hooks.post(b"another body", signed(b"another body", "msg_1", at=time.time() + 200))
    assert first[:2] == later[:2]
    assert staged(hooks.url) == []
    with psycopg.connect(hooks.url, autocommit=True) as connection:
        assert connection.execute(
            "select received, repeated from penstock.event_balance where source = 'partner'"
        ).fetchall() == [(2, 1)]


def test_the_same_id_of_another_source_is_another_delivery(hooks: Hooks) -> None:
    assert hooks.post(BODY, signed(BODY, "d-1"))[0] == 200
    assert hooks.post(BODY, github_signed(BODY, "d-1"), "/in/code")[0] == 200
    assert len(staged(hooks.url)) == 2


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/in/partner", signed(BODY, "msg_1", key=b"another")),
        ("/in/partner", signed(BODY + b" ", "msg_1")),
        ("/in/partner", signed(BODY, "msg_1", at=1_700_000_000)),
        ("/in/partner", {}),
        ("/in/partner", {**signed(BODY, "msg_1"), "webhook-id": "msg_2"}),
        ("/in/code", signed(BODY, "msg_1")),
        ("/in/nobody", signed(BODY, "msg_1")),
        ("/in/nobody", {}),
        ("/in/%00", signed(BODY, "msg_1")),
        ("/in/PARTNER", signed(BODY, "msg_1")),
        ("/in/'; drop table x", {}),
    ],
)
def test_an_unknown_source_is_answered_as_a_wrong_signature_is(
    hooks: Hooks, path: str, headers: dict[str, str]
) -> None:
    code, body, told = hooks.post(BODY, headers, path.replace(" ", "%20"))
    told.pop("date")
    assert (code, body) == (401, b"not accepted\n")
    assert told == {
        "content-type": "text/plain; charset=utf-8",
        "content-length": "13",
        "x-content-type-options": "nosniff",
    }
    assert staged(hooks.url) == []


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/in/partner", 405),
        ("GET", "/in/nobody", 405),
        ("PUT", "/in/partner", 405),
        ("DELETE", "/in/nobody", 405),
        ("POST", "/in/partner/", 404),
        ("POST", "/in/nobody/", 404),
        ("POST", "/in/", 404),
        ("POST", "/in", 404),
        ("POST", "/in/..%2fin%2fpartner", 404),
        ("POST", "/in/../in/partner", 404),
        ("POST", "//in/partner", 404),
        ("POST", "/", 404),
        ("GET", "/docs", 404),
        ("POST", "/health", 405),
    ],
)
def test_other_methods_and_paths_are_refused_whatever_sources_there_are(
    hooks: Hooks, method: str, path: str, expected: int
) -> None:
    answered = hooks.ask(method, path, BODY, signed(BODY, "msg_1"))
    assert answered[0] == expected
    assert answered[1] in (b"Not Found", b"Method Not Allowed")
    assert staged(hooks.url) == []


def test_a_compressed_body_is_refused(hooks: Hooks) -> None:
    for coding in ("gzip", "deflate", "br", "gzip, identity"):
        headers = {**signed(BODY, "msg_1"), "content-encoding": coding}
        assert hooks.post(BODY, headers)[0] == 415
    assert hooks.post(BODY, {**signed(BODY, "msg_1"), "content-encoding": "identity"})[0] == 200


def test_the_limit_of_a_source_is_told_to_those_who_can_sign(hooks: Hooks) -> None:
    body = b"x" * 1001
    assert hooks.post(body, signed(body, "msg_1"), "/in/small")[0] == 413
    assert hooks.post(body, signed(body, "msg_1", key=b"other"), "/in/small")[0] == 401
    assert hooks.post(body[:1000], signed(body[:1000], "msg_1"), "/in/small")[0] == 200


async def send_all(port: int, requests: list[bytes], connections: int) -> Counter[int]:
    """Send them over as many kept connections; gives how often each status came."""
    left = list(reversed(requests))
    found: Counter[int] = Counter()

    async def sender() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left:
            writer.write(left.pop())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            found[int(head.split(" ")[1])] += 1
            length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(sender() for _ in range(connections)))
    return found


def test_of_many_deliveries_with_duplicates_each_is_staged_once_and_all_are_answered_200(
    hooks: Hooks,
) -> None:
    numbers = list(range(2_000)) + random.Random(5).choices(range(2_000), k=400) + [7] * 50
    random.Random(6).shuffle(numbers)
    bodies = {n: json.dumps({"id": n, "text": "x" * (n % 700)}).encode() for n in numbers}
    requests = [request(bodies[n], signed(bodies[n], f"msg_{n}")) for n in numbers]
    assert asyncio.run(send_all(hooks.port, requests, 32)) == {200: 2_450}
    found = staged(hooks.url)
    assert len(found) == 2_000
    assert {known_as: raw for _, known_as, raw in found} == {
        f"msg_{n}": body for n, body in bodies.items()
    }
    (writer,) = hooks.receiver.writers()
    assert (writer.written.staged, writer.written.repeated) == (2_000, 450)
    assert writer.written.commits < 2_450 / 4  # many requests share one


def test_fifty_at_once_with_one_id_are_one_row_and_all_are_answered_200(hooks: Hooks) -> None:
    requests = [request(BODY, signed(BODY, "msg_1"))] * 50
    assert asyncio.run(send_all(hooks.port, requests, 50)) == {200: 50}
    assert staged(hooks.url) == [("partner", "msg_1", BODY)]


def test_what_is_written_together_keeps_the_order_in_which_it_came(hooks: Hooks) -> None:
    names = ["first", "z", "a", "m", "b"]
    with psycopg.connect(hooks.url) as holding, ExitStack() as opened:
        holding.execute("lock table penstock.event_ids in access exclusive mode")
        for number, name in enumerate(names, 1):
            one = opened.enter_context(hooks.connect())
            one.sendall(request(BODY, signed(BODY, name)))
            until(partial(serves, hooks, number), "it was read")
        holding.commit()
        until(lambda: hooks.receiver.working == 0, "all are answered")
    assert [known_as for _, known_as, _ in staged(hooks.url)] == names
    (writer,) = hooks.receiver.writers()
    assert writer.written.commits == 2


def serves(hooks: Hooks, number: int) -> bool:
    return hooks.receiver.working == number


def test_two_receivers_of_the_same_deliveries_stage_each_once(ledger_database: Database) -> None:
    async def both(ports: list[int], requests: list[bytes]) -> list[Counter[int]]:
        sent = zip(ports, (requests, requests[::-1]), strict=True)
        return await asyncio.gather(*(send_all(port, ones, 16) for port, ones in sent))

    with receiving(ledger_database.url) as one, receiving(ledger_database.url) as other:
        requests = [request(BODY, signed(BODY, f"msg_{n}")) for n in range(500)]
        answers = asyncio.run(both([one.port, other.port], requests))
    assert list(answers) == [{200: 500}, {200: 500}], one.said + other.said
    assert len(staged(ledger_database.url)) == 500


def test_health_says_that_it_lives_and_ready_that_the_database_answers(hooks: Hooks) -> None:
    assert hooks.ask("GET", "/health")[:2] == (200, b"alive\n")
    assert hooks.ask("GET", "/ready")[:2] == (200, b"ready\n")


def test_without_a_database_nothing_is_accepted_and_the_sender_is_told_to_try_again(
    ledger_database: Database,
) -> None:
    dead = "postgresql://nobody:canary-password@127.0.0.1:1/none"

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(dead)

    with receiving(ledger_database.url, connect=connect) as hooks:
        for _ in range(3):
            code, body, told = hooks.post(BODY, signed(BODY, "msg_1"))
            assert (code, body, told["retry-after"]) == (503, b"try again later\n", "5")
        assert hooks.ask("GET", "/ready")[0] == 503
        assert hooks.ask("GET", "/health")[0] == 200
        assert hooks.post(BODY, {})[0] == 401  # who cannot sign learns nothing of it
        (said,) = hooks.said  # once, however many were refused
        assert said.startswith("Could not write deliveries: connection failed")
        assert "canary" not in said
    assert staged(ledger_database.url) == []


def test_a_fault_is_answered_without_a_word_of_it(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("canary-fault")

    with monkeypatch.context() as patched:
        patched.setattr(app, "delivery_id", fail)
        answered = hooks.post(BODY, signed(BODY, "msg_1"))
        assert answered[:2] == (500, b"fault\n")
    with monkeypatch.context() as patched:
        patched.setattr(app, "verify", fail)
        assert hooks.post(BODY, signed(BODY, "msg_1"))[:2] == (401, b"not accepted\n")
    assert hooks.said == [
        "A request could not be answered: RuntimeError.",
        "A signature could not be verified: RuntimeError.",
    ]
    assert staged(hooks.url) == []
    assert hooks.post(BODY, signed(BODY, "msg_1"))[0] == 200


def test_what_is_acknowledged_is_on_disk_whatever_the_role_says(ledger_database: Database) -> None:
    with ledger_database.connect() as connection:
        connection.execute(
            "do $$ begin execute format('alter database %I set synchronous_commit = off', "
            "current_database()); end $$"
        )
        connection.execute("create table seen (was text)")
        connection.execute(
            "create function see() returns trigger language plpgsql as $$ begin "
            "insert into seen select current_setting('synchronous_commit'); return null; end $$"
        )
        connection.execute(
            "create trigger see after insert on penstock.chunks execute function see()"
        )
    with receiving(ledger_database.url) as hooks:
        assert hooks.post(BODY, signed(BODY, "msg_1"))[0] == 200
    with ledger_database.connect() as connection:
        assert connection.execute("show synchronous_commit").fetchone() == ("off",)
        assert connection.execute("select was from seen").fetchall() == [("on",)]


def test_one_delivery_that_the_database_refuses_does_not_fail_its_neighbours(
    ledger_database: Database,
) -> None:
    with ledger_database.connect() as connection:
        connection.execute(
            "create function refuse() returns trigger language plpgsql as $$ begin "
            "if new.raw = 'poison'::bytea then raise exception 'no' using errcode = '22000'; "
            "end if; return new; end $$"
        )
        connection.execute(
            "create trigger refuse before insert on penstock.events "
            "for each row execute function refuse()"
        )
    bodies = {n: b"poison" if n == 40 else f"good {n}".encode() for n in range(100)}
    requests = [request(body, signed(body, f"msg_{n}")) for n, body in bodies.items()]
    with receiving(ledger_database.url) as hooks:
        assert asyncio.run(send_all(hooks.port, requests, 100)) == {200: 99, 503: 1}
    assert sorted(raw for _, _, raw in staged(ledger_database.url)) == sorted(
        body for body in bodies.values() if body != b"poison"
    )


def test_a_stop_answers_what_was_begun_and_loses_nothing(ledger_database: Database) -> None:
    with (
        receiving(ledger_database.url) as hooks,
        ledger_database.connect() as holding,
        hooks.connect() as one,
        hooks.connect() as idle,
    ):
        holding.execute("begin")
        holding.execute("lock table penstock.event_ids in access exclusive mode")
        one.sendall(request(BODY, signed(BODY, "msg_1")))
        until(lambda: waiting_for_lock(ledger_database), "it waits for the lock")
        half = request(BODY, signed(BODY, "msg_2"))
        idle.sendall(half[:50])
        hooks.begin_stop()
        until(lambda: refuses(hooks), "it accepts nobody")
        assert staged_without_lock(ledger_database) == 0
        holding.execute("commit")
        answer = one.recv(65536)
        assert status(answer) == 200
        assert idle.recv(65536) == b""
    assert staged(ledger_database.url) == [("partner", "msg_1", BODY)]


def waiting_for_lock(database: Database) -> bool:
    with database.connect() as connection:
        found = connection.execute(
            "select 1 from pg_locks l join pg_database d on d.oid = l.database "
            "where d.datname = current_database() and not granted"
        )
        return found.fetchone() is not None


def staged_without_lock(database: Database) -> int:
    with database.connect() as connection:
        row = connection.execute("select count(*) from penstock.chunks").fetchone()
        assert row is not None
        return int(row[0])


def refuses(hooks: Hooks) -> bool:
    try:
        hooks.connect().close()
    except OSError:
        return True
    return False


def test_the_content_is_the_id_where_a_scheme_has_none() -> None:
    source = WebhookSource(name="partner", secret="p.secret", id=None)
    scheme = Scheme(signature="x-sig")
    expected = "#" + hashlib.sha256(BODY).hexdigest()[:32]
    assert delivery_id(scheme, Verified(""), BODY, source) == expected


def test_nothing_secret_is_said(hooks: Hooks) -> None:
    hooks.post(BODY, github_signed(BODY, "d-1"), "/in/code")
    hooks.post(BODY, {"x-hub-signature-256": "sha256=canary"}, "/in/code")
    assert GITHUB_SECRET not in repr(hooks.receiver)
    assert hooks.said == []


def test_a_role_that_may_only_add_to_staging_is_enough(ledger_database: Database) -> None:
    intake = ledger_database.role("intake")
    owner = f"{intake.name}_owner"
    with ledger_database.connect() as connection:
        roles.apply(connection, roles.Roles(owner=owner, ingesters=(intake.name,)))
        try:
            with receiving(intake.url) as hooks:
                assert hooks.post(BODY, signed(BODY, "msg_1"))[0] == 200
                assert hooks.post(BODY, signed(BODY, "msg_1"))[0] == 200
                assert hooks.said == []
            assert staged(ledger_database.url) == [("partner", "msg_1", BODY)]
        finally:
            connection.execute(
                sql.SQL("reassign owned by {} to current_user").format(sql.Identifier(owner))
            )
            connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(intake.name)))
            connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(owner)))
            connection.execute(sql.SQL("drop role {}").format(sql.Identifier(owner)))


class Clock:
    """Seconds, as they are set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_above_a_sources_rate_is_answered_429_and_not_staged(
    ledger_database: Database,
) -> None:
    clock = Clock()
    with receiving(ledger_database.url) as hooks:
        sources = dict(hooks.receiver.sources)
        sources["partner"] = replace(sources["partner"], rate=Rate(0.4, 2, clock))
        hooks.receiver.sources = sources
        for _ in range(10):  # who cannot sign takes nothing of the sender's share
            assert hooks.post(BODY, signed(BODY, "msg_0", key=b"another"))[0] == 401
        answers = [hooks.post(BODY, signed(BODY, f"msg_{n}")) for n in range(4)]
        assert [code for code, _, _ in answers] == [200, 200, 429, 429]
        assert answers[2][1] == b"too many requests\n"
        assert answers[2][2]["retry-after"] == "3"  # 1 / 0.4 = 2.5, in whole seconds
        assert hooks.post(BODY, {})[0] == 401
        assert hooks.post(BODY, signed(BODY, "msg_0"), "/in/small")[0] == 200
        assert hooks.said == ["partner sends more than 0.4 requests a second: it is slowed."]
        clock.now = 2.5
        assert hooks.post(BODY, signed(BODY, "msg_2"))[0] == 200
        assert hooks.receiver.answers[429] == 2
    known_as = [(source, name) for source, name, _ in staged(ledger_database.url)]
    assert known_as == [
        ("partner", "msg_0"), ("partner", "msg_1"), ("small", "msg_0"), ("partner", "msg_2"),
    ]  # fmt: skip
