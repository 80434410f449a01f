"""`penstock load` and `penstock load-star`. Not for: loading (`penstock.loading`)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from penstock.cli import answer
from penstock.cli.arguments import files_and_table, names_of
from penstock.cli.database import Database, database
from penstock.cli.flags import Flags, takes_flags
from penstock.cli.interrupts import asked_to_stop
from penstock.cli.written import option
from penstock.errors import BudgetExceeded, LoadError, TryAgain, UsageError
from penstock.model.options import LoadMode

if TYPE_CHECKING:
    from penstock.model.options import LoadOptions
    from penstock.model.result import LoadResult

LOAD_EXAMPLES = """
[bold]Examples[/bold]
  penstock load products.csv                 into the table products
  penstock load "2024-*.csv.gz" sales        many files, one transaction
  penstock load sales.csv shop.sales --mode truncate --max-rejects 100
  penstock load export.csv sales --dates DD/MM/YYYY --numbers "1.234,56"
  penstock load customers.csv --mode upsert --key email
  penstock load day.csv sales --mode replace_range --within day=2024-03-01
  penstock load raw.csv sales --columns "Order No=order_id,Datum=day"
  penstock load sales.csv --orphans customer_id=placeholder --dry-run
  penstock load events.jsonl.gz events       an object a line; also .parquet, .zip
  penstock load new.csv orders --create --key order_id --dry-run
  penstock load page.json orders --json-path data.items
  penstock load plan.xlsx targets --sheet 2024 --header-row 3
  penstock load items.dat items --fixed "id:1-6,name:7-30" --encoding cp1252

[bold]Exit status[/bold]
  0  all rows landed              3  loaded, some rows wait in quarantine
  1  failed, nothing was changed  2  wrong use  75  try again later
"""

STAR_EXAMPLES = """
[bold]Examples[/bold]
  penstock load-star data/raw
  penstock load-star data/raw --tables dim_products,fact_sales
  penstock load-star data/raw --orphans fact_sales.customer_id=placeholder

[bold]Exit status[/bold]
  0  all rows landed              3  loaded, some rows wait in quarantine
  1  failed, nothing was changed  2  wrong use  75  try again later
"""

_TABLE = "What becomes of the table"

#: The server's code for a statement that was cancelled.
_CANCELLED = "57014"
#: Characters of a run's id that are shown; `penstock runs show` takes them.
_RUN = 8


@takes_flags()
def load(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... [TABLE]",
            show_default=False,
            help="Files or quoted patterns: CSV, .jsonl, .json, .parquet, .xlsx, fixed width; text "
            "also .gz and .zst, all also in a .zip. Then the table; without one, that which the "
            "files are named after.",
        ),
    ],
    *,
    create: Annotated[
        bool,
        option(
            _TABLE,
            "Create the table where it is not there, with types from the whole input. --key makes "
            "the primary key.",
            "--create",
        ),
    ] = False,
    alter: Annotated[
        Literal["add"] | None,
        option(
            _TABLE,
            "add: columns that only the input has are added to the table.",
            "--alter",
            metavar="HOW",
        ),
    ] = None,
    revision: Annotated[
        Path | None,
        option(
            _TABLE,
            "Load nothing, and write what --create or --alter would do as an Alembic revision.",
            "--revision",
            metavar="FILE",
        ),
    ] = None,
    flags: Flags,
) -> None:
    """Load files into a table: every row lands, or waits in quarantine with a reason.

    One transaction: readers never see half of it. Columns match by name. Values
    are checked before they are sent; nothing is rounded, cut, shifted or guessed.
    """
    changes: dict[str, Any] = {"create": create, "alter": alter or ""}
    flags.options(LoadMode.APPEND)  # what is wrong is said before anything is looked for
    files, table = files_and_table(words)
    if revision is not None:
        if not create and alter is None:
            raise UsageError("--revision goes with --create or --alter add.")
        _write_revision((files, table), revision, flags, changes)
        return

    def run(where: str, options: LoadOptions, command: str) -> list[LoadResult]:
        from penstock.ledger.runs import RunRecord
        from penstock.loading.load import run_load

        options = replace(options, **changes)
        return run_load(where, [(table, files)], options, RunRecord("load", command))

    results, _ = carry_out(run, flags, LoadMode.APPEND)
    if flags.as_json:
        from penstock.cli.report import as_object

        answer.answer(as_object(results[0]))
    raise typer.Exit(exit_code(results, flags))


@takes_flags()
def load_star(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            show_default=False,
            help="Files named after their tables; products.csv also fits dim_products or "
            "fact_products.",
        ),
    ],
    *,
    tables: Annotated[
        str | None,
        typer.Option(
            "--tables",
            metavar="A,B",
            show_default=False,
            rich_help_panel="What to load",
            help="Only these tables. Default: those that the files are named after.",
        ),
    ] = None,
    flags: Flags,
) -> None:
    """Load a folder, a file for each table, in one transaction.

    The order follows from the foreign keys, parents first. Readers see the old
    rows of all tables or the new ones, never a mixture.
    """
    flags.options(LoadMode.TRUNCATE)
    names = None if tables is None else names_of(tables, "tables")

    def run(where: str, options: LoadOptions, command: str) -> list[LoadResult]:
        from penstock.loading.load import run_star

        return run_star(where, folder, names, options, command=command)

    results, seconds = carry_out(run, flags, LoadMode.TRUNCATE)
    if flags.as_json:
        from penstock.cli.report import as_object

        answer.answer(
            {
                "run_id": results[0].run_id,
                "target": results[0].target,
                "tables": [as_object(result) for result in results],
                "seconds": round(seconds, 3),
            }
        )
    raise typer.Exit(exit_code(results, flags))


def carry_out(
    run: Callable[[str, LoadOptions, str], list[LoadResult]], flags: Flags, default: LoadMode
) -> tuple[list[LoadResult], float]:
    """Run a load with its progress and its report; gives the results and the seconds."""
    from penstock.cli.progress import Watch

    where = database(flags.dsn)
    if not flags.quiet:
        _introduce(where)
    watch = Watch(quiet=flags.quiet)
    began = time.perf_counter()
    try:
        with watch:
            options = flags.options(default, on_progress=watch.progress, on_step=watch.step)
            results = run(where.dsn, options, answer.command_line(sys.argv[1:]))
    except KeyboardInterrupt:
        raise answer.interrupted(watch.what_became()) from None
    except TryAgain as error:
        # Ctrl-C cancels the statement at hand; where that had just ended, the next one.
        if error.code == _CANCELLED and asked_to_stop():
            raise answer.interrupted(watch.what_became()) from None
        raise
    except LoadError as error:
        told = flags.rejects is not None or flags.no_ledger
        if isinstance(error, BudgetExceeded) and not told:
            raise _with_way_to_see(error) from None
        raise
    seconds = time.perf_counter() - began
    if results and not flags.quiet:
        from penstock.cli.report import report

        report(results, seconds, kept=not flags.no_ledger)
        refused = sum(result.quarantined for result in results)
        if flags.rejects is not None and refused:
            answer.say(f"{refused:,} refused {_rows(refused)} in {flags.rejects}.")
    return results, seconds


def _write_revision(
    what: tuple[list[Path], str], path: Path, flags: Flags, changes: dict[str, Any]
) -> None:
    """Write a revision file, and say so."""
    from penstock.loading.revision import write_revision

    files, table = what
    where = database(flags.dsn)
    if not flags.quiet:
        _introduce(where)
    options = replace(flags.options(LoadMode.APPEND), **changes)
    written = write_revision(where.dsn, (table, files), path, options)
    if not flags.quiet:
        if written is None:
            answer.say(f"{table} has all columns already: there is nothing to write.")
        else:
            answer.say(written.ddl)
            for note in written.notes:
                answer.say(f"  note: {note}")
            after = f" (after {written.after})" if written.after else ""
            answer.say(f"Written to {path}{after}. Nothing was loaded.", "bold")
    if flags.as_json:
        found = {"target": where.label, "table": table, "file": None, "ddl": "", "after": None}
        if written is not None:
            found |= {"file": str(path), "ddl": written.ddl, "after": written.after}
        answer.answer(found)


def _with_way_to_see(error: BudgetExceeded) -> BudgetExceeded:
    run_id: str = getattr(error, "run_id", "")
    way = f"penstock runs show {run_id[:_RUN]}" if run_id else "penstock runs"
    return BudgetExceeded(f"{error.message}\nWhat was refused: {way}.", code=error.code)


def _rows(count: int) -> str:
    return "row is" if count == 1 else "rows are"


def _introduce(where: Database) -> None:
    answer.say(str(where), "bold")
    if where.started:
        answer.say("The embedded PostgreSQL of this folder was started (penstock pg stop).", "dim")


def exit_code(results: list[LoadResult], flags: Flags) -> int:
    """0, or 3 where rows wait and nobody said that this is fine."""
    waiting = any(result.quarantined or result.waited.refused for result in results)
    return answer.QUARANTINED if waiting and not flags.rejects_ok else answer.LOADED
