"""Reading APIs over real HTTP: paging, logins, patience, and answers that are not what they say."""

from __future__ import annotations

import base64
import gzip
import json
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from penstock.connectors.registry import connector
from penstock.connectors.rest.connector import Rest
from penstock.connectors.rest.guard import is_inside
from penstock.errors import ConnectorError, UsageError
from penstock.model.batch import ROW, file_of, record_of
from penstock.model.secret import Secret
from tests.fixtures.api import Api, Asked, Reply

Read = Callable[..., pl.DataFrame]
PEOPLE = [{"id": number, "name": f"P{number}"} for number in range(1, 8)]


def rest(api: Api, page: dict[str, Any] | None = None, **more: Any) -> Rest:
    module = {"path": "/people", "records": "data", **more.pop("module", {})}
    if page is not None:
        module["page"] = page
    settings = {"kind": "rest", "base_url": api.url, "backoff": 0.01, "timeout": 5, **more}
    made = connector("crm", {"modules": {"people": module}, **settings})
    assert isinstance(made, Rest)
    return made


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reads(one: Rest, **options: Any) -> pl.DataFrame:
        try:
            found = one.extract("people", first=0, spool=lambda: tmp_path, **options)
        finally:
            one.close()
        assert found is not None
        return found.frame

    return reads


def everybody(api: Api) -> None:
    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        return {"data": PEOPLE}


def test_pages_by_number_end_at_the_empty_one_even_where_the_api_caps_the_size(
    api: Api, read: Read
) -> None:
    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        number = int(asked.params["page"])
        return {"data": PEOPLE[(number - 1) * 3 : number * 3]}

    found = read(rest(api, {"kind": "page", "size_param": "per_page", "size": 5}))
    assert found["name"].to_list() == [one["name"] for one in PEOPLE]
    assert [one.params for one in api.asked] == [
        {"per_page": "5", "page": str(number)} for number in (1, 2, 3, 4)
    ]
    assert [(file_of(row), record_of(row)) for row in found[ROW]] == [
        (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 1),
    ]  # fmt: skip


def test_pages_by_offset_count_what_came_and_stop_where_the_api_says_so(
    api: Api, read: Read
) -> None:
    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        start = int(asked.params["offset"])
        part = PEOPLE[start : start + 3]
        return {"data": part, "more": start + len(part) < len(PEOPLE)}

    found = read(rest(api, {"kind": "offset", "more": "more", "size": 5}))
    assert found["id"].to_list() == [str(one["id"]) for one in PEOPLE]
    assert [one.params["offset"] for one in api.asked] == ["0", "3", "6"]


def test_pages_by_cursor(api: Api, read: Read) -> None:
    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        start = int(asked.params.get("after", 0))
        paging = {"next": {"after": str(start + 4)}} if start + 4 < len(PEOPLE) else None
        return {"data": PEOPLE[start : start + 4], "paging": paging}

    found = read(rest(api, {"kind": "cursor", "param": "after", "next": "paging.next.after"}))
    assert found["id"].to_list() == [str(one["id"]) for one in PEOPLE]
    assert len(api.asked) == 2


@pytest.mark.parametrize("how", ["link", "next_url"])
def test_pages_by_the_url_of_the_next_one(api: Api, read: Read, how: str) -> None:
    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        start = int(asked.params.get("from", 0))
        url = f"/people?from={start + 5}&q=a%20b" if start == 0 else ""
        links = {"Link": f'<{api.url}{url}>; rel="next", <{api.url}/x>; rel="last"'} if url else {}
        body = {"data": PEOPLE[start : start + 5], "next": url or None}
        return Reply(body, headers=links if how == "link" else {})

    page = {"kind": "link"} if how == "link" else {"kind": "next_url", "next": "next"}
    found = read(rest(api, page, module={"params": {"active": "true"}}))
    assert found["id"].to_list() == [str(one["id"]) for one in PEOPLE]
    assert [one.params for one in api.asked] == [
        {"active": "true"}, {"from": "5", "q": "a b"},
    ]  # fmt: skip


@pytest.mark.parametrize("url", ["/v1/people?page=2", "people?page=2", "?page=2"])
def test_a_next_url_may_be_relative(api: Api, read: Read, url: str) -> None:
    @api.on("GET", "/v1/people")
    def people(asked: Asked) -> Any:
        second = asked.params.get("page") == "2"
        return {"data": PEOPLE[5:] if second else PEOPLE[:5], "next": None if second else url}

    page = {"kind": "next_url", "next": "next"}
    found = read(rest(api, page, base_url=f"{api.url}/v1"))
    assert found["id"].to_list() == [str(one["id"]) for one in PEOPLE]
    assert [one.path for one in api.asked] == ["/v1/people"] * 2


def test_records_are_what_they_are_in_a_json_file(api: Api, tmp_path: Path) -> None:
    text = (
        '[{"id": 12345678901234567890, "price": 0.10, "tags": [1, 2]},'
        ' {"id": 2, "id": 3}, {"price": 1e2, "new": "x"}, 7]'
    )
    pages = {"1": text, "2": '[{"later": true, "id": 9}]', "3": "[]"}

    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        return Reply(pages[asked.params["page"]])

    one = rest(api, {"kind": "page"}, module={"records": ""})
    found = one.extract("people", first=3, spool=lambda: tmp_path)
    one.close()
    assert found is not None
    assert found.frame.drop(ROW).to_dicts() == [
        {"id": "12345678901234567890", "price": "0.10", "tags": "[1, 2]", "new": None,
         "later": None},
        {"id": None, "price": "1e2", "tags": None, "new": "x", "later": None},
        {"id": "9", "price": None, "tags": None, "new": None, "later": "true"},
    ]  # fmt: skip
    assert [one.code for one in found.malformed] == ["duplicate_key", "not_object"]
    assert found.names == ("crm people page 1", "crm people page 2")
    assert [file_of(row) for row in found.frame[ROW]] == [3, 3, 4]


def test_no_record_at_all_is_nothing(api: Api, tmp_path: Path) -> None:
    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        return {"data": []}

    one = rest(api)
    assert one.extract("people", first=0, spool=lambda: tmp_path) is None
    assert one.extract("people", first=0, spool=lambda: tmp_path) is None
    one.close()


class Mark:
    value = "2026-03-29T02:30:00+02:00"


@pytest.mark.parametrize(
    ("since", "overlap", "sent"),
    [
        ("2026-03-01T10:02:00Z", "5m", "2026-03-01T09:57:00Z"),
        (datetime(2026, 3, 1, 0, 0, tzinfo=UTC), "1d", "2026-02-28T00:00:00Z"),
        (Mark(), "1h", "2026-03-29T01:30:00+02:00"),
        ("abc-17", "0s", "abc-17"),
        (1700000000, "0s", "1700000000"),
        (None, "5m", None),
    ],
)
def test_only_what_has_changed_is_read_with_an_overlap(
    api: Api, read: Read, since: Any, overlap: str, sent: str | None
) -> None:
    everybody(api)
    cursor = {"field": "updated_at", "param": "updated_since", "overlap": overlap}
    read(rest(api, module={"cursor": cursor}), since=since, params={"x": 1})
    (asked,) = api.asked
    assert asked.params.get("updated_since") == sent
    assert asked.params["x"] == "1"


def test_what_cannot_be_read_since_then_is_said(api: Api, read: Read) -> None:
    with pytest.raises(UsageError, match="people has no cursor"):
        read(rest(api), since="2026-01-01")
    cursor = {"field": "updated_at", "param": "s", "overlap": "5m"}
    with pytest.raises(UsageError, match="no time, so that overlap 5m cannot"):
        read(rest(api, module={"cursor": cursor}), since="abc")
    with pytest.raises(UsageError, match="there is no module 'firms'; known are people"):
        rest(api).extract("firms", first=0, spool=Path)
    assert api.asked == []


AUTHS = [
    ({"kind": "bearer", "token": "t0p"}, "authorization", "Bearer t0p"),
    (
        {"kind": "basic", "user": "ann", "password": "pä"},
        "authorization",
        "Basic " + base64.b64encode("ann:pä".encode()).decode(),
    ),
    ({"kind": "api_key", "api_key": "k1", "header": "X-Key"}, "x-key", "k1"),
]


@pytest.mark.parametrize(("auth", "header", "value"), AUTHS)
def test_logins(api: Api, read: Read, auth: dict[str, str], header: str, value: str) -> None:
    everybody(api)
    read(rest(api, auth=auth))
    assert api.asked[0].headers[header] == value


def test_a_key_in_the_query_is_sent_and_not_shown(api: Api, read: Read) -> None:
    auth = {"kind": "api_key", "api_key": Secret("k2-hidden"), "query": "api_token"}
    api.faults = [Reply({"message": "k2-hidden is no key"}, 403)]
    with pytest.raises(ConnectorError) as caught:
        read(rest(api, auth=auth))
    assert api.asked[0].params == {"api_token": "k2-hidden"}
    assert caught.value.message == "crm: GET /people answered 403: *** is no key"
    assert caught.value.code == "403"


def token_server(api: Api, life: Any = 3600) -> list[str]:
    given: list[str] = []

    @api.on("POST", "/token")
    def token(asked: Asked) -> Any:
        if asked.body["client_secret"] != ["s3cret"]:
            return Reply({"error": "invalid_client", "error_description": "not s3cret"}, 401)
        given.append(f"T{len(given) + 1}")
        return {"access_token": given[-1], "expires_in": life, "token_type": "bearer"}

    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        if asked.headers["authorization"] != f"Bearer {given[-1]}" or "revoked" in given:
            return Reply({"message": "expired token"}, 401)
        return {"data": PEOPLE, "next": asked.params.get("next")}

    return given


def oauth(api: Api, **more: str) -> dict[str, str]:
    login = {"kind": "oauth2", "token_url": f"{api.url}/token", "client_id": "me"}
    return login | {"secret": "s3cret", **more}


def test_a_token_is_fetched_once_and_again_after_a_401(
    api: Api, read: Read, tmp_path: Path
) -> None:
    given = token_server(api)
    one = rest(api, auth=oauth(api, scope="crm.read"))
    read(one)
    read(one)
    assert given == ["T1"]
    assert api.asked[0].body == {
        "grant_type": ["client_credentials"],
        "client_id": ["me"],
        "client_secret": ["s3cret"],
        "scope": ["crm.read"],
    }
    api.faults = [Reply({"message": "expired token"}, 401)]
    read(one)
    assert api.fired == 1
    assert given == ["T1", "T2"]
    api.faults = [Reply({"message": "no"}, 401), None, Reply({"message": "no: T3"}, 401)]
    with pytest.raises(ConnectorError, match=r"answered 401: no: \*\*\*"):
        read(one)
    assert api.fired == 3


def test_a_token_is_renewed_before_it_ends(api: Api, read: Read) -> None:
    given = token_server(api, life=0)
    one = rest(api, auth=oauth(api))
    read(one)
    read(one)
    assert given == ["T1", "T2"]


def test_a_refused_client_is_said_without_the_secret(api: Api, read: Read) -> None:
    token_server(api)
    with pytest.raises(ConnectorError) as caught:
        read(rest(api, auth=oauth(api, secret="wrong-one")))
    assert caught.value.code == "token"
    assert "no token" in caught.value.message
    assert "wrong-one" not in caught.value.message


def test_a_token_server_that_is_busy_is_waited_for(api: Api, read: Read) -> None:
    given = token_server(api)
    api.faults = [Reply({"error": "busy"}, 503), Reply({"error": "busy"}, 500)]
    assert read(rest(api, auth=oauth(api))).height == len(PEOPLE)
    assert api.fired == 2
    assert given == ["T1"]


def test_it_waits_as_long_as_the_api_says(api: Api, read: Read) -> None:
    everybody(api)
    due = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
    api.faults = [
        Reply({"message": "slow down"}, 429, {"Retry-After": "1"}),
        Reply("busy", 503, {"Retry-After": due}, kind="text/plain"),
    ]
    began = time.monotonic()
    assert read(rest(api)).height == len(PEOPLE)
    assert time.monotonic() - began >= 1.0
    assert api.fired == 2
    assert len(api.asked) == 3


@pytest.mark.parametrize(
    "fault",
    [
        Reply({"m": 1}, 500),
        Reply({"m": 1}, 504),
        Reply(drop=True),
        Reply({"data": PEOPLE}, cut=True),
    ],
    ids=["500", "504", "dropped", "cut"],
)
def test_a_fault_that_passes_is_no_fault(api: Api, read: Read, fault: Reply) -> None:
    everybody(api)
    api.faults = [fault]
    assert read(rest(api)).height == len(PEOPLE)
    assert api.fired == 1


def test_no_answer_is_tried_again_and_then_said(api: Api, read: Read) -> None:
    api.faults = [Reply(silent=True), Reply(silent=True)]
    with pytest.raises(
        ConnectorError, match=r"no answer within 0\.2 s \(tried 2 times\)"
    ) as caught:
        read(rest(api, timeout=0.2, retries=1))
    assert caught.value.code == "timeout"
    assert api.fired == 2


def test_patience_ends(api: Api, read: Read) -> None:
    api.faults = [Reply({"message": "daily limit"}, 429, {"Retry-After": "7200"})]
    with pytest.raises(ConnectorError, match=r"daily limit .*it asks to wait 7,200 s"):
        read(rest(api))
    api.faults = [Reply({"message": "broken"}, 500)] * 3
    with pytest.raises(ConnectorError, match=r"answered 500: broken \(tried 3 times\)"):
        read(rest(api, retries=2))
    assert len(api.asked) == 4


def test_a_refusal_is_not_tried_again(api: Api, read: Read) -> None:
    said = {"errors": [{"detail": "no field\n'nmae'", "code": 7}]}
    api.faults = [Reply(said, 400)]
    with pytest.raises(ConnectorError, match=r"answered 400: no field 'nmae'$"):
        read(rest(api))
    assert len(api.asked) == 1


def test_a_server_that_is_not_there_is_said(api: Api, read: Read) -> None:
    with pytest.raises(ConnectorError, match="tried 2 times") as caught:
        read(rest(api, base_url="http://127.0.0.1:1/v1", retries=1))
    assert caught.value.code == "connect"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, signed by itself, with its key; `ca.pem` beside it is the certificate alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = made.public_bytes(serialization.Encoding.PEM)
    plain = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "ca.pem").write_bytes(text)
    path = tmp_path / "server.pem"
    path.write_bytes(text + plain)
    return path


def test_a_certificate_that_is_not_trusted_ends_it_and_one_that_is_does_not(
    certificate: Path, read: Read
) -> None:
    api = Api(certificate)
    try:
        everybody(api)
        with pytest.raises(
            ConnectorError, match=r"certificate verify failed.*tried once"
        ) as caught:
            read(rest(api))
        assert caught.value.code == "certificate"
        assert "ca_file" in caught.value.advice
        assert api.asked == []
        assert read(rest(api, ca_file=str(certificate.parent / "ca.pem"))).height == len(PEOPLE)
        with pytest.raises(ConnectorError, match="there is no file"):
            read(rest(api, ca_file="gone.pem"))
    finally:
        api.stop()


BAD = [
    (Reply("<html><body>log in</body></html>", kind="text/html"), "html", "a page for people"),
    (Reply("  <!doctype html>", kind="application/json"), "html", "a page for people"),
    (Reply("id,name", kind="text/csv"), "content_type", "the answer is text/csv"),
    (Reply('{"data": [{"id": 1}, {"i'), "json", "perhaps cut off"),
    (Reply(b'{"data": ["\xff\xfe"]}'), "json", "no JSON"),
    (Reply(""), "empty", "is empty"),
    (Reply(None, 204), "empty", "is empty"),
    (
        Reply({"items": [], "message": "moved"}),
        "records",
        "has no data; it has items, message, and says: moved",
    ),
    (Reply({"data": {"id": 1}}), "records", "no list at data"),
    (Reply("[1]"), "records", "has no data; it is a list"),
]


@pytest.mark.parametrize(("reply", "code", "said"), BAD)
def test_answers_that_are_not_what_was_declared(
    api: Api, read: Read, reply: Reply, code: str, said: str
) -> None:
    api.faults = [reply]
    with pytest.raises(ConnectorError, match=said) as caught:
        read(rest(api))
    assert caught.value.code == code
    assert caught.value.message.startswith("crm: people page 1")
    assert len(api.asked) == 1


def test_an_answer_that_is_cut_every_time_is_an_error(api: Api, read: Read) -> None:
    api.faults = [Reply({"data": PEOPLE}, cut=True)] * 2
    with pytest.raises(ConnectorError, match="tried 2 times"):
        read(rest(api, retries=1))
    assert api.fired == 2


def test_an_answer_that_is_too_large_is_not_taken(api: Api, read: Read) -> None:
    api.faults = [Reply({"data": ["x" * 5000]})]
    with pytest.raises(ConnectorError, match="more than 1,000 bytes") as caught:
        read(rest(api, max_bytes=1000))
    assert caught.value.code == "too_large"


def test_an_answer_without_an_end_is_not_waited_for(api: Api, read: Read) -> None:
    api.faults = [Reply(b" ", endless=True)]
    with pytest.raises(ConnectorError, match=r"not answered whole within 0.2 s"):
        read(rest(api, max_seconds=0.2))
    api.faults = [Reply(b"[" * 10_000, endless=True)]
    with pytest.raises(ConnectorError, match="more than 100,000 bytes"):
        read(rest(api, max_bytes=100_000))
    assert api.fired == 2


def test_an_answer_that_unpacks_to_more_is_not_unpacked(api: Api, read: Read) -> None:
    bomb = gzip.compress(b"[" + b" " * (200 << 20))
    api.faults = [Reply(bomb, headers={"Content-Encoding": "gzip"})]
    tracemalloc.start()
    try:
        with pytest.raises(ConnectorError, match="more than 1,000,000 bytes"):
            read(rest(api, max_bytes=1_000_000))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert api.fired == 1
    assert most < 20 << 20


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1"])
def test_a_name_that_leads_inside_is_not_followed(api: Api, read: Read, host: str) -> None:
    everybody(api)
    url = api.url.replace("127.0.0.1", host)
    login = {"kind": "bearer", "token": "t0p"}
    with pytest.raises(ConnectorError, match=r"leads to 127\.0\.0\.1") as caught:
        read(rest(api, base_url=url, insecure=True, auth=login))
    assert caught.value.code == "private"
    assert api.asked == [], "nothing was sent"
    assert read(rest(api, base_url=url, insecure=True, private=True)).height == len(PEOPLE)


def test_a_token_is_not_asked_for_inside(api: Api, read: Read) -> None:
    everybody(api)
    token_server(api)
    inside = api.url.replace("127.0.0.1", "127.1") + "/token"
    with pytest.raises(ConnectorError, match="leads to"):
        read(rest(api, auth=oauth(api, token_url=inside), insecure=True))
    assert api.asked == []


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("127.0.0.1", True), ("10.1.2.3", True), ("192.168.0.1", True), ("172.31.0.1", True),
        ("169.254.169.254", True), ("100.64.0.1", True), ("0.1.2.3", True), ("224.0.0.1", True),
        ("::1", True), ("fe80::1%eth0", True), ("fd00::1", True), ("::ffff:10.0.0.1", True),
        ("64:ff9b::7f00:1", True), ("2002:7f00:1::", True), ("::", True),
        ("93.184.216.34", False), ("2606:2800:220:1::1", False), ("::ffff:8.8.8.8", False),
    ],
)  # fmt: skip
def test_which_addresses_are_inside(address: str, *, inside: bool) -> None:
    assert is_inside(address) is inside


def test_circles_are_noticed(api: Api, read: Read) -> None:
    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        return {"data": [{"id": len(api.asked)}], "after": "same"}

    with pytest.raises(ConnectorError, match="page 3 is the same as one before") as caught:
        read(rest(api, {"kind": "cursor", "param": "after", "next": "after"}))
    assert caught.value.code == "loop"
    assert len(api.asked) == 2


def test_a_parameter_that_the_api_does_not_know_is_noticed(api: Api, read: Read) -> None:
    everybody(api)
    with pytest.raises(ConnectorError, match="page 2 has the same records as the page before"):
        read(rest(api, {"kind": "page", "param": "seite"}))


def test_pages_have_a_bound(api: Api, read: Read) -> None:
    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        return {"data": [{"id": len(api.asked)}]}

    with pytest.raises(ConnectorError, match="more than 3 pages"):
        read(rest(api, {"kind": "page"}, max_pages=3))
    assert len(api.asked) == 3


def test_credentials_go_to_no_other_host(api: Api, read: Read) -> None:
    other = Api()
    try:
        for reply, page in (
            (Reply(None, 302, {"Location": f"{other.url}/people"}), None),
            (
                Reply({"data": PEOPLE, "next": f"{other.url}/p"}),
                {"kind": "next_url", "next": "next"},
            ),
            (
                Reply({"data": PEOPLE}, headers={"Link": f'<{other.url}/p>; rel="next"'}),
                {"kind": "link"},
            ),
        ):
            api.faults = [reply]
            with pytest.raises(ConnectorError, match="the API leads to") as caught:
                read(rest(api, page, auth={"kind": "bearer", "token": "t0p"}))
            assert caught.value.code == "other_host"
        assert other.asked == []
    finally:
        other.stop()


def test_redirects_on_the_same_host_are_followed_and_end(api: Api, read: Read) -> None:
    everybody(api)
    api.faults = [Reply(None, 301, {"Location": "/people?old=1"})]
    assert read(rest(api)).height == len(PEOPLE)
    assert api.asked[1].params == {"old": "1"}
    api.faults = [Reply(None, 302, {"Location": "/people"})] * 9
    with pytest.raises(ConnectorError, match="redirects more than 5 times"):
        read(rest(api))


def test_requests_keep_their_rate(api: Api, read: Read) -> None:
    @api.on("GET", "/people")
    def people(asked: Asked) -> Any:
        return {"data": [{"id": len(api.asked)}] if len(api.asked) < 4 else []}

    began = time.monotonic()
    read(rest(api, {"kind": "page"}, rate=20))
    assert len(api.asked) == 4
    assert time.monotonic() - began >= 3 / 20


def test_check_reads_the_first_page_of_each_module(api: Api) -> None:
    everybody(api)
    one = rest(api)
    assert [(step.what, step.ok, step.says) for step in one.check()] == [
        ("read people", True, "7 records on the first page")
    ]
    api.faults = [Reply({"message": "bad token"}, 401)]
    (step,) = one.check()
    assert (step.ok, step.says) == (False, "crm: GET /people answered 401: bad token")
    assert step.advice == "Check auth: the login is refused."
    one.close()


def test_every_mistake_in_the_settings_is_listed() -> None:
    settings = {
        "kind": "rest",
        "base_url": "http://crm.example.com/v1",
        "retrys": 3,
        "auth": {"kind": "oauth2", "token_url": "http://crm.example.com/t", "client_id": "x"},
        "modules": {
            "a": {"path": "/a", "page": {"kind": "pages"}, "cursor": {"field": "x", "param": "y",
                  "overlap": "soon"}},
            "b": {},
            "c": {"upsert": {"path": "/c/{id}", "size": 10, "methode": "PUT"}},
            "d": {"create": {"path": "/d", "size": 0, "method": "FETCH"}},
        },
    }  # fmt: skip
    with pytest.raises(UsageError) as caught:
        connector("crm", settings)
    told = caught.value.message
    for part in (
        "crm: there is no setting retrys; retries?",
        "crm.auth: secret is missing",
        "crm.modules.a.page: there is no kind 'pages'",
        "overlap must be such as 30s",
        "crm.modules.b: it has neither a path to read nor a way to write",
        "crm.modules.c.upsert: there is no setting methode; method?",
        "size must be 1 or more",
        "method must be one of",
    ):
        assert part in told, told


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://crm.example.com", "not encrypted"),
        ("https://me:pw@crm.example.com", "must not hold a login"),
        ("crm.example.com", "must be a URL"),
        ("https://crm.example.com?a=1", "must not have a query"),
    ],
)
def test_base_urls_that_are_none(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        connector("crm", {"kind": "rest", "base_url": url})
    assert "pw" not in caught.value.message
    assert connector("crm", {"kind": "rest", "base_url": "http://c.example.com", "insecure": True})


def test_what_is_asked_names_itself_and_wants_json(api: Api, read: Read) -> None:
    everybody(api)
    read(rest(api, headers={"X-Tenant": "7"}))
    headers = api.asked[0].headers
    assert (headers["accept"], headers["user-agent"]) == ("application/json", "penstock")
    assert headers["x-tenant"] == "7"
    assert json.dumps(headers)
