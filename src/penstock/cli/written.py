"""The options that say what a load reads and how it is written. Not for: what the load does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import typer

from penstock.model.options import Format

_WHAT = "What to load"
_WRITTEN = "How it is written"


def option(panel: str, help_text: str, *names: str, metavar: str | None = None) -> Any:
    """An option of the command line, shown in a panel of `--help`."""
    return typer.Option(
        *names, metavar=metavar, help=help_text, rich_help_panel=panel, show_default=False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFlags:
    """What was said of the input, as typed; None and False where nothing was said."""

    columns: Annotated[
        str | None,
        option(
            _WHAT,
            "The columns' names in file order (a,b,c), or only renames (source=target,...).",
            "--columns",
            metavar="NAMES",
        ),
    ] = None
    ignore_extra: Annotated[
        bool,
        option(_WHAT, "Leave out columns that the table does not have.", "--ignore-extra"),
    ] = False
    again: Annotated[
        bool,
        option(_WHAT, "Load a file even if the same content was loaded before.", "--again"),
    ] = False
    format: Annotated[
        Format | None,
        option(
            _WHAT,
            "csv, ndjson, json, parquet, excel or fixed. Default: as the file's name says.",
            "--format",
            metavar="FORMAT",
        ),
    ] = None
    json_path: Annotated[
        str | None,
        option(
            _WHAT,
            "Keys that lead to the array in a .json file, such as data.items.",
            "--json-path",
            metavar="KEYS",
        ),
    ] = None
    sheet: Annotated[
        str | None,
        option(
            _WHAT,
            "The sheet of a workbook by name or number. Default: the only one.",
            "--sheet",
            metavar="NAME",
        ),
    ] = None
    header_row: Annotated[
        int | None,
        option(
            _WHAT,
            "The row of a sheet that has the names. Default: the first that is not blank.",
            "--header-row",
            metavar="N",
        ),
    ] = None
    fixed: Annotated[
        str | None,
        option(
            _WHAT,
            'Fields at fixed positions: "id:1-6,name:7-30".',
            "--fixed",
            metavar="FIELDS",
        ),
    ] = None
    records: Annotated[
        str | None,
        option(
            _WHAT,
            "Kinds of lines with --fixed: where the kind stands, what each is, where a trailer "
            'counts the rows: "1:H=header,D=row,T=trailer:2-9".',
            "--records",
            metavar="KINDS",
        ),
    ] = None
    delimiter: Annotated[
        str | None,
        option(
            _WRITTEN,
            "One character, or tab. Default: the one of , ; tab | whose header fits the table.",
            "--delimiter",
            metavar="CHAR",
        ),
    ] = None
    quote: Annotated[
        str,
        option(
            _WRITTEN, 'Default: ". For a file without quoting: none.', "--quote", metavar="CHAR"
        ),
    ] = '"'
    escape: Annotated[
        str | None,
        option(
            _WRITTEN,
            "What comes before a quote inside quotes. Default: the quote itself, doubled.",
            "--escape",
            metavar="CHAR",
        ),
    ] = None
    encoding: Annotated[
        str | None,
        option(
            _WRITTEN,
            "Such as cp1252. Default: UTF-8, or what a byte order mark says.",
            "--encoding",
            metavar="NAME",
        ),
    ] = None
    no_header: Annotated[
        bool,
        option(_WRITTEN, "The first line is data: name the columns by --columns.", "--no-header"),
    ] = False
    null: Annotated[
        list[str] | None,
        option(
            _WRITTEN,
            "A text that means NULL, such as NA; may be repeated.",
            "--null",
            metavar="TEXT",
        ),
    ] = None
    empty: Annotated[
        Literal["null", "text"] | None,
        option(
            _WRITTEN,
            'Every empty field is null or text. Default: unquoted NULL, "" the empty text.',
            "--empty",
            metavar="WHAT",
        ),
    ] = None
    dates: Annotated[
        str | None,
        option(
            _WRITTEN,
            "Such as DD/MM/YYYY or D.M.YYYY; years have four digits. Default: YYYY-MM-DD.",
            "--dates",
            metavar="PATTERN",
        ),
    ] = None
    numbers: Annotated[
        str | None,
        option(
            _WRITTEN,
            'An example, such as "1.234,56". Default: 1234.56.',
            "--numbers",
            metavar="EXAMPLE",
        ),
    ] = None
    timezone: Annotated[
        str | None,
        option(
            _WRITTEN,
            "Of times without an offset, such as Europe/Berlin.",
            "--timezone",
            metavar="ZONE",
        ),
    ] = None
    round: Annotated[
        bool,
        option(_WRITTEN, "Round decimals that the column has no room for; counted.", "--round"),
    ] = False
    trim: Annotated[bool, option(_WRITTEN, "Take away blanks around text; counted.", "--trim")] = (
        False
    )
