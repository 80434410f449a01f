"""dlt on its quickest way into PostgreSQL: Arrow batches, written as CSV, sent by COPY; replace.

Into tables of its own without keys, with the types declared: it would guess otherwise.

    PENSTOCK_DSN=... python -P bench/with_dlt.py FILE
"""

from __future__ import annotations

import os
import sys
import tempfile

# Not among the dependencies of development: `make bench` installs them.
import dlt  # type: ignore[import-not-found,import-untyped,unused-ignore]
import pyarrow as pa  # type: ignore[import-not-found,import-untyped,unused-ignore]
from pyarrow import csv  # type: ignore[import-not-found,import-untyped,unused-ignore]

_TYPES = {
    "sale_id": pa.int64(),
    "sale_date": pa.date32(),
    "customer_id": pa.int32(),
    "product_id": pa.int32(),
    "units": pa.int32(),
    "discount": pa.decimal128(4, 2),
    "revenue": pa.decimal128(12, 2),
    "cost": pa.decimal128(12, 2),
    "margin": pa.decimal128(12, 2),
}


def main() -> int:
    file, *how = sys.argv[1:]
    merged = how == ["merge"]
    batches = csv.open_csv(file, convert_options=csv.ConvertOptions(column_types=_TYPES))
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "bench",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(os.environ["PENSTOCK_DSN"]),
            dataset_name="dlt_sales",
        )
        pipeline.run(
            dlt.resource(
                (pa.Table.from_batches([batch]) for batch in batches),
                name="fact_sales",
                primary_key="sale_id" if merged else (),
            ),
            write_disposition="merge" if merged else "replace",
            loader_file_format="csv",
        ).raise_on_failed_jobs()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
