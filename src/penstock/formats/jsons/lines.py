"""A file with an object of JSON on each line (NDJSON, JSON Lines) as batches of text.

Not for: documents whose objects span lines (`document`).
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass

from penstock.errors import SourceError
from penstock.formats.bytes import Given, Source
from penstock.formats.jsons.records import RecordParser, keys_of
from penstock.formats.jsons.tokens import Refused
from penstock.formats.lines import BLOCK, Block, LineFile
from penstock.formats.reader import OfSource, Record, fetch_from
from penstock.model.batch import Batch
from penstock.model.naming import plain_name
from penstock.model.options import DEFAULT_MAX_RECORD_BYTES

#: Bytes at the beginning of a file whose keys are its columns.
BEGINNING = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonRows:
    """How objects of JSON become rows.

    Attributes:
        columns: The keys that become columns; None: those that the beginning of the file has.
        verbatim: Keys that keep their JSON as it is written, strings with their quotes.
        positional: Keys whose numbers are written without exponent.
        known: Columns of the target. A key that is like one of them is never left out.
        ignore_extra: True: a key that is no column, and like none of `known`, is left out.
        encoding: As declared; None: UTF-8, or what a byte order mark says.
        max_record_bytes: Longest record accepted.
    """

    columns: tuple[str, ...] | None = None
    verbatim: frozenset[str] = frozenset()
    positional: frozenset[str] = frozenset()
    known: tuple[str, ...] = ()
    ignore_extra: bool = False
    encoding: str | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES

    def parser(self, columns: tuple[str, ...]) -> RecordParser:
        """Takes the records apart."""
        known = {plain_name(name) for name in self.known}
        return RecordParser(
            columns,
            verbatim=self.verbatim,
            positional=self.positional,
            leave_out=lambda key: self.ignore_extra and plain_name(key) not in known,
        )


class NdjsonReader(OfSource):
    """One NDJSON file, read once from beginning to end in flat memory.

    Args:
        given: A file, compressed or not; or a binary stream, which `fetch` cannot read again.
        rows: How objects become rows.
        file: Number of the file within the load, from 0.
        name: How messages name it; default the path.
        block: Bytes looked at together; only tests change it.

    Attributes:
        name: How messages name it.

    Raises:
        SourceError: The file cannot be opened. On access to `columns`: it has no object. While
            reading: compression that is truncated or corrupt.
    """

    def __init__(
        self, given: Given, rows: JsonRows, *, file: int = 0, name: str = "", block: int = BLOCK
    ) -> None:
        self._given = given
        self._rows = rows
        self._file = file
        self._block = block
        self._source = Source(given, name=name, text=True)
        self.name = self._source.name
        self._lines = LineFile(
            self._source, rows.encoding, limit=rows.max_record_bytes, file=file, block=block
        )
        self._columns: tuple[str, ...] | None = rows.columns
        self._ahead: list[Block] = []

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys that become columns."""
        if self._columns is None:
            self._columns = self._found()
        return self._columns

    def batches(self) -> Generator[Batch, None, None]:
        """The records, in file order; every line is one."""
        try:
            parser = self._rows.parser(self.columns)
            for block in self._from_beginning():
                # What is refused already has no text; position and line are then not the same.
                kept = block.texts.is_not_null().arg_true()
                found = parser.parse(block.texts.gather(kept) if block.refused else block.texts)
                places = kept.gather(found.positions) if block.refused else found.positions
                refused = block.refused | {kept[at]: said for at, said in found.refused.items()}
                yield self._lines.batch(block, found.frame, places, refused, found.blank)
            self.drain()  # padding behind the end of compressed data
        finally:
            self.close()

    def _from_beginning(self) -> Iterator[Block]:
        while self._ahead:
            yield self._ahead.pop(0)
        yield from self._lines.blocks()

    def _found(self) -> tuple[str, ...]:
        size, keys = 0, dict[str, None]()
        refused: Refused | None = None
        for block in self._lines.blocks():
            self._ahead.append(block)
            met, wrong = keys_of(block.texts.drop_nulls())
            keys |= dict.fromkeys(met)
            refused = refused or wrong
            size += len(block.stored)
            if size >= BEGINNING:
                break
        if not self._ahead:
            raise SourceError(f"{self.name}: empty: it has no records.", code="empty")
        return keys_found(list(keys), refused, self.name)

    def fetch(self, rows: Collection[int]) -> dict[int, Record]:
        """Records once more, by a second pass over the same content.

        Raises:
            SourceError: The first pass is not finished, or the content is not the same any more.
            UsageError: A `_row` that this file does not have.
        """
        sha256 = self.sha256
        again = NdjsonReader(
            self._given, self._rows, file=self._file, name=self.name, block=self._block
        )
        return fetch_from(again, rows, sha256)


def keys_found(keys: list[str], refused: Refused | None, name: str) -> tuple[str, ...]:
    """The keys that were met, as columns.

    Raises:
        SourceError: There is none.
    """
    if not keys:
        why = f" The first record: {refused.reason}." if refused else ""
        raise SourceError(
            f"{name}: no record at its beginning is a JSON object with a key.{why} "
            "For CSV, say --format csv.",
            code="empty",
        )
    return tuple(keys)
