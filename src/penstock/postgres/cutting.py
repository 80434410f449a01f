"""Cuts connections that wait for an answer that never comes, from another thread.

TCP notices a host that has vanished (keepalives, `tcp_user_timeout`): nothing acknowledges then. It
does not notice a server that hangs, nor a proxy or firewall that acknowledges and passes nothing
on; and libpq waits for an answer without limit. Not for: deciding when that is (who calls it).
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg.pq import TransactionStatus

_OPENED: defaultdict[int, WeakSet[psycopg.Connection[Any]]] = defaultdict(WeakSet)


def noted(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Remember which thread has opened a connection; gives it back."""
    _OPENED[threading.get_ident()].add(connection)
    return connection


def asking(thread: int) -> list[int]:
    """The backends from which a thread waits for an answer, by pid."""
    found: list[int] = []
    for connection in list(_OPENED.get(thread, ())):
        with contextlib.suppress(psycopg.Error):
            if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
                found.append(connection.pgconn.backend_pid)
    return sorted(found)


def cut(thread: int) -> int:
    """End what a thread waits for: its connections with a statement under way; gives how many.

    The thread gets a `psycopg.OperationalError`, as if the server had closed them.

    Args:
        thread: Its identifier; it has opened these connections itself.
    """
    done = 0
    for connection in list(_OPENED.get(thread, ())):
        with contextlib.suppress(psycopg.Error, OSError):
            if connection.pgconn.transaction_status != TransactionStatus.ACTIVE:
                continue
            # Of a copy of its number: the thread itself closes the connection.
            with socket.socket(fileno=os.dup(connection.fileno())) as one:
                one.shutdown(socket.SHUT_RDWR)
            done += 1
    return done


@contextlib.contextmanager
def answered_within(seconds: float) -> Iterator[None]:
    """Cut what this thread waits for when it has taken so long."""
    timer = threading.Timer(seconds, cut, [threading.get_ident()])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
