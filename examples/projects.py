"""What the examples that are projects share: their database, their flow, their balance.

Not for: projects of your own, which need none of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from penstock.postgres.embedded import Cluster

#: Exit codes of a flow that did its work: 3 says that rows were refused.
_WORKED = (0, 3)
_BALANCE = """
select schema_name, table_name, sum(read), sum(inserted + updated + unchanged),
    sum(ignored + filtered), sum(quarantined), bool_and(balanced)
from penstock.balance group by 1, 2 order by 1, 2
"""
_WAITING = """
select count(*) from penstock.rejects
where schema_name = %s and table_name = %s and status = 'waiting'
"""


def database(folder: Path, schema: Path) -> str:
    """Start the PostgreSQL of the folder, make the tables; gives its URL."""
    words = [sys.executable, "-m", "penstock", "pg", "start"]
    subprocess.run(words, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    url = str(Cluster.of_project(folder).url)
    with psycopg.connect(url) as connection:
        connection.execute("set client_min_messages = warning")
        connection.execute(schema.read_bytes())
    return url


def run(folder: Path, variables: Mapping[str, str]) -> None:
    """Run the project's main.py, as a shell would."""
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=folder, env={**os.environ, **variables}, check=False
    )
    if done.returncode not in _WORKED:
        raise SystemExit(done.returncode)


def show(url: str) -> None:
    """Print what the ledger says of each table, and of what was sent; last, a table's rows."""
    head = ("table", "read", "landed", "ignored", "refused", "balanced", "waiting", "rows")
    print(("{:<20}" + "{:>9}" * 7).format(*head))
    with psycopg.connect(url) as connection:
        for schema, name, *counts, balanced in connection.execute(_BALANCE).fetchall():
            label, there = f"{schema}.{name}", "-"
            if schema == "public":
                label = name
                counting = sql.SQL("select count(*) from {}").format(sql.Identifier(name))
                there = _one(connection, counting)
            waiting = _one(connection, _WAITING, (schema, name))
            cells = [*counts, "yes" if balanced else "NO", waiting, there]
            print(f"{label:<20}" + "".join(f"{cell:>9}" for cell in cells))


def _one(connection: psycopg.Connection, query: Any, values: Sequence[str] = ()) -> Any:
    row = connection.execute(query, values).fetchone()
    return None if row is None else row[0]


def correct(attached: Path, corrected: Path, cells: Mapping[str, str]) -> None:
    """Put other values into cells of a file of refused rows, as a person would in a spreadsheet.

    Args:
        attached: The .xlsx that came by mail.
        corrected: Where to.
        cells: Value -> value.
    """
    with zipfile.ZipFile(attached) as old, zipfile.ZipFile(corrected, "w") as new:
        for name in old.namelist():
            text = old.read(name).decode()
            for wrong, right in cells.items():
                text = text.replace(f">{wrong}<", f">{right}<")
            new.writestr(name, text)
