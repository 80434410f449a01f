"""The way to the database that a command means. Not for: deciding which (`project.target`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

Dsn = Annotated[
    str | None,
    typer.Option(
        "--dsn",
        metavar="URL",
        show_default=False,
        help="postgresql://user@host/database. Better PENSTOCK_DSN or .env: other accounts can "
        "read a command line.",
    ),
]


@dataclass(frozen=True, slots=True)
class Database:
    """A database that is meant, and how to say so.

    Attributes:
        dsn: A connection string; may hold a password, not shown by `repr`.
        label: `user@host:port/database`, without a password.
        source: What named it: `--dsn`, `PENSTOCK_DSN`, `POSTGRES_*`, `embedded`.
        started: True where the folder's own server had to be started for it.
    """

    dsn: str = field(repr=False)
    label: str
    source: str
    started: bool = False

    def __str__(self) -> str:
        return f"{self.label} (from {self.source})"


def database(dsn: str | None) -> Database:
    """The database that is meant; the folder's own server is started where it is that.

    Args:
        dsn: What `--dsn` said, or None.

    Raises:
        UsageError: Nothing says which database, or its connection string cannot be read.
        TargetError: The folder's own server does not start.
    """
    import logging

    from penstock.postgres.here import find

    # Libraries' logs are for programs; where nobody listens, Python would print them on stderr.
    logging.getLogger().addHandler(logging.NullHandler())
    found = find(dsn)
    source = found.source
    if found.folder is not None:
        source = f"{source}, {from_here(found.folder)}"
    return Database(found.conninfo, label_of(found.conninfo), source, found.started)


def label_of(conninfo: str) -> str:
    """`user@host:port/database` of a connection string, with libpq's defaults; no password.

    The first address where it names several.
    """
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.pq import Conninfo

    parts = {o.keyword.decode(): o.val.decode() for o in Conninfo.get_defaults() if o.val}
    given = {k: str(v) for k, v in conninfo_to_dict(conninfo).items() if v}
    if "service" in given and "host" not in given:
        return f"service {given['service']}"
    parts.update(given)
    user = parts.get("user", "")
    host = (parts.get("host") or parts.get("hostaddr") or "localhost").split(",")[0]
    port = parts.get("port", "5432").split(",")[0]
    return f"{user}@{host}:{port}/{parts.get('dbname', user)}"


def from_here(folder: Path) -> str:
    """A path, relative to the current folder where it is below it."""
    try:
        return str(folder.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(folder)
