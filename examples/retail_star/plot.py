"""Draws the revenue of every month and region, from what was loaded.

    python plot.py [--to sales.png]

Needs matplotlib (`requirements-examples.lock` in the repository).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import polars as pl
import psycopg

from penstock import database

QUERY = """
select date_trunc('month', sale_date)::date as month, region, sum(revenue)::float8 as revenue
from v_sales group by 1, 2 order by 1, 2
"""


def plot(path: Path) -> None:
    """Write the picture."""
    with psycopg.connect(database()) as connection:
        rows = connection.execute(QUERY).fetchall()
    sales = pl.DataFrame(rows, schema=["month", "region", "revenue"], orient="row")
    mpl.use("agg")
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    for (region,), part in sales.group_by("region", maintain_order=True):
        thousands = (part["revenue"] / 1000).to_list()
        axes.plot(part["month"].to_list(), thousands, label=str(region), linewidth=1.8)
    axes.set_title("Revenue by month and region", loc="left")
    axes.set_ylabel("thousand")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, ncols=4, loc="lower right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=Path("sales.png"))
    given = parser.parse_args()
    plot(given.to)
    print(f"Wrote {given.to}.")
