"""Signatures made by hand with the standard library are found right, and everything else is not."""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import UsageError
from penstock.events.sources import WebhookSource
from penstock.events.webhooks import signatures
from penstock.events.webhooks.schemes import GITHUB, STANDARD, STRIPE, Scheme, check_secrets
from penstock.events.webhooks.signatures import Verified, delivery_id, verify
from penstock.model.secret import Secret

NOW = 1_763_000_000.5
KEY = bytes(range(24))
WHSEC = "whsec_" + base64.b64encode(KEY).decode()
BODY = b'{"type": "order.paid", "id": "evt_7",\r\n "total": 12.50}'
OTHER = Secret("whsec_" + base64.b64encode(b"another key of twenty-four").decode())
#: As Slack does: a version, the time and the body, between colons.
SLACK = Scheme(
    signature="x-slack-signature",
    timestamp="x-slack-request-timestamp",
    prefix="v0=",
    signed="v0:{timestamp}:{body}",
)

Headers = list[tuple[bytes, bytes]]


def sha256(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def standard(body: bytes = BODY, at: str = "1763000000", key: bytes = KEY) -> Headers:
    made = base64.b64encode(sha256(key, b"msg_1." + at.encode() + b"." + body))
    return [
        (b"host", b"localhost"),
        (b"webhook-id", b"msg_1"),
        (b"webhook-timestamp", at.encode()),
        (b"webhook-signature", b"v1," + made),
    ]


def github(body: bytes = BODY, key: bytes = b"It's a secret") -> Headers:
    return [
        (b"X-GitHub-Delivery", b"72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        (b"X-Hub-Signature-256", b"sha256=" + sha256(key, body).hex().encode()),
    ]


def stripe(body: bytes = BODY, at: str = "1763000000", key: bytes = b"whsec_raw") -> Headers:
    made = sha256(key, at.encode() + b"." + body).hex()
    return [(b"stripe-signature", f"t={at},v1={made},v0={'0' * 64}".encode())]


def slack(body: bytes = BODY, at: str = "1763000000", key: bytes = b"s3cret") -> Headers:
    made = sha256(key, b"v0:" + at.encode() + b":" + body).hex()
    return [
        (b"x-slack-request-timestamp", at.encode()),
        (b"x-slack-signature", f"v0={made}".encode()),
    ]


SIGNED: list[tuple[Scheme, Any, Secret, str]] = [
    (STANDARD, standard, Secret(WHSEC), "msg_1"),
    (GITHUB, github, Secret("It's a secret"), "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
    (STRIPE, stripe, Secret("whsec_raw"), ""),
    (SLACK, slack, Secret("s3cret"), ""),
]
EVERY = pytest.mark.parametrize(
    ("scheme", "sign", "secret", "known_as"), SIGNED, ids=["standard", "github", "stripe", "hmac"]
)
TIMED = [case for case in SIGNED if case[0].timestamp]


@EVERY
def test_what_was_signed_is_verified(
    scheme: Scheme, sign: Any, secret: Secret, known_as: str
) -> None:
    assert verify(scheme, sign(), BODY, [secret], NOW) == Verified(known_as)
    assert verify(scheme, sign(b""), b"", [secret], NOW) == Verified(known_as)


def test_the_documented_signature_of_github_is_verified() -> None:
    # From "Validating webhook deliveries": secret, payload and result.
    headers = [
        (b"x-github-delivery", b"1"),
        (
            b"x-hub-signature-256",
            b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ),
    ]
    secret = Secret("It's a Secret to Everybody")
    assert verify(GITHUB, headers, b"Hello, World!", [secret], NOW) == Verified("1")


@EVERY
def test_a_secret_is_good_while_it_is_one_of_two(
    scheme: Scheme, sign: Any, secret: Secret, known_as: str
) -> None:
    assert verify(scheme, sign(), BODY, [OTHER, secret], NOW) == Verified(known_as)
    assert verify(scheme, sign(), BODY, [secret, OTHER], NOW) == Verified(known_as)
    assert verify(scheme, sign(), BODY, [OTHER], NOW) is None
    assert verify(scheme, sign(), BODY, [OTHER, OTHER, secret], NOW) is None


@EVERY
@given(place=st.integers(0, len(BODY) - 1), bit=st.integers(0, 7))
def test_a_body_with_one_bit_changed_is_refused(
    scheme: Scheme, sign: Any, secret: Secret, known_as: str, place: int, bit: int
) -> None:
    body = bytearray(BODY)
    body[place] ^= 1 << bit
    assert verify(scheme, sign(), bytes(body), [secret], NOW) is None


@EVERY
@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"order.paid","id":"evt_7","total":12.5}',  # parsed and written again
        BODY.replace(b"\r\n", b"\n"),
        BODY + b"\n",
        BODY[:-1],
        b"",
    ],
)
def test_a_body_written_otherwise_is_refused(
    scheme: Scheme, sign: Any, secret: Secret, known_as: str, body: bytes
) -> None:
    assert verify(scheme, sign(), body, [secret], NOW) is None


@EVERY
def test_each_of_its_headers_is_needed_once(
    scheme: Scheme, sign: Any, secret: Secret, known_as: str
) -> None:
    names = {scheme.signature, scheme.id, scheme.timestamp} - {""}
    for name in names:
        found = [one for one in sign() if one[0].lower().decode() == name]
        others = [one for one in sign() if one[0].lower().decode() != name]
        assert len(found) == 1
        assert verify(scheme, others, BODY, [secret], NOW) is None
        assert verify(scheme, [*others, *found, *found], BODY, [secret], NOW) is None
        empty = [*others, (name.encode(), b"")]
        assert verify(scheme, empty, BODY, [secret], NOW) is None
    assert verify(scheme, [], BODY, [secret], NOW) is None


@EVERY
@given(change=st.data())
def test_a_header_with_one_byte_changed_is_refused(
    scheme: Scheme, sign: Any, secret: Secret, known_as: str, change: Any
) -> None:
    headers = sign()
    named = [n for n, (key, _) in enumerate(headers) if key.lower() == scheme.signature.encode()]
    name, value = headers[named[0]]
    # v0= of Stripe is another signature, which nobody looks at; case of hex digits means nothing.
    end = value.find(b",v0=") if scheme is STRIPE else len(value)
    place = change.draw(st.integers(0, end - 1))
    byte = change.draw(st.integers(0, 255))
    changed = value[:place] + bytes([byte]) + value[place + 1 :]
    if changed.lower() == value.lower() or changed.strip(b" \t") == value:
        return
    headers[named[0]] = (name, changed)
    assert verify(scheme, headers, BODY, [secret], NOW) is None


@EVERY
@given(value=st.binary(max_size=100))
def test_no_bytes_in_a_header_are_an_error(
    scheme: Scheme, sign: Any, secret: Secret, known_as: str, value: bytes
) -> None:
    for name in {scheme.signature, scheme.timestamp} - {""}:
        headers = [(k, value if k.lower().decode() == name else v) for k, v in sign()]
        assert verify(scheme, headers, BODY, [secret], NOW) is None


def signature(value: bytes) -> Headers:
    return [*standard()[:-1], (b"webhook-signature", value)]


RIGHT = standard()[-1][1]


@pytest.mark.parametrize(
    "value",
    [
        b"v1," + base64.b64decode(RIGHT[3:]).hex().encode(),  # hex instead of base64
        RIGHT[:-4],
        RIGHT[:-1],  # without its padding
        RIGHT[3:],  # without its version
        b"v1," + RIGHT,
        b"v0," + RIGHT[3:],
        b"v1a," + RIGHT[3:],
        b"v1," + RIGHT[3:].lower(),
        b"v1, " + RIGHT[3:],
        "v1,é".encode(),
        b"v1,\xff\xfe",
        b"v1,",
        b"\x00",
    ],
)
def test_a_signature_that_is_written_otherwise_is_refused(value: bytes) -> None:
    assert verify(STANDARD, signature(value), BODY, [Secret(WHSEC)], NOW) is None


def test_one_right_signature_among_several_will_do() -> None:
    wrong = b"v1," + base64.b64encode(bytes(32))
    for value in (wrong + b" " + RIGHT, b"v1a,xyz " + RIGHT + b" " + wrong):
        assert verify(STANDARD, signature(value), BODY, [Secret(WHSEC)], NOW) == Verified("msg_1")
    value = b" ".join([wrong] * 300)
    assert verify(STANDARD, signature(value), BODY, [Secret(WHSEC)], NOW) is None


def test_where_one_signature_is_expected_several_are_refused() -> None:
    headers = github()
    headers[1] = (headers[1][0], headers[1][1] + b" " + headers[1][1])
    assert verify(GITHUB, headers, BODY, [Secret("It's a secret")], NOW) is None


def test_hexadecimal_digits_may_be_of_either_case() -> None:
    headers = [(n, v.replace(v[7:], v[7:].upper())) for n, v in github()[1:]]
    headers.append(github()[0])
    assert verify(GITHUB, headers, BODY, [Secret("It's a secret")], NOW) is not None


@pytest.mark.parametrize(("scheme", "sign", "secret", "known_as"), TIMED)
@pytest.mark.parametrize(
    ("seconds", "good"), [(-301, False), (-299, True), (299, True), (301, False), (0, True)]
)
def test_the_window_is_symmetric(
    scheme: Scheme, sign: Any, secret: Secret, known_as: str, seconds: int, good: bool
) -> None:
    headers = sign(at=str(1_763_000_000 + seconds))
    assert (verify(scheme, headers, BODY, [secret], 1_763_000_000.0) is not None) is good
    narrow = verify(scheme, headers, BODY, [secret], 1_763_000_000.0, tolerance=1.0)
    assert (narrow is not None) is (seconds == 0)


@pytest.mark.parametrize(("scheme", "sign", "secret", "known_as"), TIMED)
@pytest.mark.parametrize(
    "at",
    [
        *("", "now", "NaN", "nan", "inf", "1e400", "1.763e9", "1763000000.5", "-1763000000"),
        *(
            "+1763000000",
            "1763000000000",
            "9" * 5000,
            "0x691525c0",
            "1_763_000_000",
            "\u0661\u0667\u0666\u0663",
        ),
        *("1763000000 ", "1763000000\x00", "-1", "0"),
    ],
)
def test_a_time_that_is_none_is_refused_although_it_was_signed(
    scheme: Scheme, sign: Any, secret: Secret, known_as: str, at: str
) -> None:
    headers = sign(at=at)
    if at == "1763000000 " and scheme is not STRIPE:  # blanks around a value are HTTP's
        headers = [(n, v.replace(at.encode(), at.encode() + b"x")) for n, v in headers]
    assert verify(scheme, headers, BODY, [secret], NOW) is None


def test_a_clock_that_is_no_number_lets_nothing_in() -> None:
    assert verify(STANDARD, standard(), BODY, [Secret(WHSEC)], float("nan")) is None


def test_two_times_of_one_signature_are_refused() -> None:
    ((name, value),) = stripe()
    for added in (b"t=1763000000," + value, value + b",t=1"):
        assert verify(STRIPE, [(name, added)], BODY, [Secret("whsec_raw")], NOW) is None


@pytest.mark.parametrize("known", [b"", b"msg 1", b"msg.1", b"m\xc3\xa9", b"\x00", b"m" * 256])
def test_an_id_that_is_none_is_refused_although_it_was_signed(known: bytes) -> None:
    made = base64.b64encode(sha256(KEY, known + b".1763000000." + BODY))
    headers = [
        (b"webhook-id", known),
        (b"webhook-timestamp", b"1763000000"),
        (b"webhook-signature", b"v1," + made),
    ]
    assert verify(STANDARD, headers, BODY, [Secret(WHSEC)], NOW) is None


def test_one_signature_does_not_do_for_two_requests() -> None:
    made = base64.b64encode(sha256(KEY, b"a.1763000000.1763000000.x"))
    rest = [(b"webhook-timestamp", b"1763000000"), (b"webhook-signature", b"v1," + made)]
    secrets = [Secret(WHSEC)]
    honest = [(b"webhook-id", b"a"), *rest]
    assert verify(STANDARD, honest, b"1763000000.x", secrets, NOW) == Verified("a")
    assert verify(STANDARD, [(b"webhook-id", b"a.1763000000"), *rest], b"x", secrets, NOW) is None


@pytest.mark.parametrize("written", [WHSEC, WHSEC.removeprefix("whsec_"), WHSEC.rstrip("=")])
def test_a_secret_may_be_written_with_or_without_prefix_and_padding(written: str) -> None:
    check_secrets(STANDARD, [Secret(written)])
    assert verify(STANDARD, standard(), BODY, [Secret(written)], NOW) is not None


@pytest.mark.parametrize(
    ("scheme", "written", "said"),
    [
        (STANDARD, [], "has 0"),
        (STANDARD, [WHSEC] * 3, "has 3"),
        (STANDARD, [""], "Secret 1 of the webhook is empty"),
        (STANDARD, [WHSEC, "whsec_"], "Secret 2 of the webhook is not base64"),
        (STANDARD, ["whsec_===="], "not base64"),
        (STANDARD, ["whsec_s3cret!"], "not base64"),
        (STANDARD, ["whsec_é"], "not base64"),
        (GITHUB, [" \n"], "is empty"),
        (STRIPE, ["right", ""], "Secret 2 of the webhook is empty"),
    ],
)
def test_a_secret_that_proves_nothing_is_refused(
    scheme: Scheme, written: list[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        check_secrets(scheme, [Secret(one) for one in written])
    assert not any(len(one) > 8 and one in str(raised.value) for one in written)


@pytest.mark.parametrize("written", ["", "whsec_", "whsec_=", "whsec_!"])
def test_an_empty_secret_verifies_nothing(written: str) -> None:
    assert verify(STANDARD, standard(key=b""), BODY, [Secret(written)], NOW) is None
    assert verify(GITHUB, github(key=b""), BODY, [Secret("")], NOW) is None
    assert verify(GITHUB, github(key=b""), BODY, [], NOW) is None


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"signature": ""}, "signature=''"),
        ({"signature": "x sig"}, "header's name"),
        ({"signature": "x-sig\r\n"}, "header's name"),
        ({"id": "ïd"}, "header's name"),
        ({"encoding": "base32"}, "'hex' or 'base64'"),
        ({"secret": "hex"}, "'text' or 'base64'"),
        ({"signed": "{timestamp}.{body}"}, "not signed proves nothing"),
        ({"timestamp": "x-time"}, "not signed proves nothing"),
        ({"timestamp": "x-time", "signed": "{timestamp}"}, "must have {body}"),
        ({"timestamp": "x-time", "signed": "{timestamp}{body}"}, "between the names"),
        ({"signed": "{id}.{body}"}, "name its header"),
        ({"signed": "{body}{body}"}, "each once"),
        ({"signed": "{url}.{body}"}, "each once"),
        ({"signed": "{body!r}"}, "names only"),
        ({"signed": "{body:>9}"}, "names only"),
        ({"signed": "{body"}, "signed="),
        ({"signed": "{}"}, "each once"),
    ],
)
def test_a_scheme_that_does_not_fit_together_is_refused(
    declared: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        Scheme(**{"signature": "x-sig", **declared})


def test_a_scheme_of_ones_own_may_sign_in_any_order() -> None:
    own = Scheme(
        signature="X-Sig", id="X-Id", timestamp="X-Time", encoding="base64",
        signed="{{{body}|{timestamp}|{id}}}",
    )  # fmt: skip
    made = base64.b64encode(sha256(b"key", b"{" + BODY + b"|1763000000|n-1}"))
    headers = [(b"x-sig", made), (b"x-id", b"n-1"), (b"x-time", b"1763000000")]
    assert verify(own, headers, BODY, [Secret("key")], NOW) == Verified("n-1")
    headers[1] = (b"x-id", b"n|1")
    assert verify(own, headers, BODY, [Secret("key")], NOW) is None


@pytest.mark.parametrize(
    ("scheme", "known", "body", "expected"),
    [
        (STANDARD, "msg_1", BODY, "msg_1"),
        (STRIPE, "", BODY, "evt_7"),
        (STRIPE, "", b'{"id": ""}', "#"),
        (STRIPE, "", b'["id"]', "#"),
        (STRIPE, "", b"{", "#"),
        (STRIPE, "", b"\xff\xfe", "#"),
        (STRIPE, "", b"[" * 200_000, "#"),
        (STRIPE, "", b'{"id":' * 100_000, "#"),
        (SLACK, "", BODY, "evt_7#"),
        (SLACK, "", b"{}", "#"),
    ],
)
def test_the_delivery_id_is_that_of_the_header_of_the_body_or_its_hash(
    scheme: Scheme, known: str, body: bytes, expected: str
) -> None:
    if expected.endswith("#"):
        expected += hashlib.sha256(body).hexdigest()[:32]
    source = WebhookSource(name="partner", secret="partner.secret")
    assert delivery_id(scheme, Verified(known), body, source) == expected


def test_signatures_are_compared_in_constant_time_only() -> None:
    tree = ast.parse(Path(signatures.__file__).read_text(encoding="utf-8"))
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call)]
    assert [ast.unparse(one.func) for one in calls].count("hmac.compare_digest") == 1
    secret = {"made", "signature", "signatures", "key", "digest", "found"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            names = {n.id for o in operands for n in ast.walk(o) if isinstance(n, ast.Name)}
            names |= {n.attr for o in operands for n in ast.walk(o) if isinstance(n, ast.Attribute)}
            about = names & secret
            # `len(found) == 1`, `isinstance`, names of headers: what is no signature.
            told = ast.unparse(node)
            assert not about or told in ALLOWED, told


ALLOWED = {
    "len(found) == 1",
    "key.lower() == wanted",
    "scheme.timestamp.lower() != scheme.signature.lower()",
}


def test_as_much_is_computed_for_what_is_malformed_as_for_what_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed: list[int] = []
    digest = hmac.digest

    def counted(key: bytes, text: bytes, name: str) -> bytes:
        computed.append(len(text))
        return digest(key, text, name)

    monkeypatch.setattr(hmac, "digest", counted)
    for headers in (standard(), standard(at="1"), [], signature(b"v1,x")):
        computed.clear()
        verify(STANDARD, headers, BODY, [Secret(WHSEC)], NOW)
        assert len(computed) == 2
        assert all(len(BODY) <= one <= len(BODY) + 20 for one in computed)
