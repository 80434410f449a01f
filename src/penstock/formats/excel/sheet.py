"""The rows of a sheet, one after another. Not for: names of columns, or batches (`reader`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from penstock.formats.excel.package import Attributes, Sheet, Workbook, unescaped
from penstock.formats.excel.values import Look, NoValue, Writing, number_text, time_text

_DIGITS = "0123456789"


@dataclass(slots=True)
class Row:
    """A row of a sheet.

    Attributes:
        number: As the sheet counts, from 1.
        cells: Column (from 0) -> text; blank cells are left out.
        wrong: Column (from 0) -> why its cell has no value.
    """

    number: int
    cells: dict[int, str] = field(default_factory=dict)
    wrong: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Cell:
    column: int
    kind: str
    style: int
    formula: bool = False
    stored: str | None = None
    inline: list[str] = field(default_factory=list)


def letters(column: int) -> str:
    """The name of a column (from 0): A, B, ... Z, AA."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(ord("A") + rest) + name
    return name


def rows(book: Workbook, sheet: Sheet, writing: Writing) -> Iterator[Row]:
    """The rows that the sheet has, blank ones among them where they are formatted.

    Raises:
        SourceError: The sheet is damaged.
    """
    parsing = _Parsing(book, writing)
    with book.parse(sheet.part, parsing.start, parsing.end, parsing.text) as feed:
        while feed.more():
            yield from parsing.take()
    yield from parsing.take()


class _Parsing:
    """What the parser of a sheet's XML has met."""

    def __init__(self, book: Workbook, writing: Writing) -> None:
        self._book = book
        self._writing = writing
        self._done: list[Row] = []
        self._row = Row(0)
        self._column = -1
        self._cell: _Cell | None = None
        self._into = ""
        self._spoken = False

    def take(self) -> list[Row]:
        """The rows that are complete."""
        done, self._done = self._done, []
        return done

    def start(self, name: str, given: Attributes) -> None:
        if name == "c":
            place = given.get("r", "").rstrip(_DIGITS)
            self._column = _column(place) if place else self._column + 1
            self._cell = _Cell(self._column, given.get("t", "n"), int(given.get("s", 0)))
        elif name == "row":
            number = int(given["r"]) if "r" in given else self._row.number + 1
            self._row, self._column = Row(number), -1
        elif self._cell is not None:
            if name == "v":
                self._cell.stored = ""
            elif name == "f":
                self._cell.formula = True
            elif name == "rPh":
                self._spoken = True
            self._into = name if name != "t" or not self._spoken else ""

    def text(self, data: str) -> None:
        if self._cell is not None:
            if self._into == "v":
                self._cell.stored = (self._cell.stored or "") + data
            elif self._into == "t":
                self._cell.inline.append(data)

    def end(self, name: str) -> None:
        self._into = ""
        if name == "c" and self._cell is not None:
            try:
                value = self._value(self._cell)
                if value is not None and "\0" in value:
                    raise NoValue("a NUL character, which no text in PostgreSQL can hold")
            except NoValue as why:
                place = f"{letters(self._cell.column)}{self._row.number}"
                self._row.wrong[self._cell.column] = f"{place}: {why}"
            else:
                if value is not None:
                    self._row.cells[self._cell.column] = value
            self._cell = None
        elif name == "row":
            self._done.append(self._row)
        elif name == "rPh":
            self._spoken = False

    def _value(self, cell: _Cell) -> str | None:
        """A cell's text; None where it is blank.

        Raises:
            NoValue: It has an error, or no exact value.
        """
        if cell.kind == "inlineStr":
            return unescaped("".join(cell.inline))
        if cell.stored is None:
            if cell.formula:
                raise NoValue(
                    "a formula without a stored result: open the file in Excel and save it"
                )
            return None
        match cell.kind:
            case "s":
                return self._shared(cell.stored)
            case "str":
                return unescaped(cell.stored)
            case "b":
                return "true" if cell.stored.strip() == "1" else "false"
            case "e":
                raise NoValue(f"the error {cell.stored}")
            case "d":
                return cell.stored.removesuffix("T00:00:00")
        looks = self._book.looks
        look = looks[cell.style] if cell.style < len(looks) else Look.NUMBER
        if not cell.stored.strip():
            return None
        if look is Look.NUMBER:
            text = number_text(cell.stored)
            decimal = self._writing.decimal
            return text if decimal == "." else text.replace(".", decimal)
        return time_text(
            cell.stored, look, since_1904=self._book.since_1904, dates=self._writing.dates
        )

    def _shared(self, stored: str) -> str:
        texts = self._book.texts
        if not stored.strip().isdigit() or int(stored) >= len(texts):
            raise NoValue(f"text {stored} is not in the workbook, which is damaged")
        return texts[int(stored)]


@lru_cache(1 << 14)  # the columns of a sheet
def _column(name: str) -> int:
    column = 0
    for letter in name:
        column = column * 26 + ord(letter) - ord("A") + 1
    return column - 1
