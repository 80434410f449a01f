"""A PostgreSQL database: where flows load to, and a source. Not for: the load (`loading`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from penstock.connectors.bound import bound, values_of
from penstock.connectors.protocol import Check, tried
from penstock.connectors.settings import read_settings
from penstock.errors import ConnectorError
from penstock.loading.extract import Extract, extract_of
from penstock.model.secret import Secret, revealed
from penstock.postgres.connection import normalise
from penstock.postgres.embedded import Cluster
from penstock.postgres.reading import read_query

#: The project's own server, in `.penstock/pg`.
EMBEDDED = "embedded"
#: Servers that are supported, as `server_version_num` begins.
_OLDEST = 150000
_ADVICE = {
    "28P01": "Check user and password.",
    "28000": "Check user, and pg_hba.conf on the server.",
    "3D000": "Check the name of the database.",
    "42501": "Give the role the right, as the owner: see penstock roles.",
}
#: How libpq names the server that it did not reach, and why.
_AT = re.compile(r'connection to server at "([^"]+)"(?: \([^)]*\))?, port (\d+) failed: (.+)')
#: What to do about a query that was refused.
_OF_QUERIES = {
    "25006": "A source is read in a READ ONLY transaction: the query must not write.",
    "57014": "Raise statement_timeout for this role, or read less at once.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSettings:
    """Which database, by `url` or by its parts.

    Attributes:
        url: `postgresql://user@host/database`, or `embedded` for the project's own server.
        host: The server; default: libpq's.
        port: Its port.
        database: The database's name.
        user: The role.
        password: Its password; default: none, or that of a password file.
        sslmode: As libpq has it; default `verify-full` for every host but this machine.
        sslrootcert: Certificates that are trusted; `system` for those of the system.
        timeout: Seconds until a connection is given up.
        write: False: it is only read from, and the role needs no right to write.
    """

    url: str | Secret | None = None
    host: str | None = None
    port: int = 5432
    database: str | None = None
    user: str | None = None
    password: Secret | None = None
    sslmode: str | None = None
    sslrootcert: str | None = None
    timeout: float = 10.0
    write: bool = True

    def __post_init__(self) -> None:
        parts = (self.host, self.database, self.user)
        if (self.url is None) == (parts == (None, None, None)):
            raise ValueError("name the database by url, or by host, database and user")
        if self.url is None and None in parts:
            raise ValueError("host, database and user belong together")


class Postgres:
    """A PostgreSQL database.

    Args:
        settings: See `PostgresSettings`.
        name: Its key in `env`.
        root: The project's root, for `embedded`.

    Raises:
        UsageError: Wrong settings, all of them at once.
    """

    def __init__(
        self, settings: Mapping[str, Any], *, name: str = "postgres", root: Path = Path()
    ) -> None:
        self.name = name
        self.settings = read_settings(PostgresSettings, settings, name)
        self._root = root

    def where(self) -> str:
        """`user@host:port/database`, or `embedded`."""
        its = self.settings
        if its.url is None:
            return f"{its.user}@{its.host}:{its.port}/{its.database}"
        if revealed(its.url) == EMBEDDED:
            return EMBEDDED
        parts = psycopg.conninfo.conninfo_to_dict(self.conninfo())
        return f"{parts.get('user')}@{parts.get('host')}:{parts.get('port')}/{parts.get('dbname')}"

    def conninfo(self) -> str:
        """What libpq connects by; it may hold the password.

        Raises:
            TargetError: The embedded server does not start.
        """
        its = self.settings
        if its.url is not None:
            text = revealed(its.url)
            if text == EMBEDDED:
                cluster = Cluster.of_project(self._root)
                cluster.start()
                return str(cluster.url)
            return normalise(text)
        parts: dict[str, Any] = {
            "host": its.host,
            "port": its.port,
            "dbname": its.database,
            "user": its.user,
            "connect_timeout": max(2, round(its.timeout)),
            "sslmode": its.sslmode or _sslmode(str(its.host)),
        }
        if its.password is not None:
            parts["password"] = its.password.reveal()
        if its.sslrootcert or parts["sslmode"] == "verify-full":
            parts["sslrootcert"] = its.sslrootcert or "system"
        return make_conninfo("", **parts)

    def connect(self, *, autocommit: bool = False) -> psycopg.Connection[Any]:
        """A new connection.

        Raises:
            ConnectorError: The server cannot be reached, or refuses.
        """
        try:
            return psycopg.connect(self.conninfo(), autocommit=autocommit, prepare_threshold=None)
        except psycopg.Error as error:
            raise self._told(error) from None

    def extract(
        self,
        query: str,
        *,
        first: int,
        spool: Callable[[], Path] | None = None,
        since: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> Extract:
        """The rows of a query, with exact types (`penstock.postgres.reading`).

        They are read in one transaction that is READ ONLY and REPEATABLE READ: one snapshot.

        Args:
            query: One statement that gives rows; `:name` stands for a value.
            first: Number of the input, as `_row` has it.
            spool: Not needed.
            since: The value of `:since`.
            params: The values of the other names.

        Raises:
            UsageError: A name has no value, or a value no name.
            SourceError: Two columns have the same name.
            ConnectorError: The server cannot be reached, or refuses the query.
        """
        del spool
        values = values_of(query, since, params)
        with self.connect() as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            try:
                if ":" in query:
                    text = bound(query, "postgresql+psycopg")
                    query = psycopg.ClientCursor(connection).mogrify(text, values)
                frame = read_query(connection, query)
            except psycopg.Error as error:
                raise self._refused(error) from None
        return extract_of(frame, self.name, first)

    def check(self) -> Iterator[Check]:
        """Connect and log in; look at the server's version and at the role's rights."""
        return tried(("connect and log in", self._log_in), ("rights of the role", self._rights))

    def close(self) -> None:
        """Connections belong to who opened them."""

    def _log_in(self) -> str:
        with self.connect() as connection:
            if connection.info.server_version < _OLDEST:
                raise ConnectorError(
                    f"PostgreSQL {connection.info.server_version // 10000} is too old",
                    code="version",
                    advice="15 or later is needed.",
                )
            how = "TLS" if connection.pgconn.ssl_in_use else "no TLS"
            return f"PostgreSQL {connection.info.parameter_status('server_version')}, {how}"

    def _rights(self) -> str:
        with self.connect() as connection:
            row = connection.execute(
                "select count(*) filter (where has_table_privilege(c.oid, 'SELECT')), "
                "count(*) filter (where has_table_privilege(c.oid, 'INSERT')), count(*), "
                "current_setting('transaction_read_only') "
                "from pg_catalog.pg_class c join pg_catalog.pg_namespace n "
                "on n.oid = c.relnamespace where c.relkind in ('r', 'p') "
                "and n.nspname not in ('pg_catalog', 'information_schema', 'penstock')"
            ).fetchone()
        assert row is not None  # noqa: S101  an aggregate gives one row
        reads, writes, tables, read_only = row
        if tables and not reads:
            raise ConnectorError(
                f"the role may read none of {tables} tables", code="42501", advice=_ADVICE["42501"]
            )
        if self.settings.write and tables and not writes:
            raise ConnectorError(
                f"the role may write to none of {tables} tables",
                code="42501",
                advice=f'{_ADVICE["42501"]} Of a source say "write": False.',
            )
        if self.settings.write and read_only == "on":
            raise ConnectorError(
                "the server or the role allows no more than reading (transaction_read_only is on)",
                code="25006",
                advice='Name the primary server; of a source say "write": False.',
            )
        return f"reads {reads} and writes {writes} of {tables} tables"

    def _refused(self, error: psycopg.Error) -> ConnectorError:
        """Why a query gave no rows, in the server's words."""
        said = error.diag.message_primary or " ".join(str(error).split())
        hint = error.diag.message_hint or ""
        code = error.sqlstate or "connect"
        advice = _ADVICE.get(code, _OF_QUERIES.get(code, hint))
        return ConnectorError(f"{self.name}: {said}", code=code, advice=advice)

    def _told(self, error: psycopg.Error) -> ConnectorError:
        code, text = error.sqlstate or "", _said(error)
        if "certificate" in text.lower():
            return ConnectorError(
                f"{self.name}: {text}",
                code="certificate",
                advice="Have it renewed, or trust its authority with sslrootcert.",
            )
        for state, advice in _ADVICE.items():
            if code == state or (state == "28P01" and "password authentication failed" in text):
                return ConnectorError(f"{self.name}: {text}", code=state, advice=advice)
        return ConnectorError(
            f"{self.name}: {text}", code=code or "connect", advice="Check host, port and firewall."
        )


def _said(error: psycopg.Error) -> str:
    """The last of what libpq says that is no question, with the server first."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith("Is the server running")]
    if not said:
        return type(error).__name__
    found = _AT.search(said[-1])
    if found is None:
        return said[-1]
    host, port, why = found.groups()
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"{where} {'refused the connection' if why == 'Connection refused' else why}"


def _sslmode(host: str) -> str:
    """TLS is verified for every server but those of this machine (libpq, "SSL Support")."""
    local = host.startswith("/") or host in ("localhost", "127.0.0.1", "::1")
    return "prefer" if local else "verify-full"
