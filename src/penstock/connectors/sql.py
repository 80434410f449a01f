"""Any database that SQLAlchemy knows, as a source. Not for: where rows are loaded to (`postgres`).

What is particular to one kind of database is in `dialects`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy
from sqlalchemy import exc, text
from sqlalchemy.engine import URL, make_url

from penstock.connectors import dialects
from penstock.connectors.bound import values_of
from penstock.connectors.postgres import Postgres
from penstock.connectors.protocol import Check, tried
from penstock.connectors.settings import read_settings
from penstock.connectors.values import Gathered
from penstock.errors import ConnectorError, UsageError
from penstock.loading.extract import Extract, extract_of
from penstock.model.secret import Secret, revealed
from penstock.postgres.reading import check_names

#: Rows that are fetched from the server at once.
_ROWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSettings:
    """Which database, by `url` or by its parts.

    Attributes:
        url: As SQLAlchemy has it: `mysql+pymysql://reader@erp/shop`, `sqlite:///data/shop.db`
            (relative to the project's root), `mssql+pyodbc://...`, `oracle+oracledb://...`.
        dialect: `mysql`, `mariadb`, `sqlite`, `mssql`, `oracle` or `postgresql`, perhaps with its
            driver: `mysql+pymysql`.
        host: The server.
        port: Its port; default: the dialect's.
        database: The database's name; of `sqlite` the file.
        user: For the login.
        password: For the login.
        ca_file: Of `mysql` and `mariadb`: certificates that are trusted instead of the system's.
        tls: Of `mysql` and `mariadb`: `verify` or `none`; default: `verify` for every host but
            this machine, which is asked for TLS, and may do without.
        options: Handed to the driver as they are.
        timeout: Seconds until a connection is given up.
    """

    url: str | Secret | None = None
    dialect: str = "postgresql"
    host: str | None = None
    port: int | None = None
    database: str | None = None
    user: str | None = None
    password: Secret | None = None
    ca_file: str | None = None
    tls: str | None = None
    options: Mapping[str, Any] | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if (self.url is None) == (self.database is None):
            raise ValueError("name the database by url, or by database and where it is")
        if self.tls not in (None, "verify", "none"):
            raise ValueError(f"tls must be verify or none, not {self.tls!r}")
        dialects.check(self.address().drivername)

    def address(self) -> URL:
        """Where it is, with the driver.

        Raises:
            ValueError: The url cannot be read; it is not repeated.
        """
        if self.url is None:
            name = dialects.with_driver(self.dialect)
            password = None if self.password is None else self.password.reveal()
            return URL.create(name, self.user, password, self.host, self.port, self.database)
        try:
            found = make_url(revealed(self.url))
        except (exc.ArgumentError, ValueError):
            raise ValueError(
                "the url cannot be read: write dialect+driver://user@host/database"
            ) from None
        return found.set(drivername=dialects.with_driver(found.drivername))


class Sql:
    """A database as a source.

    Args:
        settings: See `SqlSettings`.
        name: Its key in `env`.
        root: The project's root, where relative paths begin.

    Raises:
        UsageError: Wrong settings, all of them at once.
    """

    def __init__(
        self, settings: Mapping[str, Any], *, name: str = "sql", root: Path = Path()
    ) -> None:
        self.name = name
        self.settings = read_settings(SqlSettings, settings, name)
        self._root = root
        self._url = self.settings.address()
        self._kind = dialects.kind_of(self._url.drivername)
        self._engine: sqlalchemy.Engine | None = None

    def where(self) -> str:
        """`dialect://user@host:port/database`."""
        bare = self._url.set(drivername=self._kind, query={})
        return (bare._replace(password=None)).render_as_string()

    def extract(
        self,
        query: str,
        *,
        first: int,
        spool: Callable[[], Path] | None = None,
        since: Any = None,
        params: Mapping[str, Any] | None = None,
        types: Mapping[str, Any] | None = None,
    ) -> Extract:
        """The rows of a query, fetched in batches, with exact types (`values`).

        They are read in one transaction that writes nothing, and is one snapshot where the
        database has snapshots.

        Args:
            query: One statement that gives rows; `:name` stands for a value.
            first: Number of the input, as `_row` has it.
            spool: Not needed.
            since: The value of `:since`.
            params: The values of the other names.
            types: Polars types of columns whose type neither the database nor a value says;
                default String.

        Raises:
            UsageError: A name has no value, or a value no name.
            SourceError: Two columns have the same name, or a column has values of several kinds.
            ConnectorError: The server cannot be reached, or refuses the query.
        """
        if self._kind == "postgresql":
            return self._postgres().extract(query, first=first, since=since, params=params)
        del spool
        values = values_of(query, since, params)
        with self._reading() as connection:
            told = connection.execution_options(stream_results=True, yield_per=_ROWS)
            with told.execute(text(query), values) as result:
                columns = self._gathered(result)
        unknown = types or {}
        frame = pl.DataFrame([one.column(unknown.get(one.name, pl.String)) for one in columns])
        return extract_of(frame, self.name, first)

    def _gathered(self, result: sqlalchemy.CursorResult[Any]) -> list[Gathered]:
        """All that a result gives, column by column."""
        names = list(map(str, result.keys())) if result.returns_rows else []
        check_names(names)
        assert result.cursor is not None  # noqa: S101  it has rows
        described = result.cursor.description
        columns = [
            Gathered(name, kind, scale)
            for name, (kind, scale) in zip(
                names, dialects.declared(self._kind, described), strict=True
            )
        ]
        take = dialects.taker(self._kind, described)
        for part in result.partitions():
            for column, values in zip(columns, take(zip(*part, strict=True)), strict=True):
                column.take(values)
        return columns

    def check(self) -> Iterator[Check]:
        """Connect and log in; ask for the version and whether TLS is used; look for tables."""
        if self._kind == "postgresql":
            return self._postgres().check()
        return tried(("connect and log in", self._log_in), ("tables to read", self._tables))

    def close(self) -> None:
        """Give connections back."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _log_in(self) -> str:
        with self._reading() as connection:
            return dialects.server(self._kind, connection)

    def _tables(self) -> str:
        with self._reading() as connection:
            found = sqlalchemy.inspect(connection)
            count = len(found.get_table_names()) + len(found.get_view_names())
        if not count:
            raise ConnectorError(
                f"{self.name}: {self._url.database} has no table that {self._url.username or 'it'} "
                "may see",
                code="tables",
                advice="Check the name of the database, and the user's rights (SELECT).",
            )
        return f"{count} {'table or view' if count == 1 else 'tables and views'}"

    def _postgres(self) -> Postgres:
        """PostgreSQL is read by COPY, by its own connector."""
        its, url = self.settings, self._url
        if its.options or its.tls or its.ca_file:
            raise UsageError(
                f"{self.name}: options, tls and ca_file are not for PostgreSQL: use kind postgres, "
                "with sslmode and sslrootcert"
            )
        parts = {"url": Secret(url.set(drivername="postgresql").render_as_string(False))}
        return Postgres(parts, name=self.name, root=self._root)

    @contextmanager
    def _reading(self) -> Iterator[sqlalchemy.Connection]:
        """A connection in a transaction that writes nothing.

        Raises:
            ConnectorError: What the database or its driver says, without passwords.
        """
        try:
            if self._engine is None:
                its = self.settings
                self._engine = dialects.engine(
                    self._url,
                    self._root,
                    timeout=its.timeout,
                    tls=its.tls,
                    ca_file=its.ca_file,
                    options=its.options or {},
                )
            with self._engine.connect() as connection:
                dialects.begin(self._kind, connection)
                yield connection
        except ModuleNotFoundError as error:
            raise dialects.no_driver(self.name, self._url.drivername, error) from None
        except (exc.SQLAlchemyError, OSError, RuntimeError) as error:
            raise self._told(error) from None

    def _told(self, error: Exception) -> ConnectorError:
        origin = error.orig if isinstance(error, exc.DBAPIError) else error
        code, said, advice = dialects.words(origin or error)
        for secret in (
            self._url.password,
            self.settings.password and self.settings.password.reveal(),
        ):
            said = said.replace(secret, "***") if secret else said
        return ConnectorError(f"{self.name}: {said}", code=code, advice=advice)
