"""A file of fixed width as batches of text with the origin of every line.

Positions count characters, not bytes. Not for: the short form of its options (`spec`).
"""

from __future__ import annotations

from collections.abc import Collection, Generator

import polars as pl

from penstock.errors import SourceError
from penstock.formats.bytes import Given, Source
from penstock.formats.lines import BLOCK, Block, LineFile
from penstock.formats.reader import OfSource, Record, fetch_from
from penstock.model.batch import Batch
from penstock.model.options import DEFAULT_MAX_RECORD_BYTES, FixedOptions

_BLANKS = " \t\r"


class FixedReader(OfSource):
    """One file of fixed width, read once from beginning to end in flat memory.

    Args:
        given: A file, compressed or not; or a binary stream, which `fetch` cannot read again.
        options: Where the fields stand, and which kinds of records there are.
        encoding: As declared; None: UTF-8, or what a byte order mark says.
        max_record_bytes: Longest line accepted.
        file: Number of the file within the load, from 0.
        name: How messages name it; default the path.
        block: Bytes looked at together; only tests change it.

    Attributes:
        name: How messages name it.
        columns: The names of the fields.

    Raises:
        SourceError: The file cannot be opened. While reading: a trailer is missing, or counts
            other rows than there are; compression that is truncated or corrupt.
    """

    def __init__(
        self,
        given: Given,
        options: FixedOptions,
        *,
        encoding: str | None = None,
        max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES,
        file: int = 0,
        name: str = "",
        block: int = BLOCK,
    ) -> None:
        self._given = given
        self._options = options
        self._encoding = encoding
        self._limit = max_record_bytes
        self._file = file
        self._block = block
        self._source = Source(given, name=name, text=True)
        self.name = self._source.name
        self.columns = tuple(name for name, _, _ in options.fields)
        self._lines = LineFile(
            self._source, encoding, limit=max_record_bytes, file=file, block=block
        )
        self._rows = 0  # since the last trailer
        self._closed = not options.trailers

    def batches(self) -> Generator[Batch, None, None]:
        """The rows, in file order; headers and trailers are none, and are not counted."""
        try:
            for block in self._lines.blocks():
                yield self._batch(block)
            self.drain()  # padding behind the end of compressed data
            if not self._closed:
                kinds = " or ".join(self._options.trailers)
                raise SourceError(
                    f"{self.name}: does not end with a trailer ({kinds}). The file was not copied "
                    "whole: fetch it again.",
                    code="trailer",
                )
        finally:
            self.close()

    def fetch(self, rows: Collection[int]) -> dict[int, Record]:
        """Records once more, by a second pass over the same content.

        Raises:
            SourceError: The first pass is not finished, or the content is not the same any more.
            UsageError: A `_row` that this file does not have.
        """
        sha256 = self.sha256
        again = FixedReader(
            self._given,
            self._options,
            encoding=self._encoding,
            max_record_bytes=self._limit,
            file=self._file,
            name=self.name,
            block=self._block,
        )
        return fetch_from(again, rows, sha256)

    def _batch(self, block: Block) -> Batch:
        texts = block.texts.str.strip_suffix("\r")
        refused = dict(block.refused)
        empty = (texts.str.strip_chars(_BLANKS) == "").fill_null(value=False)
        row = texts.is_not_null() & ~empty
        if self._options.kind is not None:
            row = self._rows_among(texts, row, refused, block.first)
        self._refuse(texts, row & texts.str.contains("\0", literal=True), refused, "nul")
        end = max(last for _, _, last in self._options.fields)
        self._refuse(texts, row & (texts.str.len_chars() < end), refused, "short")
        wrong = pl.Series(list(refused), dtype=pl.UInt32)
        places = row.arg_true()
        places = places.filter(~places.is_in(wrong.implode()))
        good = texts.gather(places)
        frame = pl.DataFrame(
            [
                good.str.slice(first - 1, last - first + 1).str.strip_chars(_BLANKS).alias(name)
                for name, first, last in self._options.fields
            ]
        )
        frame = frame.select(pl.when(pl.all() != "").then(pl.all()))
        return self._lines.batch(block, frame, places, refused, int(empty.sum()))

    def _refuse(
        self,
        texts: pl.Series,
        wrong: pl.Series,
        refused: dict[int, tuple[str, str]],
        code: str,
    ) -> None:
        if not wrong.any():
            return
        for place in wrong.fill_null(value=False).arg_true():
            reason = "a NUL character, which no text in PostgreSQL can hold"
            if code == "short":
                length = len(texts[place])
                lacking = [name for name, _, last in self._options.fields if last > length]
                end = max(last for _, _, last in self._options.fields)
                reason = f"{length} characters, {end} expected: too few for {', '.join(lacking)}"
            refused.setdefault(place, (code, reason))

    def _rows_among(
        self,
        texts: pl.Series,
        filled: pl.Series,
        refused: dict[int, tuple[str, str]],
        first_line: int,
    ) -> pl.Series:
        """Which lines are rows; the counts of trailers are compared on the way."""
        options = self._options
        first, last = options.kind or (1, 1)
        kind = texts.str.slice(first - 1, last - first + 1).str.strip_chars(_BLANKS)
        row = filled & kind.is_in(list(options.details))
        trailer = filled & kind.is_in(list(options.trailers))
        odd = filled & ~row & ~trailer & ~kind.is_in(list(options.headers))
        for place in odd.fill_null(value=False).arg_true():
            known = ", ".join([*options.headers, *options.details, *options.trailers])
            refused[place] = "record_kind", f"the kind {kind[place]!r} is none of {known}"
        # A line that cannot be read was a row, as far as one can know.
        counted = row | texts.is_null()
        before = 0
        for place in trailer.fill_null(value=False).arg_true():
            self._rows += int(counted[before:place].sum())
            self._compare(texts[place], kind[place], first_line + place)
            before, self._rows, self._closed = place + 1, 0, True
        rest = int(counted[before:].sum())
        self._rows += rest
        self._closed = self._closed and not (rest and options.trailers)
        return row.fill_null(value=False)

    def _compare(self, line: str, kind: str, number: int) -> None:
        span = self._options.trailers[kind]
        if span is None:
            return
        said = line[span[0] - 1 : span[1]].strip(_BLANKS)
        if not (said.isascii() and said.isdigit()) or int(said) != self._rows:
            raise SourceError(
                f"{self.name}: line {number}: the trailer says {said or 'nothing'}, and there are "
                f"{self._rows:,} rows before it. The file is not whole, or --records is wrong.",
                code="trailer",
            )
