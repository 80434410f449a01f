"""`penstock rejects replay`. Not for: loading the rows (`penstock.loading.replay`)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.connected import rows_text
from penstock.cli.flags import Flags, takes_flags
from penstock.cli.interrupts import end_at_once
from penstock.cli.load import carry_out, exit_code
from penstock.cli.rejects import Code, Column, Ids, Load, selection
from penstock.errors import UsageError
from penstock.model.options import LoadMode

if TYPE_CHECKING:
    import psycopg

    from penstock.ledger.quarantine import Selection
    from penstock.model.options import LoadOptions
    from penstock.model.result import LoadResult, ReplayResult

REPLAY_EXAMPLES = """
[bold]Examples[/bold]
  penstock rejects replay wrong.xlsx               exported, and corrected
  penstock rejects replay wrong.csv --dry-run
  penstock rejects replay --id 17 --id 18          as they came
  penstock rejects replay --table fact_sales --code 23503
  penstock rejects replay --table sales --null n/a

What is loaded is closed, what is refused again waits on. How values are written
is what the load said that refused them, unless it is said anew.

[bold]Exit status[/bold]
  0  all rows landed              3  some rows were refused again, and wait
  1  failed, nothing was changed  2  wrong use  75  try again later
"""
#: Numbers of rejects that a line names.
_NAMED = 8
#: Why a reject was not tried, after its number.
_SKIPPED = {
    "unknown": "no such reject",
    "unsplit": "without fields yet: fill in its columns in an exported file",
    "closed": "closed by somebody else meanwhile",
}
_HAPPENS = "What happens"
#: What is about whole files and whole tables, and what the command declares by itself.
_NOT_OF_REPLAYS = {
    *("again", "no_header", "allow_shrink", "no_ledger", "max_rejects", "mode"),
    *("type1", "within", "missing", "max_deletes"),
    *("format", "json_path", "sheet", "header_row", "fixed", "records"),
}


class Mode(StrEnum):
    """The modes of a replay."""

    APPEND = LoadMode.APPEND.value
    INSERT_NEW = LoadMode.INSERT_NEW.value
    UPSERT = LoadMode.UPSERT.value


@takes_flags(without=_NOT_OF_REPLAYS)
def replay(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            show_default=False,
            help="An exported .csv or .xlsx, corrected. What is not in it waits on.",
        ),
    ] = None,
    *,
    ids: Ids = None,
    table: Annotated[
        str | None,
        typer.Option(
            "--table", metavar="TABLE", show_default=False, help="What waits of this table."
        ),
    ] = None,
    load: Load = None,
    code: Code = None,
    column: Column = None,
    mode: Annotated[
        Mode,
        typer.Option(
            "--mode",
            metavar="MODE",
            show_default=False,
            rich_help_panel=_HAPPENS,
            help="append (default) adds rows; insert_new only those whose key is new; upsert "
            "updates those whose key is there.",
        ),
    ] = Mode.APPEND,
    flags: Flags,
) -> None:
    """Load refused rows again: from a corrected file, or as they came.

    They pass all checks of today, in one transaction. The same replay again
    loads no row twice: what was loaded does not wait any more.
    """
    chosen = bool(ids or table or load)
    if (file is not None) == chosen:
        raise UsageError("Say what to replay: a FILE, or else --id, --table or --load.")
    if file is not None and (code or column):
        raise UsageError("A FILE says itself what is replayed: leave out --code and --column.")
    told: list[ReplayResult] = []

    def select(connection: psycopg.Connection[Any]) -> Selection:
        status = None if ids else "waiting"
        return selection(connection, table, ids, load, code=code, column=column, status=status)

    def run(where: str, options: LoadOptions, command: str) -> list[LoadResult]:
        with end_at_once(as_json=flags.as_json):
            from penstock.loading.replay import run_replay

        observers = {"on_progress": options.on_progress, "on_step": options.on_step}
        said = {**flags.said(), **observers, "mode": mode.value}
        told.append(run_replay(where, file, select, said, command=command))
        return list(told[0].loads)

    results, seconds = carry_out(run, flags, LoadMode.APPEND)
    if not flags.quiet:
        _say(told[0])
    if flags.as_json:
        answer.answer(_as_object(told[0], seconds))
    left = "unsplit" in told[0].skipped.values() and not flags.rejects_ok
    raise typer.Exit(answer.QUARANTINED if left else exit_code(results, flags))


def _say(result: ReplayResult) -> None:
    verb = "would be replayed" if any(one.dry_run for one in result.loads) else "replayed"
    answer.say(f"{_rejects(result.replayed)} {verb}.")
    for why, numbers in _by_reason(result.skipped).items():
        named = ", ".join(f"#{number}" for number in numbers[:_NAMED])
        more = f" and {rows_text(len(numbers) - _NAMED)} more" if len(numbers) > _NAMED else ""
        answer.say(f"skipped: {named}{more} ({_SKIPPED.get(why, why)})")


def _by_reason(skipped: Mapping[int, str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, why in skipped.items():
        found.setdefault(why, []).append(number)
    return found


def _rejects(count: int) -> str:
    return "1 reject" if count == 1 else f"{count:,} rejects"


def _as_object(result: ReplayResult, seconds: float) -> dict[str, Any]:
    from penstock.cli.report import as_object

    return {
        "run_id": result.loads[0].run_id if result.loads else "",
        "target": result.target,
        "replayed": result.replayed,
        "waiting": result.waiting,
        "skipped": [{"id": number, "why": why} for number, why in result.skipped.items()],
        "loads": [as_object(load) for load in result.loads],
        "seconds": round(seconds, 3),
    }
