"""What `inspect` found out, as a value. Not for: finding it out, or showing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.model.result import ReasonCount


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedColumn:
    """One column of an input.

    Attributes:
        name: In the input.
        type: What it would be in a new table.
        because: Why, with the row that decided.
        note: What a person should know or decide; may be empty.
        nulls: Rows without a value.
        words: Texts that usually mean "no value" -> how often they came.
        distinct: Different values; None above a million.
        unique: True where each row has another value; None where that is not known.
        target: The table's column that it fills; empty where there is none.
        target_type: Of that column.
    """

    name: str
    type: str
    because: str
    note: str
    nulls: int
    words: Mapping[str, int]
    distinct: int | None
    unique: bool | None
    target: str = ""
    target_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What is in an input, and how to load it.

    Attributes:
        sources: Names of the files.
        table: The table that is meant.
        target: `user@host:port/database`; empty where no database was asked.
        exists: True where the table is there.
        format: `csv`, `json` and so on; `frame` for Polars frames.
        encoding: Of text; empty for other formats.
        encoding_because: What says so.
        delimiter: Of CSV; empty for other formats.
        delimiter_because: What says so.
        records: Records met; `rows + filtered`, and those without structure.
        rows: Rows among them.
        filtered: Wholly blank records.
        columns: In the order of the input.
        written: Option -> the row that decided it: `dates`, `numbers`, `null`, `empty`.
        refused: Rows that would be refused before they reach the table, `None` where that was not
            looked at because there is no table.
        reasons: Why, commonest first; records without structure too.
        first_rows: The first rows as they would load: column -> text, None for NULL.
        command: The words of the command that loads it.
        problems: What is in the way, and what no row decides.
        notes: What else a person should know.
    """

    sources: tuple[str, ...]
    table: str
    target: str
    exists: bool
    format: str
    encoding: str
    encoding_because: str
    delimiter: str
    delimiter_because: str
    records: int
    rows: int
    filtered: int
    columns: tuple[InspectedColumn, ...]
    written: Mapping[str, str]
    refused: int | None
    reasons: tuple[ReasonCount, ...]
    first_rows: tuple[Mapping[str, str | None], ...]
    command: tuple[str, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
