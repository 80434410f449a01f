"""Connections: how Penstock opens one, borrows one, and names its target. Not for: transactions."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo, TransactionStatus

from penstock.errors import PenstockError, TargetError, TryAgain, UsageError
from penstock.postgres.cutting import noted
from penstock.postgres.sqlstates import Kind, kind_of

if TYPE_CHECKING:
    import sqlalchemy

#: Seconds to wait for a server to answer a new connection.
CONNECT_TIMEOUT = 10
#: Seconds after which an unanswered connection counts as cut, by TCP keepalive.
_DEAD_AFTER = 60

#: What a load counts and checks must be what is there when it has its locks, not what was there
#: when its transaction began.
_ISOLATION = psycopg.IsolationLevel.READ_COMMITTED
#: What a server says that will take connections later.
_BUSY = ("starting up", "shutting down", "recovery", "too many", "connection slots", "terminating")
#: What stays wrong until somebody mends it.
_WRONG = (
    *("could not translate host name", "certificate", "does not support SSL", "invalid"),
    "no password supplied",
)

#: Settings of every load, so that what is accepted never depends on a role's settings. The
#: values go to the server as text in these forms; jit costs more than it gains on loads.
SETTINGS: Mapping[str, str] = {
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "intervalstyle": "postgres",
    "client_encoding": "UTF8",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "xmloption": "content",
    "array_nulls": "on",
    "lc_monetary": "C",
    "default_tablespace": "",
    "jit": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "row_security": "on",
}
#: From this version on a role may limit whole transactions, and would kill slow loads.
_TRANSACTION_TIMEOUT_FROM = 170000
#: Of pages that were read a moment ago, against one of a sequential scan: PostgreSQL's own
#: default, 4, is that of a spinning disk (chapter "Query Planning").
_RANDOM_PAGE_COST = "1.1"
#: Memory for index builds and hash joins inside a load.
_MAINTENANCE_WORK_MEM = "256MB"
_WORK_MEM = "64MB"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a load goes: an open psycopg connection and how to open another like it.

    Attributes:
        connection: Used by one thread only.
        label: `user@host:port/database`, never with a password.
        joined: True where the transaction belongs to the caller: no commit, no rollback.
        conninfo: Opens another connection to the same place; never printed.
        afterwards: What is left to be done when a joined transaction of our own has ended, told
            whether it was committed; None where it is the caller's, or none is joined.
    """

    connection: psycopg.Connection[Any]
    label: str
    joined: bool
    conninfo: str
    afterwards: list[Callable[[bool], None]] | None = None

    def __repr__(self) -> str:
        return f"Target({self.label})"

    def another(self) -> psycopg.Connection[Any]:
        """A second connection to the same server, in autocommit."""
        connection = _open(self.conninfo)
        connection.autocommit = True
        return connection


@contextmanager
def target_of(where: str | sqlalchemy.Engine | sqlalchemy.Connection) -> Iterator[Target]:
    """A target from a DSN, a SQLAlchemy Engine, or a Connection whose transaction is joined.

    Args:
        where: A libpq connection string or `postgresql://` URL; an Engine of any PostgreSQL
            driver; or a Connection of the psycopg driver.

    Raises:
        TryAgain: The server does not answer or has no connection left.
        TargetError: The server refuses the log-in.
        UsageError: Not a PostgreSQL engine, or a Connection of another driver.
    """
    if isinstance(where, str):
        conninfo = normalise(where)
        connection = _open(conninfo)
        connection.isolation_level = _ISOLATION
        try:
            yield Target(connection, label_of(connection), False, conninfo)
        finally:
            connection.close()
        return
    if where.dialect.name != "postgresql":
        raise UsageError(f"Penstock loads into PostgreSQL; this engine speaks {where.dialect.name}")
    conninfo = normalise(_url_of(where))
    if _is_engine(where):  # its pool is used where its driver is ours
        with _from_engine(where, conninfo) as target:
            yield target
        return
    yield _from_connection(cast("sqlalchemy.Connection", where), conninfo)


def _is_engine(where: sqlalchemy.Engine | sqlalchemy.Connection) -> TypeGuard[sqlalchemy.Engine]:
    # Asked by its method: importing SQLAlchemy would cost every command line a sixth of a second.
    return hasattr(where, "raw_connection")


@contextmanager
def _from_engine(engine: sqlalchemy.Engine, conninfo: str) -> Iterator[Target]:
    if engine.dialect.driver != "psycopg":
        connection = _open(conninfo)
        connection.isolation_level = _ISOLATION
        try:
            yield Target(connection, label_of(connection), False, conninfo)
        finally:
            connection.close()
        return
    try:
        pooled = engine.raw_connection()
    except Exception as error:  # a pool may wrap it in anything: what is not ours is raised
        origin = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
        if isinstance(origin, psycopg.Error):
            raise translated(origin, "connect") from None
        raise
    driver = pooled.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101  the driver was asked above
    was_autocommit, isolation = driver.autocommit, driver.isolation_level
    try:
        if was_autocommit:
            driver.autocommit = False
        driver.isolation_level = _ISOLATION
        yield Target(driver, label_of(driver), False, conninfo)
    finally:
        if driver.closed:
            pooled.invalidate()
        else:
            driver.rollback()
            driver.isolation_level = isolation
            if was_autocommit:
                driver.autocommit = True
        pooled.close()


def _from_connection(connection: sqlalchemy.Connection, conninfo: str) -> Target:
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise UsageError(
            "To join a Connection's transaction its engine must use psycopg 3: "
            'create_engine("postgresql+psycopg://...")'
        )
    if driver.autocommit:
        raise UsageError("This Connection is in AUTOCOMMIT: there is no transaction to join")
    if not connection.in_transaction():
        connection.begin()  # otherwise connection.commit() would not know that there is work
    return Target(driver, label_of(driver), True, conninfo)


def _url_of(where: sqlalchemy.Engine | sqlalchemy.Connection) -> str:
    url = where.engine.url.set(drivername="postgresql")
    query = {key: value for key, value in url.query.items() if key not in ("plugin",)}
    text = str(url.set(query=query).render_as_string(hide_password=False))
    before, mark, after = text.partition("?")
    return before + mark + after.replace("+", "%20")  # libpq takes a + as it is written


def normalise(dsn: str) -> str:
    """A libpq connection string with Penstock's settings added where the user gave none.

    TLS is verified by default: for a host that is not this machine, `sslmode=verify-full` with
    the system's certificate authorities holds unless the string, `PGSSLMODE` or a service file
    says otherwise.

    Raises:
        UsageError: It is not a connection string; its text is not repeated in the message.
    """
    text = dsn.replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        parts = {k: v for k, v in conninfo_to_dict(text).items() if v is not None}
    except psycopg.ProgrammingError:
        raise UsageError(
            "The connection string cannot be read: write postgresql://user@host:5432/database "
            "(special characters in a password as %XX)"
        ) from None
    parts["client_encoding"] = SETTINGS["client_encoding"]  # texts are Python's, in any database
    parts.setdefault("connect_timeout", CONNECT_TIMEOUT)
    parts.setdefault("application_name", "penstock")
    parts.setdefault("keepalives_idle", _DEAD_AFTER // 2)
    parts.setdefault("keepalives_interval", 10)
    parts.setdefault("keepalives_count", 3)
    parts.setdefault("tcp_user_timeout", _DEAD_AFTER * 1000)
    # What the string leaves out comes from PGHOST, PGSERVICE and their kin, as libpq reads them.
    defaults = {d.keyword.decode(): (d.val or b"").decode() for d in Conninfo.get_defaults()}
    host = str(parts.get("host") or parts.get("hostaddr") or defaults.get("host") or "")
    said = "sslmode" in parts or "service" in parts or "PGSSLMODE" in os.environ
    if host and not said and not _is_here(host):
        parts["sslmode"] = "verify-full"
        parts.setdefault("sslrootcert", "system")
    return make_conninfo("", **parts)


def _is_here(host: str) -> bool:
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _open(conninfo: str) -> psycopg.Connection[Any]:
    try:
        # No prepared statements: they break behind a pooler in transaction mode.
        return noted(psycopg.connect(conninfo, prepare_threshold=None))
    except psycopg.Error as error:
        raise _no_connection(error) from None


def _no_connection(error: psycopg.Error) -> PenstockError:
    """Why there is no connection; libpq gives no SQLSTATE for it, so its words must do."""
    said = " ".join(str(error).split()).split(" Is the server running")[0].rstrip(".")
    answered = "FATAL:" in said and not any(word in said for word in _BUSY)
    if answered or any(word in said for word in _WRONG):
        return TargetError(
            f"Could not connect: {said}. Check host, user, password, database and sslmode.",
            code="28000",
        )
    return TryAgain(f"Could not connect: {said}. Nothing was changed; try again.", code="08001")


def connect(dsn: str, *, autocommit: bool = True) -> psycopg.Connection[Any]:
    """A connection with Penstock's settings.

    Raises:
        TryAgain: The server does not answer.
        TargetError: The server refuses the log-in.
    """
    connection = _open(normalise(dsn))
    connection.autocommit = autocommit
    return connection


def label_of(connection: psycopg.Connection[Any]) -> str:
    """`user@host:port/database` of an open connection."""
    info = connection.info
    host = info.host or "localhost"
    return f"{info.user}@{host}:{info.port}/{info.dbname}"


def saved_settings(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """The settings that `set_locally` changes, as they are now, for `restore_settings`."""
    names = [*SETTINGS, "search_path", "maintenance_work_mem", "work_mem", "lock_timeout"]
    names.append("transaction_timeout")
    rows = connection.execute(
        "select lower(name), current_setting(name) from pg_catalog.pg_settings "
        "where lower(name) = any (%s)",
        [names],
    )
    return {name: value for name, value in rows if name != "client_encoding"}


def restore_settings(connection: psycopg.Connection[Any], saved: Mapping[str, str]) -> None:
    """Give a caller's transaction its settings back; nothing to do where it has failed."""
    if connection.info.transaction_status is not TransactionStatus.INTRANS:
        return
    for name, value in saved.items():
        connection.execute("select set_config(%s, %s, true)", [name, value])


def _fire_all_triggers(connection: psycopg.Connection[Any]) -> None:
    """Under `session_replication_role = replica` foreign keys are not checked at all.

    Raises:
        TargetError: The role has it so, and may not change it.
    """
    row = connection.execute("select current_setting('session_replication_role')").fetchone()
    if row == ("origin",):
        return
    try:
        with connection.transaction():
            connection.execute("set local session_replication_role = origin")
    except psycopg.errors.InsufficientPrivilege:
        raise TargetError(
            "This session has session_replication_role = replica: foreign keys and triggers would "
            "not be checked. ALTER ROLE ... RESET session_replication_role.",
            code="42501",
        ) from None


def set_locally(connection: psycopg.Connection[Any], schema: str) -> None:
    """Give the current transaction the settings of a load.

    Args:
        connection: Inside a transaction.
        schema: Of the target: functions of its triggers are found as they expect.
    """
    _fire_all_triggers(connection)
    path = (
        sql.SQL(", ")
        .join([sql.Identifier(schema), sql.SQL("public"), sql.SQL("pg_temp")])
        .as_string(connection)
    )
    values = {**SETTINGS, "search_path": path}
    values |= {"maintenance_work_mem": _MAINTENANCE_WORK_MEM, "work_mem": _WORK_MEM}
    if connection.info.server_version >= _TRANSACTION_TIMEOUT_FROM:
        values["transaction_timeout"] = "0"
    connection.execute(
        sql.SQL("select {}").format(
            sql.SQL(", ").join(
                sql.SQL("set_config({}, {}, true)").format(sql.Literal(k), sql.Literal(v))
                for k, v in values.items()
            )
        )
    )


def translated(error: psycopg.Error, doing: str) -> PenstockError:
    """A database error as one of Penstock's, with the server's own words and what to do.

    Args:
        error: As psycopg raised it.
        doing: What was being done, for the message: "connect", "load fact_sales".
    """
    code = error.sqlstate or ""
    said = " ".join(str(error.diag.message_primary or error).split())
    kind = kind_of(error)
    if kind in (Kind.TRANSIENT, Kind.RESOURCE):
        if code == "55P03":
            said = "another session holds a lock on it for too long"
        return TryAgain(f"Could not {doing}: {said}. Nothing was changed; try again.", code=code)
    if code.startswith("28") or code == "3D000":
        return TargetError(f"Could not {doing}: {said}. Check user, password, database.", code=code)
    hint = f" {error.diag.message_hint}" if error.diag.message_hint else ""
    return TargetError(f"Could not {doing}: {said}.{hint} Nothing was changed.", code=code)


@contextmanager
def expecting_cached(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Plan statements knowing that the table was just read: few rows are found by an index.

    An error leaves the setting to the rollback that it needs anyway.
    """
    row = connection.execute("select current_setting('random_page_cost')").fetchone()
    assert row is not None  # noqa: S101  a select without a table gives one row
    change = "select set_config('random_page_cost', %s, true)"
    connection.execute(change, [_RANDOM_PAGE_COST])
    yield
    connection.execute(change, row)
