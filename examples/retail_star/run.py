"""The whole example: files, checks, schema, load, views, analytics, plot.

python run.py [--sales 50000]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
from generate import SALES, generate
from load_to_postgres import load
from plot import plot
from validate_raw import problems

from penstock import UsageError, database

HERE = Path(__file__).resolve().parent
RAW = Path("data/raw")


def run(count: int) -> int:
    """Everything in turn; gives the exit code."""
    os.chdir(HERE)
    where = own_server()
    generate(RAW, count)
    found = problems(RAW)
    print("\n".join(found) or "The raw files are what the star expects.")
    if found:
        return 1
    execute(where, "create_schema.sql")
    load(RAW)
    execute(where, "views.sql")
    show(where)
    plot(Path("sales.png"))
    print(f"Wrote {HERE / 'sales.png'}. Look around: penstock pg psql, penstock runs.")
    return 0


def own_server() -> str:
    """The database of the settings; without any, a server of this folder's own."""
    try:
        return database()
    except UsageError:
        subprocess.run([sys.executable, "-m", "penstock", "pg", "start"], check=True)
        return database()


def execute(where: str, name: str) -> None:
    """Run a file of statements."""
    with psycopg.connect(where) as connection:
        connection.execute((HERE / "sql" / name).read_bytes())


def show(where: str) -> None:
    """Print the answers of `sql/analytics.sql`."""
    text = (HERE / "sql" / "analytics.sql").read_text(encoding="utf-8")
    with psycopg.connect(where) as connection:
        for name, query in re.findall(r"^-- name: (.*)\n([^;]*);", text, flags=re.MULTILINE):
            cursor = connection.execute(query.encode())
            heads = [column.name for column in cursor.description or ()]
            rows = [[str(value) for value in row] for row in cursor]
            widths = [max(map(len, cells)) for cells in zip(heads, *rows, strict=True)]
            print(f"\n{name}")
            for cells in (heads, *rows):
                padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
                print("  " + "  ".join(padded))
    print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sales", type=int, default=SALES)
    raise SystemExit(run(parser.parse_args().sales))
