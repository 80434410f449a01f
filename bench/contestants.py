"""What is compared: each a whole process, with what must be in its table afterwards.

Not for: running them (`run`), nor what their times mean (`results`).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bench.generate import HUNDRED, PRODUCTS, Files, files_of
from bench.server import HERE, LOADER, OWNER, Server

#: Rows of the pandas measurement: ten times as many take ten times as long.
PANDAS_ROWS = 100_000
_BARE, KEYED = "fact_sales_bare", "fact_sales"


@dataclass(frozen=True)
class Contestant:
    """One thing that is timed.

    Attributes:
        name: For `--only`, and for goals.
        group: Those of a group take turns, round by round.
        says: What it is, in the results.
        command: Program and arguments.
        role: Which role of the database runs it.
        rows: Rows of its input; 0 where it loads nothing.
        table: Where they land.
        lands: How many of them.
        needs: A package of `requirements-bench.lock`, or empty.
        sales: Rows of the generated sales that it reads; 0: none of them.
        before: Which statements of `before.sql` fill the table, not timed.
        setup: A program that fills it, not timed.
        says_seconds: True: it prints its own seconds, as `{"seconds": ..., "steps": {...}}`.
    """

    name: str
    group: str
    says: str
    command: tuple[str, ...]
    role: str
    rows: int = 0
    table: str = ""
    lands: int = 0
    needs: str = ""
    sales: int = 0
    before: str = ""
    setup: tuple[str, ...] = ()
    says_seconds: bool = False


def contestants(server: Server, folder: Path, rows: int, big: int) -> list[Contestant]:
    """All of them.

    Args:
        server: Whose psql is used.
        folder: Of the generated files.
        rows: Of the usual load.
        big: Of the big one.
    """
    few = files_of(folder, 0).products
    return [
        *_usual(server, files_of(folder, rows), rows),
        *_big(server, files_of(folder, big), big),
        Contestant(
            name="twenty",
            group="small",
            says="`penstock load` of 20 rows",
            command=load_of(few, "products"),
            role=OWNER,
            rows=PRODUCTS,
            table="products",
            lands=PRODUCTS,
        ),
        Contestant(
            name="rejects",
            group="small",
            says="`penstock rejects list`, 1,000,000 rejects",
            command=(_program("penstock"), "rejects", "list"),
            role=OWNER,
            before="rejects",
        ),
        Contestant(
            name="help",
            group="small",
            says="`penstock --help`",
            command=(_program("penstock"), "--help"),
            role=OWNER,
        ),
        Contestant(
            name="pandas",
            group="small",
            says="`pandas.to_sql` into the bare table",
            command=script("with_pandas", str(files_of(folder, PANDAS_ROWS).sales), _BARE),
            role=OWNER,
            rows=PANDAS_ROWS,
            table=_BARE,
            lands=PANDAS_ROWS,
            needs="pandas",
            sales=PANDAS_ROWS,
        ),
    ]


def _usual(server: Server, files: Files, rows: int) -> list[Contestant]:
    def one(
        name: str, says: str, command: tuple[str, ...], table: str = KEYED, **more: str
    ) -> Contestant:
        role = more.get("role", OWNER)
        return Contestant(
            name=name,
            group="usual",
            says=says,
            command=command,
            role=role,
            rows=rows,
            table=table,
            lands=_lands(rows) if name == "bad" else rows,
            needs=more.get("needs", ""),
            says_seconds=name == "itself",
            sales=rows,
        )

    clean, bad = files.sales, files.bad
    return [
        one("bare", "`psql \\copy` into a bare table", copy_of(server, clean, _BARE), _BARE),
        one("constrained", "`psql \\copy`, primary key and 2 keys", copy_of(server, clean, KEYED)),
        one("owner", "`penstock load --mode truncate`, as owner", load_of(clean, KEYED)),
        one(
            "loader",
            "the same as a role with INSERT, SELECT, TRUNCATE",
            load_of(clean, KEYED),
            role=LOADER,
        ),
        one("bad", "the same as owner, 1 % bad rows", load_of(bad, KEYED, *_BAD)),
        one(
            "itself",
            "the load itself (`load_table`, without the start of Python)",
            script("itself", str(clean), KEYED),
        ),
        one(
            "dlt",
            "dlt: Arrow, CSV, COPY, replace; no keys",
            script("with_dlt", str(clean)),
            "dlt_sales.fact_sales",
            needs="dlt",
        ),
    ]


def _big(server: Server, files: Files, rows: int) -> list[Contestant]:
    def one(
        name: str, says: str, command: tuple[str, ...], table: str = KEYED, *, bad: bool = False
    ) -> Contestant:
        lands = _lands(rows) if bad else rows
        return Contestant(
            name=name,
            group="big",
            says=says,
            command=command,
            role=OWNER,
            rows=rows,
            table=table,
            lands=lands,
            sales=rows,
        )

    clean, bad, long = files.sales, files.bad, ("--max-lock", "120")
    return [
        one("big-bare", "`psql \\copy` into a bare table", copy_of(server, clean, _BARE), _BARE),
        one("big-staged", "`penstock load`, as owner", load_of(clean, KEYED)),
        one("big", "the same with `--max-lock 120`", load_of(clean, KEYED, *long)),
        one(
            "big-staged-bad",
            "`penstock load`, 1 % bad rows",
            load_of(bad, KEYED, *_BAD),
            bad=True,
        ),
        one(
            "big-bad",
            "the same with `--max-lock 120`",
            load_of(bad, KEYED, *_BAD, *long),
            bad=True,
        ),
    ]


_BAD = ("--max-rejects", "5%", "--rejects-ok")


def _lands(rows: int) -> int:
    return rows - rows // HUNDRED


def copy_of(server: Server, file: Path, table: str) -> tuple[str, ...]:
    """A file, copied into a table by psql."""
    command = f"\\copy {table} from '{file}' with (format csv, header)"
    return (server.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", command)


def load_of(file: Path, table: str, *more: str) -> tuple[str, ...]:
    """Penstock empties a table and loads a file."""
    return (_program("penstock"), "load", str(file), table, "--mode", "truncate", *more)


def script(name: str, *arguments: str) -> tuple[str, ...]:
    """A program of this folder."""
    # -P: the modules of this folder are not to be found by the imports of what is measured.
    return (sys.executable, "-P", str(HERE / f"{name}.py"), *arguments)


def _program(name: str) -> str:
    """The program as installed beside the Python that runs this."""
    return str(Path(sys.executable).with_name(name))
