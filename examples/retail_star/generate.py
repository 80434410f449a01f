"""Draws the three raw files of the retail star from a seed. Not for: loading them.

    python generate.py [--sales 50000] [--folder data/raw]

The same seed and number give the same bytes.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random

SEED = 7
PRODUCTS, CUSTOMERS, SALES = 20, 5_000, 50_000
FIRST, LAST = date(2023, 1, 1), date(2024, 12, 31)
SEASONS = {"spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11), "winter": (12, 1, 2)}
CATEGORIES = {"Garden": "summer", "Ski": "winter", "Rain": "autumn", "Bike": "spring", "Home": ""}
REGIONS = (*("North",) * 4, *("South",) * 3, *("East",) * 2, "West")
SEGMENTS = ("private", "business", "")
DISCOUNTS = tuple(Decimal(text) for text in ("0", "0", "0", "0.05", "0.10", "0.20", "0.30"))
CENT = Decimal("0.01")

Row = Sequence[object]


def products(draw: Random) -> list[Row]:
    """product_id, name, category, season, launch_date, price, unit_cost."""
    found: list[Row] = []
    for number in range(1, PRODUCTS + 1):
        category = list(CATEGORIES)[number % len(CATEGORIES)]
        launch = FIRST + timedelta(days=int(draw.random() * 540))
        price = Decimal(5 + int(draw.random() * 195)) + Decimal("0.90")
        cost = (price * Decimal(40 + int(draw.random() * 25)) / 100).quantize(CENT, ROUND_HALF_UP)
        season = CATEGORIES[category] or "all year"
        name = f"{category} {chr(64 + number)}"
        found.append((number, name, category, season, launch, price, cost))
    return found


def customers(draw: Random) -> list[Row]:
    """customer_id, name, email, region, segment, signed_up."""
    return [
        (
            number,
            f"Customer {number:04}",
            f"c{number:04}@shop.example",
            REGIONS[int(draw.random() * len(REGIONS))],
            SEGMENTS[int(draw.random() * len(SEGMENTS))],
            date(2021, 1, 1) + timedelta(days=int(draw.random() * 1400)),
        )
        for number in range(1, CUSTOMERS + 1)
    ]


def sales(draw: Random, of: Sequence[Row], count: int) -> Iterable[Row]:
    """sale_id, sale_date, product_id, customer_id, units, discount, revenue, cost, margin."""
    span = (LAST - FIRST).days + 1
    made = 0
    while made < count:
        product = of[int(draw.random() * len(of))]
        day = FIRST + timedelta(days=int(draw.random() * span))
        season, launch = str(product[3]), product[4]
        if not isinstance(launch, date) or day < launch:
            continue  # nothing is sold before its launch
        in_season = season == "all year" or day.month in SEASONS[season]
        if not in_season and draw.random() < 0.6:
            continue
        made += 1
        units = 1 + int(draw.random() * 4)
        discount = DISCOUNTS[int(draw.random() * len(DISCOUNTS))]
        price, unit_cost = Decimal(str(product[5])), Decimal(str(product[6]))
        revenue = (units * price * (1 - discount)).quantize(CENT, ROUND_HALF_UP)
        cost = units * unit_cost
        customer = 1 + int(draw.random() * CUSTOMERS)
        yield made, day, product[0], customer, units, discount, revenue, cost, revenue - cost


def generate(folder: Path, count: int = SALES, seed: int = SEED) -> None:
    """Write `products.csv`, `customers.csv` and `sales.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = Random(seed)
    all_products = products(draw)
    write(
        folder / "products.csv",
        "product_id,name,category,season,launch_date,price,unit_cost",
        all_products,
    )
    write(
        folder / "customers.csv",
        "customer_id,name,email,region,segment,signed_up",
        customers(draw),
    )
    write(
        folder / "sales.csv",
        "sale_id,sale_date,product_id,customer_id,units,discount,revenue,cost,margin",
        sales(draw, all_products, count),
    )


def write(path: Path, header: str, rows: Iterable[Row]) -> None:
    """Write one CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sales", type=int, default=SALES)
    parser.add_argument("--folder", type=Path, default=Path("data/raw"))
    given = parser.parse_args()
    generate(given.folder, given.sales)
