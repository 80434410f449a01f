"""The example `examples/retail_star`, run as a stranger would; figures counted from its files."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from tests.fixtures.postgres import Database

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "retail_star"
SALES = 3_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("data", ".penstock", "*.png", "__pycache__", ".env")
    return Path(shutil.copytree(EXAMPLE, tmp_path / "retail_star", ignore=ignored))


def run(folder: Path, database: Database, program: str, *words: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "POSTGRES_"))}
    done = subprocess.run(
        [sys.executable, program, *words],
        cwd=folder,
        env=environment | {"PENSTOCK_DSN": database.url, "MPLCONFIGDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "data" / "raw" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_star_is_what_its_files_say_and_is_drawn(database: Database, folder: Path) -> None:
    for _ in range(2):
        said = run(folder, database, "run.py", "--sales", str(SALES))
    assert f"fact_sales: {SALES:,} read, {SALES:,} inserted" in said
    region = {row["customer_id"]: row["region"] for row in rows(folder, "customers")}
    revenue: dict[str, Decimal] = defaultdict(Decimal)
    for sale in rows(folder, "sales"):
        revenue[region[sale["customer_id"]]] += Decimal(sale["revenue"])
    with database.connect() as connection:
        found = connection.execute(
            "select region, sum(revenue) from v_sales group by region"
        ).fetchall()
        counts = connection.execute(
            "select (select count(*) from dim_products), (select count(*) from dim_customers),"
            " (select count(*) from fact_sales),"
            " (select count(*) from v_launches where days_since_launch < 0)"
        ).fetchone()
    assert dict(found) == revenue
    assert counts == (20, 5000, SALES, 0)
    assert all(str(total) in said for total in revenue.values())
    picture = (folder / "sales.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000


def test_raw_files_that_do_not_add_up_are_named_before_the_load(
    database: Database, folder: Path
) -> None:
    run(folder, database, "generate.py", "--sales", "100")
    path = folder / "data" / "raw" / "sales.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    fields = lines[7].split(",")
    fields[6] = str(Decimal(fields[6]) + 1)
    lines[7] = ",".join(fields)
    path.write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "validate_raw.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "may be cut off" in done.stdout
    assert f"revenue is units x price x (1 - discount) (sale_id {fields[0]})" in done.stdout
