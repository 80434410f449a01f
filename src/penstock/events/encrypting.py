"""Encrypts the personal fields of events before they are staged, and reads them again in memory.

Each value is replaced by a JSON text `"enc:1:..."`, and no other byte of an event is touched. What
is no JSON is encrypted as a whole: then the event is one such text. In it are, in URL-safe base64,
the key's id (4 bytes), a nonce (12) and what AES-256-GCM makes of the value's bytes (NIST SP
800-38D). The key is derived for the source, and the field's path is authenticated, so that nothing
is read that was moved to another source or field. Nonces are random: a key is good for 2**32
values of a source, then `penstock key rotate` is due.
Not for: where fields are (`fields`).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Collection, Sequence

import polars as pl
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from penstock.errors import UsageError
from penstock.events.fields import NotJson, fields_at
from penstock.events.sources import plain_path
from penstock.project.keys import ID_BYTES, PREFIX, ProjectKey

#: How an encrypted value begins; the number is of this form.
MARK = f"{PREFIX}1:".encode()
_NONCE = 12
_ENCRYPTED = re.compile(rb'"' + MARK + rb'([A-Za-z0-9_-]+)"')


class Altered(Exception):
    """An encrypted value is not what was written, or not where it was written."""


class Cipher:
    """Encrypts and decrypts the fields of one source.

    Args:
        key: The project's; None: there is none at hand.
        pipeline: The pipeline's name.
        source: The source's.
        paths: What is to be encrypted, as it is declared.

    Raises:
        UsageError: There is no key.
    """

    def __init__(
        self, key: ProjectKey | None, pipeline: str, source: str, paths: Sequence[str] = ()
    ) -> None:
        if key is None:
            raise UsageError(
                f"{pipeline}: events of {source} are encrypted, and no key was given to read them"
            )
        self._declared = {path: plain_path(path) for path in paths}
        self._paths = frozenset(self._declared.values())
        self._met: set[str] = set()
        self._where = key.where()
        keys = key.derived(f"penstock events {pipeline}/{source}")
        self._ciphers = {name: AESGCM(one) for name, one in keys.items()}
        self._newest = next(iter(self._ciphers))

    def encrypt(self, raw: bytes) -> bytes:
        """An event as it is staged.

        A text of the sender's that looks encrypted is encrypted too, or it would be taken for ours.
        """
        try:
            found = fields_at(raw, self._paths, MARK)
        except NotJson:
            return self._encrypted(raw, "")
        parts: list[bytes] = []
        at = 0
        for one in found:
            self._met.add(one.path)
            parts += raw[at : one.start], self._encrypted(raw[one.start : one.end], one.path)
            at = one.end
        return b"".join([*parts, raw[at:]])

    def encrypt_all(self, raws: pl.Series) -> pl.Series:
        """Events (Binary) as they are staged."""
        return pl.Series(raws.name, [self.encrypt(raw) for raw in raws], dtype=pl.Binary)

    def not_met(self) -> list[str]:
        """Paths that have led to nothing yet: perhaps they are written wrongly."""
        return [path for path, plain in self._declared.items() if plain not in self._met]

    def decrypt(self, raw: bytes) -> bytes:
        """An event as it was received, byte for byte.

        Raises:
            Altered: It is not what was staged.
            UsageError: It was encrypted with a key that is not here.
        """
        if MARK not in raw:
            return raw
        try:
            found = fields_at(raw, (), MARK)
        except NotJson:
            raise Altered from None
        parts: list[bytes] = []
        at = 0
        for one in found:
            parts += raw[at : one.start], self._decrypted(raw[one.start : one.end], one.path)
            at = one.end
        return b"".join([*parts, raw[at:]])

    def _encrypted(self, value: bytes, path: str) -> bytes:
        nonce = os.urandom(_NONCE)
        made = self._ciphers[self._newest].encrypt(nonce, value, _bound(path))
        text = base64.urlsafe_b64encode(self._newest + nonce + made).rstrip(b"=")
        return b'"' + MARK + text + b'"'

    def _decrypted(self, text: bytes, path: str) -> bytes:
        match = _ENCRYPTED.fullmatch(text)
        if match is None:
            raise Altered
        try:
            token = base64.urlsafe_b64decode(match[1] + b"=" * (-len(match[1]) % 4))
        except binascii.Error:
            raise Altered from None
        cipher = self._ciphers.get(token[:ID_BYTES])
        if cipher is None:
            raise UsageError(
                f"encrypted fields cannot be read with {self._where}: they were encrypted with "
                "another key. Put its line below those that are there.",
                code="key",
            )
        nonce, made = token[ID_BYTES : ID_BYTES + _NONCE], token[ID_BYTES + _NONCE :]
        try:
            return cipher.decrypt(nonce, made, _bound(path))
        except (InvalidTag, ValueError):
            raise Altered from None


def _bound(path: str) -> bytes:
    return path.encode("utf-8", "surrogatepass")


def cipher_of(
    key: ProjectKey | None, pipeline: str, source: str, paths: Collection[str]
) -> Cipher | None:
    """What encrypts the events of a source; None where it declares nothing.

    Raises:
        UsageError: There is no key.
    """
    return Cipher(key, pipeline, source, [*paths]) if paths else None
