"""Writes the sales of a CSV file as Parquet, NDJSON and a sheet too. Not for: measuring.

python as_formats.py SALES.csv SALES.parquet SALES.ndjson SALES.xlsx
"""

from __future__ import annotations

import datetime
import sys

import polars as pl
import xlsxwriter

_MONEY = {
    "discount": pl.Decimal(4, 2),
    **{name: pl.Decimal(12, 2) for name in ("revenue", "cost", "margin")},
}
#: Rows that go into a sheet beside its header.
_SHEET = 1_000_000


def main() -> int:
    sales, parquet, ndjson, xlsx = sys.argv[1:]
    frame = pl.read_csv(sales, try_parse_dates=True, schema_overrides=_MONEY)
    frame.write_parquet(parquet)
    # As numbers, not as text: what most programs write. Two decimals come back as they were.
    frame.with_columns(pl.col(*_MONEY).cast(pl.Float64)).write_ndjson(ndjson)
    with xlsxwriter.Workbook(xlsx, {"constant_memory": True}) as book:
        sheet, day = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row(0, 0, frame.columns)
        for place, row in enumerate(frame.head(_SHEET).iter_rows(), 1):
            for column, value in enumerate(row):
                if isinstance(value, datetime.date):
                    sheet.write_datetime(place, column, value, day)
                else:
                    sheet.write_number(place, column, value)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
