"""Whatever is sent to the receiver, it stays within its limits, and honest senders are served."""

from __future__ import annotations

import logging
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from penstock.events.webhooks import batching
from penstock.events.webhooks.limits import Limits
from tests.fixtures.flows import until
from tests.fixtures.postgres import Database
from tests.fixtures.webhooks import Hooks, receiving, request, signed, status, until_closed

BODY = b'{"id": "e-1"}'
HEAD = b"POST /in/partner HTTP/1.1\r\nhost: localhost\r\n"
#: Seconds after which the receivers here give up.
SOON = 0.5


@pytest.fixture(scope="module")
def running(module_database: Database) -> Iterator[Hooks]:
    with receiving(module_database.url, Limits(seconds=SOON, connections=100)) as made:
        yield made


@pytest.fixture
def hooks(running: Hooks, caplog: pytest.LogCaptureFixture) -> Iterator[Hooks]:
    """A receiver that soon gives up; afterwards it is as good as new, and has said nothing."""
    running.empty()
    yield running
    assert running.post(BODY, signed(BODY, "honest"))[0] == 200
    until(lambda: running.receiver.working == 0, "nothing is being answered")
    assert running.receiver.held == 0
    assert running.said == []
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def received(hooks: Hooks) -> list[str]:
    found = hooks.rows("select delivery_id from penstock.events order by 1")
    return [known_as for (known_as,) in found]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"P",
        HEAD,
        HEAD + b"x-slow: ",
        HEAD + b"content-length: 100\r\n\r\n0123456789",
        HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nabc",
        HEAD + b"expect: 100-continue\r\ncontent-length: 100\r\n\r\n",
    ],
)
def test_who_does_not_send_on_is_given_up(hooks: Hooks, sent: bytes) -> None:
    answer = hooks.raw(sent).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert status(answer) == 408


def test_who_sends_a_byte_now_and_then_is_given_up_in_the_same_time(hooks: Hooks) -> None:
    with hooks.connect() as one:
        one.settimeout(SOON / 10)
        dripped = 0
        for dripped in range(200):
            try:
                one.sendall(HEAD[dripped % len(HEAD) :][:1])
                assert status(one.recv(65536)) == 408
                break
            except TimeoutError:
                continue
        assert 3 <= dripped <= 60


def test_a_kept_connection_may_not_be_slow_either(hooks: Hooks) -> None:
    with hooks.connect() as one:
        one.sendall(request(BODY, signed(BODY, "msg_1")) + b"POST /in")
        assert status(one.recv(65536)) == 200
        assert status(until_closed(one)) == 408


def test_a_long_body_is_refused_by_its_length_alone(hooks: Hooks) -> None:
    with hooks.connect() as one:
        one.sendall(HEAD + b"expect: 100-continue\r\ncontent-length: 10485761\r\n\r\n")
        assert status(one.recv(65536)) == 413


@pytest.mark.parametrize("length", [b"10485761", None])
def test_a_long_body_is_refused_while_it_is_read(hooks: Hooks, length: bytes | None) -> None:
    most = 0
    with hooks.connect() as one:
        if length:
            one.sendall(HEAD + b"content-length: " + length + b"\r\n\r\n")
            part = bytes(65536)
        else:
            one.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
            part = b"10000\r\n" + bytes(65536) + b"\r\n"
        answers: list[bytes] = []
        reading = threading.Thread(target=lambda: answers.append(one.recv(65536)))
        reading.start()
        sent = 0
        while not answers and sent < 200:
            try:
                one.sendall(part)
            except OSError:
                break
            sent += 1
            most = max(most, hooks.receiver.held)
        reading.join(10)
        assert status(answers[0]) == 413
    assert most <= (1 << 20) + 2 * 65536 + 256 * 1024


def test_a_body_without_end_is_cut_off(hooks: Hooks) -> None:
    with hooks.connect() as one:
        one.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        with pytest.raises(OSError, match=r"(?i)reset|broken pipe"):  # noqa: PT012
            for _ in range(1_000_000):
                one.sendall(b"1000\r\n" + bytes(4096) + b"\r\n")


@pytest.mark.parametrize("number", [101, 10_000])
def test_too_many_headers_are_refused(hooks: Hooks, number: int) -> None:
    head = HEAD + b"".join(b"h%d: x\r\n" % n for n in range(number)) + b"content-length: 0\r\n\r\n"
    assert status(hooks.raw(head)) == 431


@pytest.mark.parametrize("length", [17_000, 300_000, 5_000_000])
def test_too_long_headers_are_refused(hooks: Hooks, length: int) -> None:
    with hooks.connect() as one:
        try:
            one.sendall(HEAD + b"x-long: " + b"a" * length + b"\r\ncontent-length: 0\r\n\r\n")
        except ConnectionError:
            assert length > 1_000_000  # it was cut off while it was sent
            return
        answer = until_closed(one)
        assert status(answer) == 431 if answer else length > 1_000_000


SMUGGLED = b"POST /in/code HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        b"content-length: 5\r\ncontent-length: 6\r\n",
        b"content-length: -5\r\n",
        b"content-length: 5x\r\n",
        b"content-length: +5\r\n",
        b"content-length: %d\r\n" % 10**30,
        b"transfer-encoding: gzip, chunked\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        b"transfer-encoding : chunked\r\n",
        b"x-folded: a\r\n b\r\n\x00: c\r\n",
        b"x-null: \x00\r\n",
    ],
)
def test_a_request_that_servers_may_read_differently_is_refused_with_all_after_it(
    hooks: Hooks, headers: bytes
) -> None:
    answer = hooks.raw(HEAD + headers + b"\r\n0\r\n\r\n" + SMUGGLED)
    assert 400 <= status(answer) < 500
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower()
    assert received(hooks) == []


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\x00" * 100, b"POST / HTTP/x\r\n\r\n"],
)
def test_what_is_no_http_is_refused(hooks: Hooks, sent: bytes) -> None:
    answer = hooks.raw(sent)
    assert status(answer) in (400, 408)
    assert b"Traceback" not in answer


def test_a_chunk_that_is_none_ends_the_connection(hooks: Hooks) -> None:
    assert status(hooks.raw(HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n")) == 400
    after = b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n"
    with hooks.connect() as one:
        one.sendall(HEAD + after)
        answer = b""
        while not answer.endswith(b"Content-Encoding\n"):
            answer += one.recv(65536)
        assert status(answer) == 415
        one.sendall(b"xyz\r\n")
        assert one.recv(65536) == b""


def test_requests_that_are_sent_at_once_are_answered_in_order(hooks: Hooks) -> None:
    with hooks.connect() as one:
        one.sendall(
            request(BODY, signed(BODY, "msg_1"))
            + request(BODY, {})
            + request(BODY, {"connection": "close", **signed(BODY, "msg_2")})
        )
        answer = until_closed(one)
    assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 401, 200]
    assert received(hooks) == ["msg_1", "msg_2"]


def test_who_leaves_in_the_middle_leaves_nothing(hooks: Hooks) -> None:
    whole = request(BODY, signed(BODY, "msg_1"))
    for end in range(0, len(whole), 7):
        with hooks.connect() as one:
            one.sendall(whole[:end])
    until(lambda: hooks.receiver.working == 0, "all have left")
    assert received(hooks) == []


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process has the senders and the receiver."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_connections_that_wait_do_not_keep_an_honest_sender_out(
    ledger_database: Database,
) -> None:
    limits = Limits(connections=100, seconds=600)
    with receiving(ledger_database.url, limits) as hooks, ExitStack() as opened:
        waiting: list[socket.socket] = []
        for number in range(1_000):
            one = opened.enter_context(hooks.connect())
            one.sendall(HEAD)
            waiting.append(one)
            if number % 100 == 99:
                assert hooks.post(BODY, signed(BODY, f"msg_{number}"))[0] == 200
        assert len(received(hooks)) == 10
        first = waiting[0].recv(65536)
        assert status(first) == 408  # it made way
        waiting[-1].sendall(b"content-length: 0\r\n\r\n")
        assert status(waiting[-1].recv(65536)) == 401  # it did not


def test_when_too_many_are_served_the_next_is_told_when_to_come_again(
    ledger_database: Database,
) -> None:
    with (
        receiving(ledger_database.url, Limits(connections=2)) as hooks,
        ledger_database.connect() as holding,
        hooks.connect() as one,
        hooks.connect() as other,
    ):
        with holding.transaction():
            holding.execute("lock table penstock.event_ids in access exclusive mode")
            one.sendall(request(BODY, signed(BODY, "msg_1")))
            other.sendall(request(BODY, signed(BODY, "msg_2")))
            until(lambda: hooks.receiver.working == 2, "two are being served")
            code, _, told = hooks.post(BODY, signed(BODY, "msg_3"))
            assert (code, told["retry-after"]) == (503, "5")
        assert status(one.recv(65536)) == status(other.recv(65536)) == 200
        assert hooks.post(BODY, signed(BODY, "msg_3"))[0] == 200
    assert received(hooks) == ["msg_1", "msg_2", "msg_3"]


def test_bodies_take_no_more_memory_than_they_may(ledger_database: Database) -> None:
    with (
        receiving(ledger_database.url, Limits(held=100_000)) as hooks,
        hooks.connect() as one,
    ):
        body = b"x" * 60_000
        whole = request(body, signed(body, "msg_1"))
        one.sendall(whole[:-1])
        until(lambda: hooks.receiver.held > 50_000, "it was read")
        assert hooks.post(body, signed(body, "msg_2"))[0] == 503
        one.sendall(whole[-1:])
        assert status(one.recv(65536)) == 200
        assert hooks.post(body, signed(body, "msg_2"))[0] == 200
        assert hooks.receiver.held == 0


def test_when_too_many_deliveries_wait_the_next_is_told_to_come_again(
    ledger_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving(ledger_database.url) as hooks:
        with monkeypatch.context() as patched:
            patched.setattr(batching, "MOST_WAITING", 0)
            assert hooks.post(BODY, signed(BODY, "msg_1"))[0] == 503
            assert hooks.post(BODY, {})[0] == 401
        assert hooks.post(BODY, signed(BODY, "msg_1"))[0] == 200


def test_a_database_that_hangs_is_not_waited_for(ledger_database: Database) -> None:
    limits = Limits(commit_seconds=SOON)
    with receiving(ledger_database.url, limits) as hooks, ledger_database.connect() as holding:
        with holding.transaction():
            holding.execute("lock table penstock.event_ids in access exclusive mode")
            code, _, told = hooks.post(BODY, signed(BODY, "msg_1"))
            assert (code, told["retry-after"]) == (503, "5")
            assert hooks.ask("GET", "/ready")[0] == 503
            assert hooks.ask("GET", "/health")[0] == 200
        assert hooks.post(BODY, signed(BODY, "msg_1"))[0] == 200
    assert received(hooks) == ["msg_1"]
