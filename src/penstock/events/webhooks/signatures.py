"""Whether a request was signed by whom it says, on its bytes as received.

Every scheme here is an HMAC with SHA-256 of a text made of the body, mostly with a time and an id.
Whatever is wrong with a request, the outcome is the same None, after the same work: nothing tells
a wrong signature from a missing, late or malformed one. Not for: how senders sign (`schemes`).
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets as random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.events import identity
from penstock.events.sources import Identified
from penstock.events.webhooks.schemes import MOST_SECRETS, Scheme, key_of, pieces_of
from penstock.model.secret import Secret

#: Seconds that a time may be early or late: what Standard Webhooks and Stripe use.
TOLERANCE = 300.0
#: Whole seconds since 1970, in digits that milliseconds do not fit into.
_TIME = re.compile(rb"[0-9]{1,12}")
#: Printable ASCII, as long as a header's value may reasonably be.
_ID = re.compile(rb"[\x21-\x7e]{1,255}")
#: Signs in the place of a secret that is missing, so that the work is the same.
_NOBODY = random.token_bytes(32)


@dataclass(frozen=True, slots=True)
class Verified:
    """A request that was signed with one of the secrets.

    Attributes:
        delivery_id: What its sender calls it, on every attempt; empty where no header says it.
    """

    delivery_id: str


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says of itself."""

    id: bytes
    signed: bytes
    signatures: tuple[bytes, ...]


def verify(
    scheme: Scheme,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
    secrets: Sequence[Secret],
    now: float,
    *,
    tolerance: float = TOLERANCE,
) -> Verified | None:
    """Whether a request was signed with one of the secrets, within the time window.

    Always computes as many signatures of the whole body as there may be secrets.

    Args:
        scheme: How its sender signs.
        headers: Names and values as received; the case of names means nothing.
        body: As received, before anything was parsed.
        secrets: One, or two during a rotation.
        now: Seconds since 1970.
        tolerance: Seconds that the signed time may be early or late.

    Returns:
        None for everything that is not right.
    """
    claim = _claim(scheme, headers, body, now=now, tolerance=tolerance) or _Claim(b"", body, ())
    keys = [key_of(scheme, one) for one in secrets[:MOST_SECRETS]]
    found = False
    for key in keys + [b""] * (MOST_SECRETS - len(keys)):
        made = _written(scheme, hmac.digest(key or _NOBODY, claim.signed, "sha256"))
        for signature in claim.signatures:
            found |= bool(key) and hmac.compare_digest(made, signature)
    return Verified(claim.id.decode("ascii")) if found else None


def delivery_id(scheme: Scheme, verified: Verified, body: bytes, source: Identified) -> str:
    """By which a request is known if it comes again.

    Args:
        scheme: How its sender signs.
        verified: As `verify` found it.
        body: As received.
        source: What tells events apart whose scheme has no id.

    Returns:
        The id of the header; else that field of the body which the scheme names; else what the
        source declares.
    """
    if verified.delivery_id:
        return verified.delivery_id
    if scheme.body_id:
        source = Identified(id=scheme.body_id, immutable=True)
    return identity.delivery_id(source, body)


def _claim(
    scheme: Scheme,
    headers: Sequence[tuple[bytes, bytes]],
    body: bytes,
    *,
    now: float,
    tolerance: float,
) -> _Claim | None:
    """What the headers say; None where they do not say it as the scheme has it, or too late."""
    parts = _parts(scheme, _only(headers, scheme.signature))
    prefix = scheme.prefix.encode()
    signatures = tuple(one.removeprefix(prefix) for one in parts if one.startswith(prefix))
    if scheme.encoding == "hex":
        signatures = tuple(one.lower() for one in signatures)
    identity = _only(headers, scheme.id) if scheme.id else b""
    moment = b""
    if scheme.timestamp:
        moment = _moment(scheme, headers, parts)
        if not _TIME.fullmatch(moment) or not abs(now - int(moment)) <= tolerance:
            return None
    if not signatures or (scheme.id and not _ID.fullmatch(identity)):
        return None
    signed = _signed(scheme, {"id": identity, "timestamp": moment, "body": body})
    return None if signed is None else _Claim(identity, signed, signatures)


def _only(headers: Sequence[tuple[bytes, bytes]], name: str) -> bytes:
    """The value of a header that occurs once; else empty."""
    wanted = name.lower().encode("ascii")
    found = [value for key, value in headers if key.lower() == wanted]
    return found[0].strip(b" \t") if len(found) == 1 else b""


def _parts(scheme: Scheme, value: bytes) -> list[bytes]:
    return value.split(scheme.separator.encode()) if scheme.separator else [value]


def _moment(scheme: Scheme, headers: Sequence[tuple[bytes, bytes]], parts: list[bytes]) -> bytes:
    """The digits of the time; empty where there are none, or several."""
    prefix = scheme.timestamp_prefix.encode()
    if scheme.timestamp.lower() != scheme.signature.lower():
        parts = [_only(headers, scheme.timestamp)]
    found = [one for one in parts if one.startswith(prefix)]
    return found[0].removeprefix(prefix) if len(found) == 1 else b""


def _signed(scheme: Scheme, values: Mapping[str, bytes]) -> bytes | None:
    """What must have been signed; None where an id holds what stands beside it.

    Else one signature would do for several requests: of the id `a.1` and the body `x`, and of the
    id `a` and the body `1.x`.
    """
    made = []
    pieces = [(text.encode(), name) for text, name in pieces_of(scheme.signed)]
    beside = [text for text, _ in pieces[1:]]
    for text, name in pieces:
        made.append(text)
        if name is not None:
            made.append(values[name])
            if name != "body" and any(one in values[name] for one in beside):
                return None
    return b"".join(made)


def _written(scheme: Scheme, digest: bytes) -> bytes:
    return digest.hex().encode() if scheme.encoding == "hex" else base64.b64encode(digest)
