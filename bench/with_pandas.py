"""`pandas.to_sql`, as its documentation shows it, into a table without constraints.

PENSTOCK_DSN=... python -P bench/with_pandas.py FILE TABLE
"""

from __future__ import annotations

import os
import sys

# Not among the dependencies of development: `make bench` installs it.
import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]
import sqlalchemy


def main() -> int:
    file, table = sys.argv[1:]
    url = os.environ["PENSTOCK_DSN"].replace("postgresql://", "postgresql+psycopg://", 1)
    frame = pd.read_csv(file, parse_dates=["sale_date"])
    frame.to_sql(table, sqlalchemy.create_engine(url), if_exists="append", index=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
