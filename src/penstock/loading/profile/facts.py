"""What was found out about the columns of an input. Not for: finding it out (`reading`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from penstock.loading.types.check import shown
from penstock.model.batch import record_of


@dataclass(frozen=True, slots=True)
class At:
    """One value and where it stands.

    Attributes:
        file: The input's name, where there are several; else empty.
        line: Its physical line, from 1; 0 for frames.
        row: Its `_row`.
        value: The text.
    """

    file: str
    line: int
    row: int
    value: str

    @property
    def place(self) -> str:
        """`line 17`, or `row 16` of a frame; behind the file, where there are several."""
        place = f"line {self.line:,}" if self.line else f"row {record_of(self.row):,}"
        return f"{self.file} {place}" if self.file else place

    def __str__(self) -> str:
        return f"{self.place}: {shown(self.value)}"


@dataclass(frozen=True, slots=True, order=True)
class Reading:
    """A type under one way of writing it.

    Attributes:
        kind: `boolean`, `number`, `float`, `date`, `timestamp`, `timestamptz`, `uuid`, `jsonb`.
        written: A pattern of `--dates` or an example of `--numbers`; empty for the others.
    """

    kind: str
    written: str = ""


@dataclass(slots=True)
class Word:
    """A text that usually means "no value".

    Attributes:
        rows: How often it came.
        first: Where it came first.
    """

    rows: int
    first: At


@dataclass(slots=True)
class NumberFacts:
    """How large the numbers of a column are, under one way of writing them.

    Attributes:
        whole: Most digits before the decimal mark; a lone 0 counts none.
        scale: Most digits after it.
        low: Smallest whole part; None where one does not fit bigint.
        high: Largest whole part; None as for `low`.
        fraction: True where decimals are not all zero.
        widest: The row with most digits before the mark.
        finest: The row with most digits after it.
    """

    whole: int
    scale: int
    low: int | None
    high: int | None
    fraction: bool
    widest: At
    finest: At


@dataclass(slots=True)
class ColumnFacts:
    """What was found out about one column.

    Attributes:
        name: In the input.
        typed: True where it came typed, so that declarations about text do not apply.
        rows: Rows met.
        nulls: NULLs among them, and texts that were declared to mean NULL.
        words: Texts that usually mean "no value", exactly as written; `""` and blanks too.
        first: The first value that is no such word; None where there is none.
        distinct: Different texts, NULL not counted; None where there are too many to count.
        alive: The readings that every value fits.
        died: The other readings, with the first value that each does not fit.
        numbers: How large the numbers are, for the readings as numbers that are alive.
        marked: The first value with a point, a comma or a grouping mark, if any.
        booleans: The words for true and false that occur, in lower case.
    """

    name: str
    typed: bool = False
    rows: int = 0
    nulls: int = 0
    words: dict[str, Word] = field(default_factory=dict)
    first: At | None = None
    distinct: int | None = 0
    alive: set[Reading] = field(default_factory=set)
    died: dict[Reading, At] = field(default_factory=dict)
    numbers: dict[str, NumberFacts] = field(default_factory=dict)
    marked: At | None = None
    booleans: set[str] = field(default_factory=set)

    @property
    def unique(self) -> bool | None:
        """True where every row has another value; None where that was not counted."""
        return None if self.distinct is None else 0 < self.rows == self.distinct


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What was found out about an input.

    Attributes:
        names: Of the files or frames, in order.
        columns: In the order of the first input.
        records: Records met.
        rows: Rows among them.
        filtered: Wholly blank records.
        malformed: Rule name -> records without structure, and the first reason with its place.
    """

    names: tuple[str, ...]
    columns: tuple[ColumnFacts, ...]
    records: int
    rows: int
    filtered: int
    malformed: Mapping[str, tuple[int, str]]
