"""A run's connection to the ledger, opened again when it was cut. Not for: what is written there.

A job is tried again when the database was restarted under it: the books must get over that too.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg

from penstock.connectors.postgres import Postgres
from penstock.errors import PenstockError

#: Seconds between two tries to reach a ledger that was lost: a server starts again within them.
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)


class Books:
    """The ledger of a run.

    Args:
        where: The database that keeps it.
    """

    def __init__(self, where: Postgres) -> None:
        self.where = where
        self._connection: psycopg.Connection[Any] | None = None

    def connection(self) -> psycopg.Connection[Any]:
        """A connection in autocommit that works.

        Raises:
            ConnectorError: The database cannot be reached; one that was lost, for 15 seconds.
        """
        if self._connection is None:
            self._connection = self.where.connect(autocommit=True)
            return self._connection
        try:
            self._connection.execute("select 1")
        except psycopg.OperationalError:
            self._connection.close()
            self._connection = self._again()
        return self._connection

    def close(self) -> None:
        """Give it back."""
        if self._connection is not None:
            self._connection.close()

    def _again(self) -> psycopg.Connection[Any]:
        for pause in _PAUSES:
            try:
                return self.where.connect(autocommit=True)
            except PenstockError:
                time.sleep(pause)
        return self.where.connect(autocommit=True)
