"""The console as a process: its engine and its server. Not for: pages (`app`)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import sqlalchemy
import uvicorn

from penstock.console.app import application
from penstock.console.guarding import Console
from penstock.events.webhooks.server import Server
from penstock.postgres.connection import normalise

#: Connections to the database that are kept, and those beyond in a rush: each page needs one.
_KEPT, _MORE = 4, 4
#: Requests at a time; others are answered 503.
_AT_A_TIME = 64
#: Seconds of silence after which a connection is closed.
_SILENT = 20


@contextmanager
def engine_for(dsn: str) -> Iterator[sqlalchemy.Engine]:
    """The engine of the pages.

    Args:
        dsn: As for `connect`.
    """
    conninfo = normalise(dsn)
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo, prepare_threshold=None),
        pool_size=_KEPT,
        max_overflow=_MORE,
        pool_timeout=10,
        pool_pre_ping=True,
        pool_recycle=3600,
    )
    try:
        yield engine
    finally:
        engine.dispose()


def server_of(console: Console) -> Server:
    """A server that is not yet run."""
    return Server(
        uvicorn.Config(
            application(console),
            access_log=False,
            log_level="warning",
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_AT_A_TIME,
            timeout_keep_alive=_SILENT,
        )
    )


def serve(console: Console, at: socket.socket) -> None:
    """Answer until a signal stops it.

    Args:
        console: What is shown.
        at: Where it listens; it is closed in the end.
    """
    with at:
        server_of(console).run(sockets=[at])
