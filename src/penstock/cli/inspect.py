"""`penstock inspect`: says what is in a file and how to load it. Not for: finding it out."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.cli import answer
from penstock.cli.arguments import files_and_table
from penstock.cli.database import Dsn, database
from penstock.cli.flags import Flags, takes_flags
from penstock.cli.written import InputFlags
from penstock.errors import UsageError
from penstock.model.options import LoadMode

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from penstock.loading.inspection import InspectedColumn, Inspection

INSPECT_EXAMPLES = """
[bold]Examples[/bold]
  penstock inspect export.csv                what is it, and how is it loaded?
  penstock inspect export.csv shop.sales     which of its values would be refused?
  penstock inspect export.csv --encoding cp1252 --json

[bold]Exit status[/bold]
  0  it can be read              1  it cannot              2  wrong use
"""

#: Columns of a terminal that the first rows may take.
_WIDTH = 80
#: Most characters of one value among them.
_VALUE = 26
#: Where a line of the command goes on in the next.
_COMMAND = 76


@takes_flags(InputFlags)
def inspect(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... [TABLE]",
            show_default=False,
            help="Files of one kind, and the table that they are for. Without a table, the one "
            "that the files are named after.",
        ),
    ],
    *,
    dsn: Dsn = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object on standard output.")
    ] = False,
    flags: Flags,
) -> None:
    """Look at a file from its first row to its last, and propose the command that loads it.

    Encoding, delimiter, types, dates, numbers and NULLs, each with the row that
    decides it; with a table also the values that it would refuse. What no row
    decides is said, not guessed. Nothing is changed, in no database.
    """
    from penstock.loading.inspect import inspected

    options = flags.options(LoadMode.APPEND)
    files, table = files_and_table(words)
    where, missing = None, ""
    try:
        found = database(dsn)
    except UsageError:
        if dsn is not None:
            raise
        missing = "no database was asked: nothing says which (--dsn, PENSTOCK_DSN)"
    else:
        answer.say(str(found), "bold")
        where = found.dsn
    inspection = inspected(files, table, where, options)
    _tell(inspection, missing)
    if as_json:
        answer.answer(as_object(inspection))


def as_object(inspection: Inspection) -> dict[str, Any]:
    """The inspection as `--json` gives it."""
    found = asdict(inspection)
    for reason in found["reasons"]:
        reason["samples"] = [sample._asdict() for sample in reason["samples"]]
    return found


def _tell(inspection: Inspection, missing: str) -> None:
    from rich.text import Text

    from penstock.cli.report import reason_lines

    out = answer.console()
    for indent, line in _beginning(inspection):
        _indented(out, indent, line)
    answer.show(_columns(inspection))
    for option, because in inspection.written.items():
        _indented(out, 2, Text(f"--{option}: decided by {answer.plain(because)}"))
    for problem in inspection.problems:
        _indented(out, 2, Text.assemble(("problem: ", "yellow"), answer.plain(problem)))
    for note in (*inspection.notes, *([missing] if missing else [])):
        _indented(out, 2, Text.assemble(("note: ", "cyan"), answer.plain(note)))
    for reason in inspection.reasons:
        for indent, line in reason_lines(reason):
            _indented(out, indent, line)
    if inspection.first_rows:
        out.print(Text("The first rows as they would load:"))
        answer.show(_first_rows(inspection.first_rows))
    out.print(Text("Load it:"))
    for part in _command(inspection.command):
        out.print(Text(part, "bold"))


def _indented(out: Console, indent: int, line: Text) -> None:
    """Print a line; on a terminal what does not fit goes on below its beginning."""
    from rich.padding import Padding
    from rich.text import Text

    if out.is_terminal:
        out.print(Padding(line, (0, 0, 0, indent), expand=False))
    else:
        out.print(Text(" " * indent).append_text(line))


def _beginning(inspection: Inspection) -> Iterator[tuple[int, Text]]:
    from rich.text import Text

    names = ", ".join(map(answer.plain, inspection.sources))
    yield 0, Text.assemble((names, "bold"), f": {inspection.format}")
    if inspection.encoding:
        because = answer.plain(inspection.encoding_because)
        yield 2, Text(f"encoding {inspection.encoding}: {because}")
    if inspection.delimiter:
        shown = "tab" if inspection.delimiter == "\t" else inspection.delimiter
        yield 2, Text(f"delimiter {shown}: {answer.plain(inspection.delimiter_because)}")
    counts = f"{inspection.rows:,} {'row' if inspection.rows == 1 else 'rows'}"
    without = inspection.records - inspection.rows - inspection.filtered
    for count, what in ((inspection.filtered, "blank"), (without, "without structure")):
        if count:
            counts += f", {count:,} {what}"
    if inspection.refused is not None:
        counts += f"; {inspection.refused:,} would be refused by {inspection.table}"
    yield 2, Text(counts)


def _columns(inspection: Inspection) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None, pad_edge=True, show_edge=False, header_style="dim", padding=(0, 2, 0, 0)
    )
    table.add_column("  column", overflow="fold", max_width=24)
    if inspection.exists:
        table.add_column("fills", overflow="fold", max_width=24)
    else:
        table.add_column("type", overflow="fold")
    table.add_column("decided by", overflow="fold")
    for one in inspection.columns:
        if inspection.exists:
            kind = f"{one.target} {one.target_type}" if one.target else "nothing"
            why = f"{one.type}: {_why(one)}"
        else:
            kind, why = one.type, _why(one)
        table.add_row(*(Text(answer.plain(cell)) for cell in (f"  {one.name}", kind, why)))
    return table


def _why(one: InspectedColumn) -> str:
    parts = [one.because]
    if one.nulls:
        parts.append(f"{one.nulls:,} NULL")
    parts += [f"{rows:,} {text!r}" for text, rows in one.words.items()]
    said = ", ".join(parts)
    return f"{said}; {one.note}" if one.note else said


def _first_rows(rows: Sequence[Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    names = list(rows[0])
    cells = [[_cell(row[name]) for name in names] for row in rows]
    shown, room = 0, _WIDTH - 2
    for place, name in enumerate(names):
        width = max(len(text) for text in (_cell(name), *(row[place] for row in cells))) + 2
        if room - width < (len(", and 999 more") if place < len(names) - 1 else 0):
            break
        shown, room = shown + 1, room - width
    table = Table(box=None, show_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for place, name in enumerate(names[:shown]):
        table.add_column(Text(("  " if not place else "") + _cell(name)), no_wrap=True)
    if shown < len(names):
        table.add_column(Text(f"and {len(names) - shown} more"))
    for row in cells:
        table.add_row(*(Text(("  " if not n else "") + text) for n, text in enumerate(row[:shown])))
    return table


def _cell(value: str | None) -> str:
    if value is None:
        return "NULL"
    text = answer.plain(value)
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 3]}..."


def _command(words: Sequence[str]) -> Iterator[str]:
    """The command, broken before an option where it is long, so that it can be copied."""
    line = " "
    for place, word in enumerate(words):
        shown = shlex.quote(word)
        option = word.startswith("--")
        with_value = option and place + 1 < len(words) and not words[place + 1].startswith("--")
        needed = len(shown) + (len(shlex.quote(words[place + 1])) + 1 if with_value else 0)
        if option and len(line) + needed + 1 > _COMMAND:
            yield f"{line} \\"
            line = "   "
        line += f" {shown}"
    yield line
