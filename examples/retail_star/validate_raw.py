"""Looks at the raw files before they are loaded: are they what the star expects?

    python validate_raw.py [--folder data/raw]

It checks what no constraint of the database can say in time: that the files are there and not cut
off, that money adds up, that nothing was sold before its launch. Not for: values of single columns,
which Penstock checks while it loads.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polars as pl

CENT = 0.005


def problems(folder: Path) -> list[str]:
    """What is wrong with the files, a sentence each; empty: nothing."""
    paths = {name: folder / f"{name}.csv" for name in ("products", "customers", "sales")}
    missing = [f"{path} is missing" for path in paths.values() if not path.is_file()]
    if missing:
        return missing
    cut = [
        f"{path} does not end with a line end: it may be cut off"
        for path in paths.values()
        if not path.read_bytes().endswith(b"\n")
    ]
    products = pl.read_csv(paths["products"], try_parse_dates=True)
    sales = pl.read_csv(paths["sales"], try_parse_dates=True).join(products, on="product_id")
    unit = pl.col("price") * (1 - pl.col("discount"))
    rules = {
        "revenue is units x price x (1 - discount)": (
            (pl.col("revenue") - pl.col("units") * unit).abs() <= CENT + 1e-9
        ),
        "cost is units x unit_cost": (
            (pl.col("cost") - pl.col("units") * pl.col("unit_cost")).abs() <= CENT
        ),
        "margin is revenue - cost": (
            (pl.col("margin") - pl.col("revenue") + pl.col("cost")).abs() <= CENT
        ),
        "no discount is above 30 %": pl.col("discount").is_between(0, 0.30),
        "nothing is sold before its launch": pl.col("sale_date") >= pl.col("launch_date"),
    }
    broken = sales.select(
        pl.when(~rule).then(pl.col("sale_id")).min().alias(said) for said, rule in rules.items()
    ).row(0, named=True)
    return cut + [
        f"sales.csv: not so: {said} (sale_id {first})"
        for said, first in broken.items()
        if first is not None
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("data/raw"))
    found = problems(parser.parse_args().folder)
    print("\n".join(found) or "The raw files are what the star expects.")
    raise SystemExit(bool(found))
