"""Remembers which contents a flow has brought from where, so that each comes once.

Not for: which contents are in a table (`files`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from penstock.ledger.flows import FlowRun
from penstock.postgres.encodings import holdable
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "flows.sql")


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A content that came.

    Attributes:
        source: The connector that it came by.
        name: Its whole name there.
        size: Bytes.
        modified: When it was written last, as the source says.
        version: Differs where the file was written anew: a time, or an entity tag.
        sha256: Of its bytes, in hexadecimal.
        local: Where it was put, relative to the project's root.
    """

    source: str
    name: str
    size: int
    modified: datetime | None
    version: str
    sha256: str
    local: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a flow has had from a place.

    Attributes:
        contents: sha256 -> the name that it came by.
        seen: Name, size and version of each file.
    """

    contents: dict[str, str]
    seen: frozenset[tuple[str, int, str]]


def known(connection: psycopg.Connection[Any], flow: str, source: str) -> Known:
    """What a flow has brought from a source."""
    rows = connection.execute(_SQL["fetched"], {"flow": flow, "source": source}).fetchall()
    return Known(
        {sha256: name for name, sha256, _, _ in rows},
        frozenset((name, size, version) for name, _, size, version in rows),
    )


def book(connection: psycopg.Connection[Any], run: FlowRun, file: FetchedFile) -> None:
    """Book a content that is on the disk; booked when this returns, where it is in autocommit."""
    connection.execute(
        _SQL["book_fetched"],
        {
            "flow": run.flow,
            "run_id": run.run_id,
            "source": file.source,
            "name": storable(connection, file.name),
            "sha256": file.sha256,
            "bytes": file.size,
            "modified": file.modified,
            "version": file.version,
            "local": holdable(connection, file.local),
        },
    )


def storable(connection: psycopg.Connection[Any], name: str) -> str:
    """A file's name as the ledger holds it: bytes that are no text are written out."""
    return holdable(connection, name.encode("utf-8", "backslashreplace").decode())
