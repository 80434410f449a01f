"""The demo: the flights star, loaded into the embedded PostgreSQL of this folder by the command.

`make demo` runs it, after `fetch` has got the data. Run again, it ends in the same state. Not for
showing the library: README.md does.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from penstock.postgres.embedded import Cluster
from penstock.project.target import where_to

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
#: What the data need: NA is no value; 721 planes of 50,094 flights are not listed, and get a marked
#: row each; 7,602 flights (2.3 %) go to four airports that are not listed, and wait in quarantine.
OPTIONS = (
    *("--null", "NA"),
    *("--orphans", "flights.tailnum=placeholder"),
    *("--max-rejects", "3%", "--rejects-ok"),
)
_BALANCE = """
select table_name, read, inserted, quarantined, balanced
from penstock.balance
where run_id = (select run_id from penstock.runs where kind = 'load-star' and status = 'succeeded'
                order by started_at desc limit 1)
"""
_WAITING = """
select bad_values[1], count(*) from penstock.rejects
where table_name = 'flights' and status = 'waiting' group by 1 order by 2 desc
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the star and show what came of it; gives the exit code of the load."""
    parser = argparse.ArgumentParser(description="Load the flights star.")
    parser.add_argument("--project", type=Path, default=ROOT, help="whose server it goes into")
    parser.add_argument("--data", type=Path, help="the files (PROJECT/.penstock/demo)")
    given = parser.parse_args(arguments)
    project = given.project.resolve()
    data = given.data.resolve() if given.data else project / ".penstock" / "demo"
    cluster = Cluster.of_project(project)
    started = cluster.start()
    status = cluster.status()
    _say(f"PostgreSQL {status.server} of this folder {'started' if started else 'runs already'}.")
    _say("Tables, keys and foreign keys: demo/flights.sql")
    with psycopg.connect(cluster.url) as connection:
        connection.execute((HERE / "flights.sql").read_bytes())
    ended = _load(cluster, project, _from(project, data))
    if ended == 0:
        _look(cluster)
        _tell_next(cluster, _from(project, data))
    return ended


def _load(cluster: Cluster, project: Path, data: str) -> int:
    words = ["load-star", data, *OPTIONS]
    _say(f"\n$ {shlex.join(['penstock', *words])}")
    environment = dict(os.environ)
    if where_to(None, project).source != "embedded":
        # The demo never loads into a database that the environment or .env happens to name.
        environment["PENSTOCK_DSN"] = cluster.url
    return subprocess.run(
        [str(_program()), *words], cwd=project, env=environment, check=False
    ).returncode


def _look(cluster: Cluster) -> None:
    """Ask the database itself what is there now."""
    with psycopg.connect(cluster.url) as connection:
        made = _count(connection, sql.SQL("select count(*) from {} where inferred"), "planes")
        _say("\nThe ledger (penstock.balance), and what is in the tables (count):")
        _say(f"  {'':10}{'read':>9} ={'inserted':>10} +{'quarantined':>12}{'count':>12}")
        for name, read, inserted, refused, balanced in connection.execute(_BALANCE).fetchall():
            there = _count(connection, sql.SQL("select count(*) from {}"), name)
            beside = f"  with {made:,} inferred" if name == "planes" else ""
            right = balanced and there == inserted + (made if beside else 0)
            wrong = "" if right else "  DOES NOT BALANCE"
            _say(f"  {name:10}{read:9,} ={inserted:10,} +{refused:12,}{there:12,}{beside}{wrong}")
        waiting = connection.execute(_WAITING).fetchall()
        codes = ", ".join(f"{code} {rows:,}" for code, rows in waiting)
        _say(f"Flights in quarantine, by the airport that is not listed: {codes}")


def _count(connection: psycopg.Connection[Any], statement: sql.SQL, table: str) -> int:
    row = connection.execute(statement.format(sql.Identifier("public", table))).fetchone()
    return int(row[0]) if row else 0


def _tell_next(cluster: Cluster, data: str) -> None:
    on_path = shutil.which("penstock")
    found = on_path is not None and Path(on_path).resolve() == _program().resolve()
    name = "penstock" if found else _from(Path.cwd(), _program())
    where = cluster.psql_environment()
    address = f"{where['PGUSER']}@{where['PGHOST']}:{where['PGPORT']}/{where['PGDATABASE']}"
    _say(f"\nThe rows are in postgresql://{address}")
    _say(f"  {name} pg psql              to look at them")
    _say("Try next:")
    _say(f"  {name} rejects list         what waits, and why")
    _say(f'  {name} pg psql -c "table penstock.balance"')
    _say(f"  {name} load-star {data} --null NA")
    _say("    (the same without the allowances: it is refused, and nothing is changed)")


def _program() -> Path:
    """The command, as installed beside the Python that runs this."""
    return Path(sys.executable).with_name("penstock")


def _from(folder: Path, path: Path) -> str:
    """The path as one would type it in the folder."""
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
