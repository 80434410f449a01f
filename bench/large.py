"""Many rows: how long a big `sync` takes, and how much memory any mode and format needs.

Not for: the usual sizes (`contestants`, `modes`).
"""

from __future__ import annotations

from pathlib import Path

from bench.contestants import KEYED, Contestant, copy_of, load_of
from bench.generate import files_of
from bench.modes import CHANGED, same_sales
from bench.server import OWNER, Server

#: A sheet has 1,048,576 rows at the most, the header among them.
SHEET = 1_000_000
#: Times of the usual load's rows whose memory is measured.
MANY = 5
_HISTORY = "fact_history"


def large(server: Server, folder: Path, big: int, many: int) -> list[Contestant]:
    """`sync` of the big file against a bare copy of it, and every mode and format with many rows.

    Args:
        server: Whose psql is used.
        folder: Of the generated files.
        big: Rows of the big `sync`.
        many: Rows of those whose memory is measured; a sheet may have fewer.
    """
    sales, (parquet, ndjson, _) = files_of(folder, many).sales, same_sales(files_of(folder, many))
    sheet = same_sales(files_of(folder, min(many, SHEET)))[2]
    bare = copy_of(server, files_of(folder, big).sales, "fact_sales_bare")
    return [
        _one("large-bare", "`psql \\copy` into a bare table", bare, big, "fact_sales_bare"),
        _again("large-sync", "`--mode sync`, 1 % changed, 0.1 % gone", folder, big),
        _one("memory-csv", "`--mode truncate`, CSV", load_of(sales, KEYED), many),
        _one("memory-parquet", "the same from Parquet", load_of(parquet, KEYED), many),
        _one("memory-ndjson", "the same from NDJSON", load_of(ndjson, KEYED), many),
        _one("memory-xlsx", "the same from a sheet", load_of(sheet, KEYED), min(many, SHEET)),
        _again("memory-upsert", "`--mode upsert`, 1 % changed", folder, many),
        _again("memory-sync", "`--mode sync`, 1 % changed, 0.1 % gone", folder, many),
        _again("memory-scd2", "`--mode scd2`, 1 % changed", folder, many),
    ]


def _one(
    name: str, says: str, command: tuple[str, ...], rows: int, table: str = KEYED
) -> Contestant:
    return Contestant(
        name=name,
        group=name.partition("-")[0],
        says=says,
        command=command,
        role=OWNER,
        rows=rows,
        table=table,
        lands=rows,
        sales=rows,
    )


def _again(name: str, says: str, folder: Path, rows: int) -> Contestant:
    """A load by a key into a table that has the rows already."""
    group, _, mode = name.partition("-")
    sales, history = files_of(folder, rows).sales, mode == "scd2"
    table, key = (_HISTORY, ("--key", "sale_id")) if history else (KEYED, ())
    return Contestant(
        name=name,
        group=group,
        says=says,
        command=(*load_of(sales, table)[:-1], mode, *key),
        role=OWNER,
        rows=rows,
        table=table,
        lands=rows + rows // CHANGED if history else rows,
        sales=rows,
        setup=load_of(sales, KEYED),
        before={"upsert": "differs", "sync": "differs, more", "scd2": "past"}[mode],
    )
