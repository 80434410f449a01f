"""The modes that go by a key, and other formats, against a table that is filled.

Not for: `append` and `truncate` of CSV files (`contestants`).
"""

from __future__ import annotations

from pathlib import Path

from bench.contestants import KEYED, Contestant, copy_of, load_of, script
from bench.generate import Files
from bench.server import OWNER, Server

#: Of the rows that are in the table before a load one of so many differs.
CHANGED = 100
_FORMATS = ("parquet", "ndjson", "xlsx")


def formats_of(server: Server, files: Files) -> None:
    """The same sales in other formats, written once, by a process of its own."""
    if not all(path.exists() for path in same_sales(files)):
        server.run(script("as_formats", str(files.sales), *map(str, same_sales(files))), OWNER)


def same_sales(files: Files) -> tuple[Path, Path, Path]:
    """The sales as Parquet, as NDJSON, and as a sheet of as many rows as it can hold."""
    parquet, ndjson, xlsx = (files.sales.with_suffix(f".{name}") for name in _FORMATS)
    return parquet, ndjson, xlsx


def fill(server: Server, files: Files) -> None:
    """The rows that the table has before each load, in a table beside it."""
    server.run(copy_of(server, files.sales, "fact_sales_source"), OWNER)


def modes(server: Server, files: Files, rows: int) -> list[Contestant]:
    """The contestants of the group.

    Args:
        server: Whose psql is used.
        files: The generated files.
        rows: Of the sales.
    """
    parquet, ndjson, _ = same_sales(files)
    clean, history = files.sales, "fact_history"

    def one(
        name: str, says: str, command: tuple[str, ...], before: str, table: str = KEYED
    ) -> Contestant:
        return Contestant(
            name=name,
            group="modes",
            says=says,
            command=command,
            role=OWNER,
            rows=rows,
            table=table,
            lands=rows + rows // CHANGED if table == history else rows,
            sales=rows,
            before=before,
        )

    def load(path: Path, table: str, mode: str, *more: str) -> tuple[str, ...]:
        return (*load_of(path, table)[:-1], mode, *more)

    return [
        one(
            "modes-bare",
            "`psql \\copy` into a bare table",
            copy_of(server, clean, "fact_sales_bare"),
            "",
            "fact_sales_bare",
        ),
        one("modes-csv", "`--mode truncate`, CSV", load_of(clean, KEYED), ""),
        one("parquet", "the same from Parquet", load_of(parquet, KEYED), ""),
        one("ndjson", "the same from NDJSON", load_of(ndjson, KEYED), ""),
        one(
            "upsert-same",
            "`--mode upsert`, every row unchanged",
            load(clean, KEYED, "upsert"),
            "same",
        ),
        one("upsert-some", "`--mode upsert`, 1 % changed", load(clean, KEYED, "upsert"), "changed"),
        one(
            "sync-some",
            "`--mode sync`, 1 % changed, 0.1 % gone",
            load(clean, KEYED, "sync"),
            "gone",
        ),
        one(
            "scd2-some",
            "`--mode scd2`, 1 % changed (rows: with the new versions)",
            load(clean, history, "scd2", "--key", "sale_id"),
            "history",
            history,
        ),
        Contestant(
            name="dlt-merge",
            group="modes",
            says="dlt: merge by key, every row unchanged",
            command=script("with_dlt", str(clean), "merge"),
            role=OWNER,
            rows=rows,
            table="dlt_sales.fact_sales",
            lands=rows,
            needs="dlt",
            sales=rows,
            setup=script("with_dlt", str(clean), "merge"),
        ),
    ]
