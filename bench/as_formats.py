"""Writes the sales of a CSV file as Parquet and as NDJSON too. Not for: measuring.

python as_formats.py SALES.csv SALES.parquet SALES.ndjson
"""

from __future__ import annotations

import sys

import polars as pl

_MONEY = {
    "discount": pl.Decimal(4, 2),
    **{name: pl.Decimal(12, 2) for name in ("revenue", "cost", "margin")},
}


def main() -> int:
    sales, parquet, ndjson = sys.argv[1:]
    frame = pl.read_csv(sales, try_parse_dates=True, schema_overrides=_MONEY)
    frame.write_parquet(parquet)
    # As numbers, not as text: what most programs write. Two decimals come back as they were.
    frame.with_columns(pl.col(*_MONEY).cast(pl.Float64)).write_ndjson(ndjson)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
