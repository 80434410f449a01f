"""Text files whose records are single physical lines, block by block.

Not for: CSV, where a record may span lines (`csv.framing`), or what a line means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from penstock.formats.bytes import Source
from penstock.formats.csv.parsed import encoding as not_decodable
from penstock.formats.csv.text import Text
from penstock.model.batch import LINE, ROW, Batch, Malformed, row_id

#: Bytes read at a time.
BLOCK = 4 << 20
#: Bytes of an overlong line that its reject keeps.
_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Block:
    """Some whole lines.

    Attributes:
        texts: The lines without their ends; String, NULL for those in `refused`.
        refused: Place among the lines -> code and reason.
        stored: The stored bytes.
        first: Number of the first line in the file, from 1.
    """

    texts: pl.Series
    refused: dict[int, tuple[str, str]]
    stored: bytes
    first: int


class LineFile:
    """A source as blocks of lines.

    Args:
        source: Where the stored bytes come from.
        encoding: As declared; None: UTF-8, or what a byte order mark says.
        limit: Bytes of UTF-8 above which a line is refused.
        file: Number of the file within the load, from 0.
        block: Bytes read at a time; only tests change it.
    """

    def __init__(
        self, source: Source, encoding: str | None, *, limit: int, file: int, block: int = BLOCK
    ) -> None:
        self._source = source
        self._limit = limit
        self._file = file
        self._text = Text(source, encoding, quote="", limit=limit, block=block)
        self._eol = self._text.eol.decode()
        self._next = 1

    def blocks(self) -> Iterator[Block]:
        """The lines that were not given yet, in file order."""
        while True:
            text, stored = self._text.read()
            if not text:
                return
            block = self._block(text, stored, self._next)
            self._next += len(block.texts)
            yield block

    def batch(
        self,
        block: Block,
        frame: pl.DataFrame,
        places: pl.Series,
        refused: dict[int, tuple[str, str]],
        blank: int,
    ) -> Batch:
        """A batch of what became of a block.

        Args:
            block: The lines.
            frame: The rows, a String column for each source column.
            places: Of each row among the block's lines.
            refused: Place -> code and reason of lines that are no rows, the block's included.
            blank: Lines without anything in them.
        """
        lines = block.first + places.cast(pl.Int64)
        numbered = frame.with_columns((lines + row_id(self._file, 0)).alias(ROW), lines.alias(LINE))

        def raw(positions: Sequence[int]) -> list[bytes]:
            return self.stored(block, places.gather(list(positions)).to_list())

        wrong = sorted(refused)
        malformed = [
            Malformed(
                row_id(self._file, block.first + place), block.first + place, line, *refused[place]
            )
            for place, line in zip(wrong, self.stored(block, wrong), strict=True)
        ]
        return Batch(
            frame=numbered,
            raw=raw,
            records=frame.height + len(refused) + blank,
            malformed=malformed,
            filtered=blank,
            read_bytes=self._source.consumed,
        )

    def stored(self, block: Block, places: Collection[int]) -> list[bytes]:
        """The stored bytes of lines by their places in a block, without their ends."""
        if not places:
            return []
        lines = self._text.lines(block.stored)
        found = [self._text.record(lines, place, 1) for place in places]
        return [line if len(line) <= self._limit else line[:_KEPT] for line in found]

    def _block(self, text: bytes, stored: bytes, first: int) -> Block:
        refused: dict[int, tuple[str, str]] = {}
        try:
            decoded: str = text.decode()
        except UnicodeDecodeError:
            texts = self._line_by_line(text, stored, refused)
        else:
            texts = pl.Series(decoded.removesuffix(self._eol).split(self._eol), dtype=pl.String)
        long = (texts.str.len_bytes() > self._limit).fill_null(value=False)
        if long.any():
            reason = (
                f"longer than {self._limit} bytes; raise max_record_bytes if such a line is meant; "
                f"the first {_KEPT} bytes are kept"
            )
            refused |= dict.fromkeys(long.arg_true(), ("too_long", reason))
            texts = texts.set(long, None)
        return Block(texts, refused, stored, first)

    def _line_by_line(
        self, text: bytes, stored: bytes, refused: dict[int, tuple[str, str]]
    ) -> pl.Series:
        texts: list[str | None] = []
        as_stored = self._text.lines(stored)
        for place, line in enumerate(text.removesuffix(self._text.eol).split(self._text.eol)):
            try:
                texts.append(line.decode())
            except UnicodeDecodeError:
                record = self._text.record(as_stored, place, 1)
                refused[place] = "encoding", not_decodable(record, self._text.encoding)
                texts.append(None)
        return pl.Series(texts, dtype=pl.String)
