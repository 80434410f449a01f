"""A JSON document with an array of objects as batches of text.

The document is never held whole: the array's elements are cut out of it one after another, and
then read as the lines of NDJSON are. A document that is no JSON is no input, and an error; an
element that is no object is a record refused.
Not for: what an object's values are (`records`).
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Generator, Iterator, Sequence

import polars as pl

from penstock.errors import SourceError
from penstock.formats.bytes import Given, Source
from penstock.formats.jsons.cutting import Cutter, Element
from penstock.formats.jsons.lines import BEGINNING, JsonRows, keys_found
from penstock.formats.jsons.records import keys_of
from penstock.formats.lines import BLOCK
from penstock.formats.reader import OfSource, Record, fetch_from
from penstock.model.batch import LINE, ROW, Batch, Malformed, row_id


class DocumentReader(OfSource):
    """One JSON document, read once from beginning to end in flat memory.

    Args:
        given: A file, compressed or not; or a binary stream, which `fetch` cannot read again.
        rows: How objects become rows.
        path: Keys that lead to the array; empty: the document is the array.
        file: Number of the file within the load, from 0.
        name: How messages name it; default the path.
        block: Bytes looked at together; only tests change it.

    Attributes:
        name: How messages name it.

    Raises:
        SourceError: The file cannot be opened. On access to `columns` and while reading: it is
            no JSON, is cut off, or has no array of objects there.
    """

    def __init__(
        self,
        given: Given,
        rows: JsonRows,
        path: Sequence[str] = (),
        *,
        file: int = 0,
        name: str = "",
        block: int = BLOCK,
    ) -> None:
        self._given = given
        self._rows = rows
        self._path = tuple(path)
        self._file = file
        self._block = block
        self._source = Source(given, name=name, text=True)
        self.name = self._source.name
        self._parts = self._cut()
        self._columns: tuple[str, ...] | None = rows.columns
        self._ahead: list[list[Element]] = []

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys that become columns."""
        if self._columns is None:
            self._columns = self._found()
        return self._columns

    def batches(self) -> Generator[Batch, None, None]:
        """The elements of the array, in its order."""
        try:
            parser = self._rows.parser(self.columns)
            first = 1
            for part in self._from_beginning():
                found = parser.parse(pl.Series([one.text for one in part], dtype=pl.String))
                yield self._batch(part, first, found.frame, found.positions, found.refused)
                first += len(part)
            self.drain()
        finally:
            self.close()

    def fetch(self, rows: Collection[int]) -> dict[int, Record]:
        """Records once more, by a second pass over the same content.

        Raises:
            SourceError: The first pass is not finished, or the content is not the same any more.
            UsageError: A `_row` that this file does not have.
        """
        sha256 = self.sha256
        again = DocumentReader(
            self._given,
            self._rows,
            self._path,
            file=self._file,
            name=self.name,
            block=self._block,
        )
        return fetch_from(again, rows, sha256)

    def _from_beginning(self) -> Iterator[list[Element]]:
        while self._ahead:
            yield self._ahead.pop(0)
        yield from self._parts

    def _found(self) -> tuple[str, ...]:
        size = 0
        keys: dict[str, None] = {}
        refused = None
        for part in self._parts:
            self._ahead.append(part)
            met, wrong = keys_of(pl.Series([one.text for one in part], dtype=pl.String))
            keys |= dict.fromkeys(met)
            refused = refused or wrong
            size += sum(len(one.text) for one in part)
            if size >= BEGINNING:
                break
        if not self._ahead:
            raise SourceError(f"{self.name}: empty: its array has no elements.", code="empty")
        return keys_found(list(keys), refused, self.name)

    def _batch(
        self,
        part: list[Element],
        first: int,
        frame: pl.DataFrame,
        places: pl.Series,
        refused: dict[int, tuple[str, str]],
    ) -> Batch:
        start = row_id(self._file, first)
        lines = pl.Series([one.line for one in part], dtype=pl.Int64)
        numbered = frame.with_columns(
            (places.cast(pl.Int64) + start).alias(ROW), lines.gather(places).alias(LINE)
        )

        def raw(positions: Sequence[int]) -> list[bytes]:
            return [part[places[position]].text.encode() for position in positions]

        malformed = [
            Malformed(start + place, part[place].line, part[place].text.encode(), *said)
            for place, said in refused.items()
        ]
        return Batch(numbered, raw, len(part), malformed, 0, self._source.consumed)

    def _cut(self) -> Iterator[list[Element]]:
        """The elements, a block of them at a time."""
        cutter = Cutter(self._text(), self.name, self._rows.max_record_bytes)
        cutter.enter(self._path)
        part: list[Element] = []
        size = 0
        for element in cutter.elements():
            part.append(element)
            size += len(element.text)
            if size >= self._block:
                yield part
                part, size = [], 0
        if part:
            yield part
        cutter.leave(self._path)

    def _text(self) -> Iterator[str]:
        """The document's text, a block at a time."""
        codec = self._rows.encoding or "utf-8-sig"
        try:
            decoder = codecs.getincrementaldecoder("utf-8-sig" if codec == "utf-8" else codec)()
            while piece := self._source.read(self._block):
                yield decoder.decode(piece)
            yield decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{self.name}: byte 0x{error.object[error.start]:02X} is no {error.encoding}. "
                "Convert the file, or declare --encoding.",
                code="encoding",
            ) from error
