"""Who gets in, what each may do, and what no answer goes without."""

from __future__ import annotations

import socket
import time

import pytest

from penstock.console import access
from tests.fixtures.postgres import Database
from tests.integration.console.conftest import PASSWORDS, ROLES, Browser

PAGES = ("/", "/runs", "/quarantine", "/quarantine/rows?table=goods", "/events")
#: Path -> who may at least.
MATRIX = {
    **dict.fromkeys(PAGES, "viewer"),
    "/quarantine/export?table=goods&format=csv": "operator",
    "/events/1/0": "operator",
}
ACTIONS = ("/quarantine/discard", "/quarantine/replay", "/events/requeue", "/events/discard")


@pytest.mark.parametrize("path", [*MATRIX, "/runs/abcdef"])
def test_nobody_sees_a_page_without_signing_in(address: str, path: str) -> None:
    answer = Browser(address).get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in?next=/")
    part = Browser(address).client.get(path, headers={"hx-request": "true"})
    assert (part.status_code, part.text) == (204, "")
    assert part.headers["hx-redirect"].startswith("/sign-in")


@pytest.mark.parametrize("path", ACTIONS)
def test_nobody_changes_anything_without_signing_in(address: str, path: str) -> None:
    answer = Browser(address).client.post(path, data={"all": "1", "table": "goods", "note": "x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/")


@pytest.mark.parametrize("name", ROLES)
def test_each_role_sees_and_does_what_it_may(address: str, shop: Database, name: str) -> None:
    order = ("viewer", "operator", "admin")
    browser = Browser(address, name)
    for path, least in MATRIX.items():
        allowed = order.index(ROLES[name]) >= order.index(least)
        status = browser.get(path).status_code
        # The event is not there: who may look is told so, and who may not learns nothing.
        assert status == (403 if not allowed else 400 if path == "/events/1/0" else 200), path
    for path in ACTIONS:
        status = browser.post(path).status_code
        assert status == (403 if name == "vic" else 400), path
    with shop.connect() as connection:
        waiting = connection.execute("select count(*) from penstock.rejects where status='waiting'")
        assert waiting.fetchone() == (3,)


def test_who_only_looks_sees_no_values(address: str) -> None:
    for path in ("/quarantine", "/quarantine/rows?table=goods"):
        seen, hidden = (
            Browser(address, "ola").get(path).text,
            Browser(address, "vic").get(path).text,
        )
        assert "is not a number" in seen
        assert "is not a number" not in hidden
        assert "bolt" not in hidden


def test_a_form_of_another_site_changes_nothing(address: str, shop: Database) -> None:
    browser = Browser(address, "ola")
    form = {"all": "1", "table": "goods", "note": "gone"}
    stranger = Browser(address, "ann").token()
    for token in ("", "x", stranger):
        answer = browser.client.post("/quarantine/discard", data={**form, "csrf": token})
        assert answer.status_code == 403
    foreign = {"sec-fetch-site": "cross-site"}
    own = {**form, "csrf": browser.token()}
    assert browser.client.post("/quarantine/discard", data=own, headers=foreign).status_code == 403
    with shop.connect() as connection:
        found = connection.execute("select status from penstock.rejects").fetchall()
        assert found == [("waiting",)] * 3
        assert connection.execute("select count(*) from penstock.audit").fetchone() == (0,)
    assert browser.client.post("/quarantine/discard", data=own).status_code == 303


@pytest.mark.parametrize("path", ["/", "/sign-in", "/static/console.css", "/nothing", "/health"])
def test_no_answer_goes_without_its_headers(address: str, path: str) -> None:
    headers = Browser(address).get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_no_script_reads_the_cookie_and_its_hash_alone_is_kept(
    address: str, shop: Database
) -> None:
    browser = Browser(address)
    said = browser.sign_in("ann", PASSWORDS["ann"]).headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    token = said.partition("=")[2].partition(";")[0]
    with shop.connect() as connection:
        dump = connection.execute(
            "select (select string_agg(s::text, ' ') from penstock.sessions s) || "
            "(select string_agg(u::text, ' ') from penstock.users u)"
        ).fetchone()
    assert dump is not None
    assert token not in dump[0].lower()
    assert PASSWORDS["ann"] not in dump[0]
    assert "$argon2id$" in dump[0]


def test_signing_out_ends_the_session_also_of_a_copied_cookie(address: str) -> None:
    browser = Browser(address, "vic")
    thief = Browser(address)
    thief.client.cookies.update(browser.client.cookies)
    assert thief.get("/").status_code == 200
    assert browser.post("/sign-out").status_code == 303
    assert thief.get("/").status_code == 303


@pytest.mark.parametrize(
    "changed",
    [
        "update penstock.sessions set seen_at = seen_at - interval '3 hours'",
        "update penstock.sessions set began_at = began_at - interval '13 hours'",
        "update penstock.users set disabled_at = now()",
    ],
)
def test_a_session_ends_by_itself(address: str, shop: Database, changed: str) -> None:
    browser = Browser(address, "vic")
    assert browser.get("/").status_code == 200
    with shop.connect() as connection:
        connection.execute(changed.encode())
    assert browser.get("/").status_code == 303


def test_another_password_ends_the_sessions(address: str, shop: Database) -> None:
    browser = Browser(address, "vic")
    with shop.connect() as connection:
        access.put_user(connection, "vic", "viewer", "another password")
    assert browser.get("/").status_code == 303
    assert Browser(address).sign_in("vic", PASSWORDS["vic"]).status_code == 401
    assert Browser(address).sign_in("vic", "another password").status_code == 303


def test_a_password_cannot_be_guessed_for_long(address: str, shop: Database) -> None:
    browser = Browser(address)
    for _ in range(access.PER_USER):
        assert browser.sign_in("ann", "wrong").status_code == 401
    refused = browser.sign_in("ann", PASSWORDS["ann"])
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) == 900
    assert Browser(address).sign_in("ola", PASSWORDS["ola"]).status_code == 303
    with shop.connect() as connection:
        connection.execute("update penstock.sign_ins set tried_at = tried_at - interval '16 min'")
    assert browser.sign_in("ann", PASSWORDS["ann"]).status_code == 303


def test_an_address_that_tries_many_names_is_stopped(address: str, shop: Database) -> None:
    browser = Browser(address)
    with shop.connect() as connection:
        connection.execute(
            "insert into penstock.sign_ins (user_name, address, succeeded) "
            "select 'somebody ' || n, '127.0.0.1', false from generate_series(2, %s) n",
            [access.PER_ADDRESS],
        )
    assert browser.sign_in("somebody 1", "wrong").status_code == 401
    assert browser.sign_in("ola", PASSWORDS["ola"]).status_code == 429


def test_a_name_that_is_not_there_is_answered_as_a_wrong_password(address: str) -> None:
    browser = Browser(address)
    browser.sign_in("nobody", "wrong")  # both have been done once
    began = time.perf_counter()
    one = browser.sign_in("nobody", "wrong")
    between = time.perf_counter()
    two = browser.sign_in("ann", "wrong")
    ended = time.perf_counter()
    assert (one.status_code, one.text) == (two.status_code, two.text)
    assert 0.2 < (between - began) / (ended - between) < 5, "both compute a hash"


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "x"]
)
def test_nobody_is_led_elsewhere_after_signing_in(address: str, to: str) -> None:
    answer = Browser(address).sign_in("vic", PASSWORDS["vic"], to)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_after_signing_in_one_is_where_one_wanted_to_be(address: str) -> None:
    to = "/quarantine/rows?table=goods"
    assert Browser(address).sign_in("vic", PASSWORDS["vic"], to).headers["location"] == to


def test_a_host_that_is_not_meant_is_refused(address: str) -> None:
    answer = Browser(address).client.get("/sign-in", headers={"host": "evil.example:80"})
    assert answer.status_code == 421
    assert "--name" in answer.text


@pytest.mark.parametrize(
    ("head", "status"),
    [(b"content-length: 1000000000", b"413"), (b"transfer-encoding: chunked", b"411")],
)
def test_what_is_too_large_is_not_read(address: str, head: bytes, status: bytes) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as one:
        one.sendall(b"POST /sign-in HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n\r\n")
        assert one.recv(100).split(b" ")[1] == status


def test_the_book_of_what_was_done_cannot_be_changed_by_loaders(shop: Database) -> None:
    from penstock.ledger.roles import Roles, apply

    loader, reader = shop.role("loader"), shop.role("reader")
    with shop.connect() as connection:
        roles = Roles(owner="postgres", loaders=(loader.name,), readers=(reader.name,))
        apply(connection, roles)
    for role in (loader, reader):
        with shop.connect(role) as connection:
            rights = connection.execute(
                "select has_table_privilege('penstock.audit', 'update, delete, truncate'), "
                "has_table_privilege('penstock.users', 'select'), "
                "has_table_privilege('penstock.sessions', 'select, insert, update')"
            ).fetchone()
            assert rights == (False, False, False)
