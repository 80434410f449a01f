"""Who may use the console: passwords, sessions, roles, and the book of what they did.

Passwords are hashed by Argon2id (RFC 9106) with the library's parameters; a session is a random
token in a cookie, of which the ledger has the hash alone. Not for: requests (`guarding`).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from psycopg.types.json import Jsonb

from penstock.errors import UsageError
from penstock.postgres.queries import queries

_SQL = queries("penstock.console.sql", "access.sql")

#: What each may do more than the one before.
ROLES = ("viewer", "operator", "admin")
#: A session is over after so long without a request, and in any case after so long.
IDLE, LONGEST = timedelta(hours=2), timedelta(hours=12)
#: Tries in vain, as one user and from one address, after which nobody is asked for a while.
PER_USER, PER_ADDRESS, WINDOW = 5, 20, timedelta(minutes=15)
#: Characters of a password (NIST SP 800-63B: at least 8, no rules of composition; ours is longer).
SHORTEST, LONGEST_PASSWORD = 12, 1024
_KEPT = timedelta(days=1)
_HASHER = PasswordHasher()
#: What the password of a user who is not there is held against, so that both take the same time.
_NOBODY = _HASHER.hash(secrets.token_hex(16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks.

    Attributes:
        name: Of the user.
        role: Of `ROLES`.
        csrf: What their forms must bring back.
        address: Where they ask from.
    """

    name: str
    role: str
    csrf: str
    address: str

    def may(self, role: str) -> bool:
        """Whether they may do what this role may."""
        return ROLES.index(self.role) >= ROLES.index(role)


class TooOften(Exception):
    """It was tried too often in vain: nobody is asked for a while."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of the console.

    Attributes:
        name: How they sign in.
        role: Of `ROLES`.
        made_at: When they were made.
        changed_at: When role or password was changed.
        disabled: They may not sign in.
    """

    name: str
    role: str
    made_at: datetime
    changed_at: datetime
    disabled: bool


def users(connection: psycopg.Connection[Any]) -> list[User]:
    """All users, by name."""
    return [User(*row) for row in connection.execute(_SQL["users"])]


def put_user(connection: psycopg.Connection[Any], name: str, role: str, password: str) -> None:
    """Make a user, or give one another role and password; their sessions end.

    Raises:
        UsageError: The name, the role or the password will not do.
    """
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise UsageError("A user's name has 1 to 100 characters that can be printed.")
    if role not in ROLES:
        raise UsageError(f'"{role}" is no role. There are: {", ".join(ROLES)}.')
    if not SHORTEST <= len(password) <= LONGEST_PASSWORD:
        raise UsageError(f"A password has {SHORTEST} to {LONGEST_PASSWORD:,} characters.")
    with connection.transaction():
        of = {"name": name, "role": role, "hash": _HASHER.hash(password)}
        connection.execute(_SQL["put_user"], of)
        connection.execute(_SQL["end_sessions"], {"name": name})


def disable_user(connection: psycopg.Connection[Any], name: str) -> bool:
    """Let a user sign in no more; their sessions end. False: there is none, or it was so."""
    with connection.transaction():
        found = connection.execute(_SQL["disable_user"], {"name": name}).rowcount == 1
        connection.execute(_SQL["end_sessions"], {"name": name})
    return found


def sign_in(
    connection: psycopg.Connection[Any], name: str, password: str, address: str
) -> str | None:
    """Begin a session; gives the token for the cookie, or None: name or password is wrong.

    Args:
        connection: In autocommit.
        name: Of the user.
        password: As it was typed.
        address: Where it was typed.

    Raises:
        TooOften: As this user, or from this address.
    """
    of: dict[str, Any] = {"name": name[:100], "address": address}
    row = connection.execute(_SQL["failures"], of | {"window": WINDOW}).fetchone()
    assert row is not None  # noqa: S101  an aggregate gives one row
    if row[0] >= PER_USER or row[1] >= PER_ADDRESS:
        raise TooOften
    found = connection.execute(_SQL["user"], {"name": name}).fetchone()
    known = found is not None and not found[3]
    right = _matches(found[2] if found and known else _NOBODY, password) and known
    connection.execute(_SQL["tried"], of | {"succeeded": right})
    if not right or found is None:
        return None
    if _HASHER.check_needs_rehash(found[2]):
        connection.execute(_SQL["rehash"], {"name": name, "hash": _HASHER.hash(password)})
    connection.execute(_SQL["sweep"], {"idle": IDLE, "longest": LONGEST, "kept": _KEPT})
    token = secrets.token_urlsafe(32)
    session = {"token": _hashed(token), "csrf": secrets.token_urlsafe(32)}
    connection.execute(_SQL["begin_session"], of | session)
    return token


def visitor_of(connection: psycopg.Connection[Any], token: str, address: str) -> Visitor | None:
    """Who has this cookie; None: nobody, or no more."""
    of = {"token": _hashed(token), "idle": IDLE, "longest": LONGEST}
    row = connection.execute(_SQL["session"], of).fetchone()
    if row is None:
        return None
    return Visitor(name=row[0], role=row[1], csrf=row[2], address=address)


def sign_out(connection: psycopg.Connection[Any], token: str) -> None:
    """End the session of a cookie."""
    connection.execute(_SQL["end_session"], {"token": _hashed(token)})


def note(
    connection: psycopg.Connection[Any],
    visitor: Visitor,
    action: str,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write down what somebody does."""
    of = {"name": visitor.name, "address": visitor.address, "action": action}
    connection.execute(_SQL["note"], of | {"details": Jsonb(dict(details or {}))})


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _matches(hashed: str, password: str) -> bool:
    if len(password) > LONGEST_PASSWORD:
        return False
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False
