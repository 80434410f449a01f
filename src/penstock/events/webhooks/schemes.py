"""How senders of webhooks sign, and with what. Not for: the signatures (`signatures`).

Sources of the schemes that have a name:

- the specification "Standard Webhooks" (headers, signed text, time window);
- GitHub's documentation, "Validating webhook deliveries" (no time is signed, and no id);
- Stripe's documentation, "Verify webhook signatures" (one header with time and signatures).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from types import MappingProxyType
from typing import Literal

from penstock.errors import UsageError
from penstock.model.secret import Secret

#: The one that signs, and during a rotation the one before or after it.
MOST_SECRETS = 2
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_WHSEC = "whsec_"


def pieces_of(template: str) -> list[tuple[str, str | None]]:
    """Texts, and the name that follows each.

    Raises:
        UsageError: It is no template.
    """
    try:
        found = list(Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"Scheme(signed={template!r}): {error}") from None
    if any(spec or conversion for _, _, spec, conversion in found):
        raise UsageError(f"Scheme(signed={template!r}) may have names only within braces")
    pieces: list[tuple[str, str | None]] = []
    before = ""
    for text, name, _, _ in found:
        before += text  # a doubled brace is a piece without a name
        if name is not None:
            pieces.append((before, name))
            before = ""
    return [*pieces, (before, None)] if before else pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """How a sender signs: in which headers, what, and how it is written.

    Attributes:
        signature: The header that has the signature.
        id: The header that has the delivery id; empty: there is none.
        timestamp: The header that has the time in seconds since 1970; empty: there is none. It may
            be the signature's, where that has several parts.
        signed: What is signed, of `{id}`, `{timestamp}` and `{body}`.
        encoding: How the signature is written: `hex` or `base64`.
        prefix: What stands before a signature, such as `sha256=`.
        separator: Between several parts of the signature's header, of which one must be right;
            empty: it has one.
        timestamp_prefix: What stands before the time, such as `t=`.
        secret: `text`: a secret is its own UTF-8 bytes; `base64`: it is written so, with or
            without `whsec_` before it.
        body_id: The field of the JSON body that has the delivery id, where no header has it.

    Raises:
        UsageError: The parts do not fit each other.
    """

    signature: str
    id: str = ""
    timestamp: str = ""
    signed: str = "{body}"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    separator: str = ""
    timestamp_prefix: str = ""
    secret: Literal["text", "base64"] = "text"  # noqa: S105  how it is written
    body_id: str = ""

    def __post_init__(self) -> None:
        for name in ("signature", "id", "timestamp"):
            value = getattr(self, name)
            if (value or name == "signature") and not _HEADER.fullmatch(value):
                raise UsageError(f"Scheme({name}={value!r}): this cannot be a header's name")
        for name, known in (("encoding", ("hex", "base64")), ("secret", ("text", "base64"))):
            if getattr(self, name) not in known:
                raise UsageError(f"Scheme({name}=...) must be {known[0]!r} or {known[1]!r}")
        self._check_signed()

    def _check_signed(self) -> None:
        pieces = pieces_of(self.signed)
        names = [name for _, name in pieces if name is not None]
        if set(names) - {"id", "timestamp", "body"} or len(set(names)) < len(names):
            raise UsageError(
                f"Scheme(signed={self.signed!r}) may have {{id}}, {{timestamp}} and {{body}}, "
                "each once"
            )
        if "body" not in names:
            raise UsageError(f"Scheme(signed={self.signed!r}) must have {{body}}")
        if bool(self.timestamp) != ("timestamp" in names):
            raise UsageError(
                "A time that is not signed proves nothing: name the header in timestamp=... and "
                "put {timestamp} into signed=..., or neither"
            )
        if "id" in names and not self.id:
            raise UsageError("{id} is signed: name its header in id=...")
        if any(not text for text, _ in pieces[1:]):
            raise UsageError(
                f"Scheme(signed={self.signed!r}): put something between the names, or nobody knows "
                "where one ends"
            )


STANDARD = Scheme(
    signature="webhook-signature",
    id="webhook-id",
    timestamp="webhook-timestamp",
    signed="{id}.{timestamp}.{body}",
    encoding="base64",
    prefix="v1,",
    separator=" ",
    secret="base64",  # noqa: S106  how it is written
)
GITHUB = Scheme(signature="x-hub-signature-256", id="x-github-delivery", prefix="sha256=")
STRIPE = Scheme(
    signature="stripe-signature",
    timestamp="stripe-signature",
    signed="{timestamp}.{body}",
    prefix="v1=",
    separator=",",
    timestamp_prefix="t=",
    body_id="id",
)
#: The schemes that have a name.
SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {"standard": STANDARD, "github": GITHUB, "stripe": STRIPE}
)


def check_secrets(scheme: Scheme, secrets: Sequence[Secret]) -> None:
    """Refuse secrets with which nothing, or anything, could be verified.

    Raises:
        UsageError: There is none or more than two, one is empty, or is not written as the scheme
            has it.
    """
    if not 1 <= len(secrets) <= MOST_SECRETS:
        raise UsageError(
            f"A webhook has one secret, or two while they are rotated; this one has {len(secrets)}"
        )
    for place, secret in enumerate(secrets, 1):
        if not secret.reveal().strip():
            raise UsageError(f"Secret {place} of the webhook is empty: anybody could sign with it")
        if not key_of(scheme, secret):
            raise UsageError(f"Secret {place} of the webhook is not base64 (whsec_...)")


def key_of(scheme: Scheme, secret: Secret) -> bytes:
    """The bytes to sign with; empty where the secret is not written as it should be."""
    text = secret.reveal()
    if scheme.secret == "text":  # noqa: S105  how it is written
        return text.encode(errors="surrogateescape")  # as a file or variable had it
    coded = text.removeprefix(_WHSEC).rstrip("=")
    try:
        return base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
