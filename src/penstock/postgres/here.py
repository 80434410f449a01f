"""The database of the current folder: that of its settings, or the server of its own.

Not for: reading settings (`project.target`), nor messages about them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

from penstock.postgres.connection import normalise
from penstock.postgres.embedded import Cluster
from penstock.project.target import where_to


@dataclass(frozen=True, slots=True)
class Found:
    """A database that is meant.

    Attributes:
        conninfo: Opens a connection; may hold a password, not shown by `repr`.
        source: What named it: `--dsn`, `PENSTOCK_DSN`, `POSTGRES_*`, `embedded`.
        folder: Of the embedded server's cluster, or None.
        started: True where that server had to be started.
    """

    conninfo: str = field(repr=False)
    source: str
    folder: Path | None = None
    started: bool = False


def find(dsn: str | None) -> Found:
    """The database that is meant; the folder's own server is started where it is that.

    Args:
        dsn: What `--dsn` said, or None.

    Raises:
        UsageError: Nothing says which database, or its connection string cannot be read.
        TargetError: The folder's own server does not start.
    """
    where = where_to(dsn)
    if where.folder is None:
        return Found(normalise(where.dsn), where.source)
    cluster = Cluster.of_project(where.folder)
    started = cluster.start()
    return Found(cluster.url, where.source, cluster.folder, started)


def database() -> str:
    """The URL of the database that the command line would use in this folder.

    `PENSTOCK_DSN`; else `POSTGRES_HOST` and its kin, also from `.env`; else the folder's own
    embedded server, which is started where it does not run. It may hold a password.

    Raises:
        UsageError: Nothing says which database.
        TargetError: The folder's own server does not start.
    """
    return _url(find(None).conninfo)


def _url(conninfo: str) -> str:
    """A connection string as a `postgresql://` URL (libpq, chapter "Connection URIs")."""
    if conninfo.startswith(("postgresql://", "postgres://")):
        return conninfo
    parts = {k: str(v) for k, v in conninfo_to_dict(conninfo).items() if v is not None}
    user, password = (quote(parts.pop(name, ""), safe="") for name in ("user", "password"))
    who = user + (f":{password}" if password else "")
    name = quote(parts.pop("dbname", ""), safe="")
    return f"postgresql://{who}{'@' if who else ''}/{name}?{urlencode(parts, quote_via=quote)}"
