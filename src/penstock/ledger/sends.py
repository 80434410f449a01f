"""What other systems have taken, by key and content. Not for: sending it (`flow.sending`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from penstock.model.table import TableName
from penstock.postgres.encodings import holdable
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "sends.sql")


@dataclass(frozen=True, slots=True)
class Place:
    """Where records are sent to.

    Attributes:
        flow: Which flow sends them.
        target: The other system, such as its base URL: a sandbox has not what production has.
        module: The kind of records there.
        kind: `record`, or `link` for relationships.
    """

    flow: str
    target: str
    module: str
    kind: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a key.

    Attributes:
        hash: Of the content that was last accepted; None: none was.
        target_id: The id that the other system has for it.
        in_the_air: True where a record of this key was sent, and nobody knows what became of it.
    """

    hash: bytes | None
    target_id: str
    in_the_air: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """A record that was accepted.

    Attributes:
        key: Its key.
        hash: Of its content.
        target_id: The id that the other system has for it.
    """

    key: str
    hash: bytes
    target_id: str


def known(
    connection: psycopg.Connection[Any], place: Place, keys: Sequence[str]
) -> dict[str, Known]:
    """What is known of these keys; nothing of those that were never sent."""
    held = {holdable(connection, key): key for key in keys}
    rows = connection.execute(_SQL["known"], asdict(place) | {"keys": list(held)})
    return {held[row[0]]: Known(row[1], row[2], row[3]) for row in rows}


def intend(
    connection: psycopg.Connection[Any],
    place: Place,
    load_id: str,
    contents: Mapping[str, bytes],
) -> None:
    """Note what is about to be sent: key -> hash of the content; committed before it is."""
    keys = [holdable(connection, key) for key in contents]
    more = {"load_id": load_id, "keys": keys, "hashes": list(contents.values())}
    connection.execute(_SQL["intend"], asdict(place) | more)


def book(
    connection: psycopg.Connection[Any],
    place: Place,
    load_id: str,
    taken: Sequence[Taken],
    let_go: Sequence[str],
) -> None:
    """Book what was accepted, and the keys of what certainly was not, in one transaction."""
    with connection.transaction():
        more = {
            "load_id": load_id,
            "keys": [holdable(connection, one.key) for one in taken],
            "hashes": [one.hash for one in taken],
            "ids": [holdable(connection, one.target_id) for one in taken],
        }
        connection.execute(_SQL["book"], asdict(place) | more)
        keys = [holdable(connection, key) for key in let_go]
        connection.execute(_SQL["let_go"], asdict(place) | {"keys": keys})


def resolve(
    connection: psycopg.Connection[Any], load_id: str, table: TableName, keys: Sequence[str]
) -> None:
    """Resolve what was refused before, and whose keys were taken now."""
    said = {
        "load_id": load_id,
        "schema": table.schema,
        "table": table.table,
        "keys": [holdable(connection, key) for key in keys],
    }
    connection.execute(_SQL["resolve"], said)
