"""What is particular to one kind of database: drivers, TLS, read-only, declared types, errors.

Not for: reading (`sql`), nor PostgreSQL (`postgres`).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL

from penstock.errors import ConnectorError

#: Dialect -> the driver that is used, and the only ones that may be named for it (none: any).
_DRIVERS: dict[str, tuple[str, bool]] = {
    "postgresql": ("psycopg", True),
    "mysql": ("pymysql", True),
    "mariadb": ("pymysql", True),
    "sqlite": ("pysqlite", True),
    "mssql": ("pyodbc", False),
    "oracle": ("oracledb", False),
}
_MYSQL = ("mysql", "mariadb")
#: Numbers of types in MySQL's protocol (Protocol::ColumnType) -> kinds of `values`.
_MYSQL_TYPES = {
    **dict.fromkeys((1, 2, 3, 8, 9, 13, 16), "int"),
    **dict.fromkeys((4, 5), "float"),
    **dict.fromkeys((0, 246), "decimal"),
    7: "timestamptz",
    10: "date",
    11: "span",
    12: "timestamp",
}
_BIT, _TIMESTAMP = 16, 7
#: What MySQL's numbers of errors mean (MariaDB, "Error Codes").
_MYSQL_ADVICE = {
    1044: "Check the user's rights on the database.",
    1045: "Check user and password.",
    1049: "Check the name of the database.",
    1064: "Correct the query.",
    1142: "Give the user the right: GRANT SELECT.",
    1146: "Check the name of the table, and the database.",
    1792: "A source is read in a READ ONLY transaction: the query must not write.",
    1969: "Raise max_statement_time, or read less at once.",
    2003: "Check host, port and firewall.",
    2013: "Check the network, and the server's log; read less at once.",
}


def with_driver(drivername: str) -> str:
    """`mysql` as `mysql+pymysql`."""
    kind = kind_of(drivername)
    kind = "postgresql" if kind == "postgres" else kind
    if "+" in drivername or kind not in _DRIVERS:
        return drivername
    return f"{kind}+{_DRIVERS[kind][0]}"


def kind_of(drivername: str) -> str:
    """`mysql+pymysql` as `mysql`."""
    return drivername.partition("+")[0]


def check(drivername: str) -> None:
    """Refuse what is not known to be read exactly.

    Raises:
        ValueError: Another driver than the one that this was made for.
    """
    kind, _, driver = drivername.partition("+")
    ours, only = _DRIVERS.get(kind, ("", False))
    if only and driver != ours:
        raise ValueError(f"{kind} is read by the driver {ours}: write {kind}+{ours}")


def engine(
    url: URL,
    root: Path,
    *,
    timeout: float,
    tls: str | None,
    ca_file: str | None,
    options: Mapping[str, Any],
) -> sqlalchemy.Engine:
    """What opens connections.

    Args:
        url: Where to.
        root: Where relative paths begin.
        timeout: Seconds until a connection is given up.
        tls: As in `SqlSettings`.
        ca_file: As in `SqlSettings`.
        options: Of the driver; they win.

    Raises:
        ConnectorError: There is no such file.
        ModuleNotFoundError: The driver is not installed.
        sqlalchemy.exc.NoSuchModuleError: There is no such dialect.
    """
    kind = kind_of(url.drivername)
    arguments: dict[str, Any] = {}
    if kind in _MYSQL:
        arguments = {
            "connect_timeout": max(1, round(timeout)),
            "charset": "utf8mb4",
            # Moments are told in this zone; zero dates come as they are, and are refused here.
            "init_command": "set time_zone = '+00:00'",
        }
        arguments |= _tls(url, tls, None if ca_file is None else root / ca_file)
    elif kind == "sqlite":
        url = _file(url, root)
        arguments = {"timeout": timeout}
    elif url.drivername == "mssql+pyodbc":
        arguments = {"timeout": max(1, round(timeout))}
    elif url.drivername == "oracle+oracledb":
        arguments = {"tcp_connect_timeout": timeout}
    level = "REPEATABLE READ" if kind in _MYSQL else None
    more = {} if level is None else {"isolation_level": level}
    return sqlalchemy.create_engine(
        url,
        connect_args=arguments | dict(options),
        poolclass=sqlalchemy.NullPool,
        hide_parameters=True,
        **more,
    )


def _tls(url: URL, tls: str | None, ca_file: Path | None) -> dict[str, Any]:
    """TLS is verified for every server but those of this machine, which may do without."""
    if tls == "none":
        return {"ssl_disabled": True}
    here = (url.host or "localhost") in ("localhost", "127.0.0.1", "::1")
    if here and tls is None and ca_file is None:
        return {}
    if ca_file is not None and not ca_file.is_file():
        raise ConnectorError(f"there is no file {ca_file}", code="ca_file")
    return {"ssl": ssl.create_default_context(cafile=ca_file)}


def _file(url: URL, root: Path) -> URL:
    """SQLite would make a file that is not there."""
    path = root / (url.database or "")
    if not path.is_file():
        raise ConnectorError(
            f"there is no file {path}", code="no_file", advice="Correct url or database."
        )
    return url.set(database=str(path))


def begin(kind: str, connection: sqlalchemy.Connection) -> None:
    """Begin a transaction that writes nothing; one snapshot, where the database has them."""
    if kind in _MYSQL:
        connection.exec_driver_sql("start transaction with consistent snapshot, read only")
    elif kind == "sqlite":
        connection.exec_driver_sql("pragma query_only = on")
    elif kind == "oracle":
        connection.exec_driver_sql("set transaction read only")


def server(kind: str, connection: sqlalchemy.Connection) -> str:
    """Which server it is, and whether TLS is used, as far as is known."""
    version = ".".join(map(str, connection.dialect.server_version_info or ()))
    name = connection.dialect.name
    if kind not in _MYSQL:
        return f"{name} {version}".strip()
    said = connection.exec_driver_sql("select version()").scalar_one()
    row = connection.exec_driver_sql("show session status like 'Ssl_version'").fetchone()
    tls = row[1] if row is not None and row[1] else "no TLS"
    return f"{'MariaDB' if 'MariaDB' in str(said) else 'MySQL'} {said}, {tls}"


def declared(kind: str, description: Sequence[Sequence[Any]]) -> list[tuple[str, int]]:
    """Kind (of `values`) and scale of each column, as the server describes them."""
    if kind in _MYSQL:
        return [
            (_MYSQL_TYPES.get(one[1], ""), int(one[5] or 0) if one[1] in (0, 246) else 0)
            for one in description
        ]
    return [("", 0) for _ in description]


def taker(
    kind: str, description: Sequence[Sequence[Any]]
) -> Callable[[Iterable[Sequence[Any]]], list[Sequence[Any]]]:
    """What makes plain values of a batch's columns."""
    codes = [one[1] for one in description] if kind in _MYSQL else []

    def take(columns: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        if not codes:
            return list(columns)
        return [
            _PLAIN[code](one) if code in _PLAIN else one
            for code, one in zip(codes, columns, strict=True)
        ]

    return take


def _bits(values: Sequence[Any]) -> list[Any]:
    return [int.from_bytes(one, "big") if isinstance(one, bytes) else one for one in values]


def _moments(values: Sequence[Any]) -> list[Any]:
    """The session is in UTC. A zero date stays the text that the driver makes of it."""
    return [one.replace(tzinfo=UTC) if hasattr(one, "tzinfo") else one for one in values]


_PLAIN: dict[int, Callable[[Sequence[Any]], list[Any]]] = {_BIT: _bits, _TIMESTAMP: _moments}


def words(error: BaseException) -> tuple[str, str, str]:
    """Code, message in one line, and advice, of what a driver raised."""
    code, said = "", " ".join(str(error).split())
    if len(error.args) == 2 and isinstance(error.args[0], int):
        code, said = str(error.args[0]), " ".join(str(error.args[1]).split())
    advice = _MYSQL_ADVICE.get(int(code), "") if code else ""
    if "certificate" in said.lower():
        advice = "Have it renewed, or trust its authority with ca_file."
        code = "certificate"
    elif "SSL is required" in said:
        advice = 'Set TLS up on the server, or tls to "none" inside a trusted network.'
    elif "readonly database" in said:
        advice = _MYSQL_ADVICE[1792]
    elif "timed out" in said:
        advice = "Check host, port and firewall."
    return code or type(error).__name__, said, advice


def no_driver(name: str, drivername: str, error: ModuleNotFoundError) -> ConnectorError:
    """The driver is a package that each project installs for itself."""
    package = error.name or drivername.partition("+")[2]
    return ConnectorError(
        f"{name}: {drivername} needs the package {package}, which is not installed",
        code="driver",
        advice=f"Install it: pip install {package}",
    )
