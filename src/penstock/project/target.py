"""Which database is meant: an option, the environment, `.env`, the folder's own server.

Not for: opening it.

The order: `--dsn`; `PENSTOCK_DSN`; `POSTGRES_HOST` and its kin, also from a `.env` file beside or
above the current folder; last, and only in a folder that has one, the embedded PostgreSQL.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from penstock.errors import UsageError

#: Variables that make a target; those without a default are needed.
_VARIABLES: Mapping[str, str | None] = {
    "POSTGRES_HOST": "localhost",
    "POSTGRES_PORT": "5432",
    "POSTGRES_DB": None,
    "POSTGRES_USER": None,
    "POSTGRES_PASSWORD": None,
}
_MAY_BE_EMPTY = {"POSTGRES_PASSWORD"}
_PARAMETERS = {
    "POSTGRES_HOST": "host",
    "POSTGRES_PORT": "port",
    "POSTGRES_DB": "dbname",
    "POSTGRES_USER": "user",
    "POSTGRES_PASSWORD": "password",
}
#: The embedded server's place in a project.
EMBEDDED = Path(".penstock") / "pg"


@dataclass(frozen=True, slots=True)
class WhereTo:
    """A database that is meant.

    Attributes:
        source: What said so: `--dsn`, `PENSTOCK_DSN`, `POSTGRES_*`, `embedded`.
        dsn: A connection string; empty for `embedded`. Not shown by `repr`.
        folder: The folder of the embedded server, or None.
    """

    source: str
    dsn: str = field(default="", repr=False)
    folder: Path | None = None


def where_to(dsn: str | None, folder: Path | None = None) -> WhereTo:
    """The database that is meant.

    Args:
        dsn: What `--dsn` said, or None.
        folder: Where to look for `.env` and `.penstock`; default: the current folder.

    Raises:
        UsageError: Nothing says where to load, or a variable is missing; all are named at once.
    """
    if dsn:
        return WhereTo("--dsn", dsn)
    here = (folder or Path.cwd()).resolve()
    variables = {**dot_env(here), **os.environ}
    if variables.get("PENSTOCK_DSN"):
        return WhereTo("PENSTOCK_DSN", variables["PENSTOCK_DSN"])
    # An empty password is an answer: the server may trust, or the password lie in .pgpass.
    given = {
        name: variables[name]
        for name in _VARIABLES
        if variables.get(name) or (name in _MAY_BE_EMPTY and name in variables)
    }
    if given:
        missing = [n for n, default in _VARIABLES.items() if default is None and n not in given]
        if missing:
            raise UsageError(
                f"{', '.join(sorted(given))} {_are(given)} set, and {', '.join(missing)} "
                f"{_are(missing)} missing: set {'it' if len(missing) == 1 else 'them'} in the "
                "environment or in .env."
            )
        values = {n: given.get(n) or default or "" for n, default in _VARIABLES.items()}
        return WhereTo("POSTGRES_*", _conninfo(values))
    for place in (here, *here.parents):
        if (place / EMBEDDED).is_dir():
            return WhereTo("embedded", folder=place)
    raise UsageError(
        "Nothing says which database to use. Pass --dsn postgresql://user@host/database, set "
        "PENSTOCK_DSN, or set POSTGRES_HOST, POSTGRES_PORT, POSTGRES_DB, POSTGRES_USER and "
        "POSTGRES_PASSWORD (also in .env); or start one of this folder's own: penstock pg start."
    )


def _are(names: Collection[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _conninfo(values: Mapping[str, str]) -> str:
    parts = []
    for name, value in values.items():
        if not value:
            continue
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        parts.append(f"{_PARAMETERS[name]}='{quoted}'")
    return " ".join(parts)


def dot_env(here: Path) -> dict[str, str]:
    """What the `.env` file beside or above a folder says; empty where there is none."""
    for place in (here, *here.parents):
        path = place / ".env"
        if path.is_file():
            from dotenv import dotenv_values

            return {k: v for k, v in dotenv_values(path).items() if v is not None}
    return {}
