"""Clears the three tables and loads the raw files, dimensions first.

    python load_to_postgres.py [--folder data/raw]

Where to: POSTGRES_HOST and its kin, also from .env; without them the embedded PostgreSQL of this
folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from penstock import clear_tables, database, load_table

TABLES = ("dim_products", "dim_customers", "fact_sales")


def load(folder: Path) -> None:
    """Clear, then load; prints the books of every table."""
    where = database()
    clear_tables(where, TABLES)
    for table in TABLES:
        name = table.removeprefix("dim_").removeprefix("fact_")
        print(load_table(where, folder / f"{name}.csv", table))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("data/raw"))
    load(parser.parse_args().folder)
