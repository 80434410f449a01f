"""Blocks whose structure the bytes prove: Polars only fills columns.

Polars alone pads short records, makes rows of blank lines and accepts some malformed quotes, so
nothing is given to it whose records and fields were not counted before.
Not for: malformed quotes, escape characters, several-byte delimiters (`careful`).
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from itertools import accumulate, compress, pairwise

import polars as pl

from penstock.formats.csv.dialect import BLANKS, Dialect
from penstock.formats.csv.parsed import Parsed, Refused, condemned, is_text, ragged, schema
from penstock.model.batch import LINE, ROW


class FastReader:
    """Takes well-formed blocks apart at the speed of Polars.

    Args:
        dialect: How the file is written.
        columns: Names of the source columns.
        limit: Longest record in bytes.
    """

    def __init__(self, dialect: Dialect, columns: Sequence[str], limit: int) -> None:
        self._dialect = dialect
        self._columns = list(columns)
        self._limit = limit
        self._quote = dialect.quote.encode()
        self._delimiter = dialect.delimiter.encode()
        self._line = self._delimiter * (len(self._columns) - 1) + dialect.eol

    def parse(self, text: bytes) -> Parsed | None:
        """A block of whole records; None where something needs a closer look."""
        bare = self._bare(text)
        if bare is None:
            return None
        if len(text) <= self._limit:
            frame = self._fill(text, self._count(text, bare))
            if frame is not None:
                return self._number(text, frame)
        elif bare is not text:
            return None
        return self._sift(text, bare)

    def proves(self, text: bytes) -> int | None:
        """The number of records of a block; None where the bytes prove no structure.

        Proof: with the well-formed quoted fields taken out no quote is left, and the
        delimiters and line ends that remain are exactly those of records with as many fields
        as there are columns. Blank records with all their delimiters count as records.
        """
        bare = self._bare(text)
        return None if bare is None else self._count(text, bare)

    def fill(self, text: bytes) -> pl.DataFrame | None:
        """The fields of a block of whole records; None where the bytes prove no structure.

        Unquoted empty fields are NULL, quoted ones the empty text.
        """
        return self._fill(text, self.proves(text))

    def _bare(self, text: bytes) -> bytes | None:
        """The text without its quoted fields; None where a quote is malformed."""
        if not self._dialect.provable:
            return None
        if not self._quote or self._quote not in text:
            return text
        bare = self._dialect.quoted.sub(b"", text)
        return None if self._quote in bare else bare

    def _count(self, text: bytes, bare: bytes) -> int | None:
        """The number of records, all of them with the right number of fields, or None."""
        if b"\0" in text or not is_text(text):
            return None
        skeleton = self._skeleton(bare)
        if text and not text.endswith(self._dialect.eol):
            skeleton += self._dialect.eol
        records = len(skeleton) // len(self._line)
        return records if skeleton == self._line * records else None

    def _fill(self, text: bytes, records: int | None) -> pl.DataFrame | None:
        """The fields of so many proven records."""
        if records is None or text.startswith(codecs.BOM_UTF8):
            return None  # Polars takes a byte order mark off every block that begins with one
        columns = dict.fromkeys(self._columns, pl.String)
        if not records:
            return pl.DataFrame(schema=columns)
        eol = self._dialect.eol
        frame = pl.read_csv(
            # Without its line end Polars would not see a last record of one empty field.
            text if text.endswith(eol) else text + eol,
            has_header=False,
            schema=columns,
            infer_schema=False,
            separator=self._dialect.delimiter,
            quote_char=self._dialect.quote or None,
            eol_char=eol.decode(),
        )
        # Polars disagreeing with the proof would be a defect of one of them: look closely.
        return frame if frame.height == records else None

    def _skeleton(self, bare: bytes) -> bytes:
        """Delimiters, line ends, and what may not be there; CRLF counts as LF."""
        if self._dialect.eol == b"\n" and b"\r" in bare:
            # Before the text between goes: in CR, a, LF the two bytes are no line end together.
            bare = bare.replace(b"\r\n", b"\n")
        return bare.translate(None, self._dialect.meaningless)

    def _number(self, text: bytes, frame: pl.DataFrame) -> Parsed | None:
        """Give every row its record and line, and take blank ones out."""
        records = frame.height
        eol = self._dialect.eol
        lines = text.count(eol) + (not text.endswith(eol))
        spans: pl.Series | None = None
        starts = pl.int_range(records, dtype=pl.Int64, eager=True)
        if lines != records:
            spans = self._line_ends(frame) + 1
            if spans.sum() != lines:
                return None
            starts = spans.cum_sum() - spans
        rows = pl.int_range(records, dtype=pl.Int64, eager=True)
        numbered = frame.with_columns(rows.alias(ROW), starts.alias(LINE))
        blank = self._blank(numbered, text)
        if blank is not None:
            numbered = numbered.filter(~blank)
            spans = spans.filter(~blank) if spans is not None else None
        filtered = records - numbered.height
        return Parsed(numbered, records, lines, len(text), filtered=filtered, spans=spans)

    def _line_ends(self, frame: pl.DataFrame) -> pl.Series:
        """Physical line ends inside the fields of each row."""
        eol = self._dialect.eol.decode()
        counts = pl.all().str.count_matches(eol, literal=True).fill_null(0).cast(pl.Int64)
        return frame.select(lines=pl.sum_horizontal(counts))["lines"]

    def _blank(self, frame: pl.DataFrame, text: bytes) -> pl.Series | None:
        """Which rows are wholly blank records; None: no row is."""
        possible = frame
        for name in self._columns:
            column = possible.get_column(name)  # pl.col would read "*" and "^a$" as patterns
            # Whatever begins with a blank sorts below "!": hardly any row needs the exact look.
            maybe = column.is_null() | (column < "!")
            if not maybe.any():
                return None
            exactly = column.is_null() | (column.str.strip_chars(BLANKS) == "")
            possible = possible.filter(exactly)
            if possible.is_empty():
                return None
        rows = possible[ROW]
        if self._quote and self._quote in text:  # a quoted empty field is a value
            lines = text.split(self._dialect.eol)
            starts = possible[LINE].to_list()
            blank = [self._dialect.is_blank(lines[start]) for start in starts]
            rows = rows.filter(pl.Series(blank, dtype=pl.Boolean))
        return frame.select(blank=pl.col(ROW).is_in(rows.implode()))["blank"]

    def _sift(self, text: bytes, bare: bytes) -> Parsed | None:
        """A block whose quotes are well-formed: its records are known and judged one by one."""
        eol, size = self._dialect.eol, len(text)
        if not text.endswith(eol):
            text, bare = text + eol, bare + eol
        cut = self._records(text, bare)
        if cut is None:
            return None
        records, shapes, starts = cut
        shape = self._line[:-1]
        good = [found == shape for found in shapes]
        if len(text) > self._limit or b"\0" in text or not is_text(text):
            good = [
                ok and condemned(record, self._dialect, self._limit) is None
                for ok, record in zip(good, records, strict=True)
            ]
        refused: list[Refused] = []
        for at in (at for at, ok in enumerate(good) if not ok):
            verdict = condemned(records[at], self._dialect, self._limit)
            if verdict is None:
                fields = shapes[at].count(self._delimiter) + 1
                verdict = ("ragged", ragged(fields, self._columns))
            if verdict[0] != "blank":
                span = starts[at + 1] - starts[at]
                refused.append(Refused(at, starts[at], span, *verdict))
        kept = b"".join([record + eol for record in compress(records, good)])
        frame = self._fill(kept, sum(good))
        rest = self._number(kept, frame) if frame is not None else None
        if rest is None:
            return None
        rows = pl.Series(list(compress(range(len(records)), good)), dtype=pl.Int64)
        lines = pl.Series(list(compress(starts, good)), dtype=pl.Int64)
        at_row = rest.frame[ROW]
        numbered = rest.frame.with_columns(
            rows.gather(at_row).alias(ROW), lines.gather(at_row).alias(LINE)
        )
        blank = rest.filtered + len(records) - sum(good) - len(refused)
        return Parsed(numbered, len(records), starts[-1], size, refused, blank, rest.spans)

    def _records(
        self, text: bytes, bare: bytes
    ) -> tuple[list[bytes], list[bytes], list[int]] | None:
        """Bytes, delimiters and first physical line of every record; the line count at the end.

        None where a line end byte is malformed.
        """
        eol, quote = self._dialect.eol, self._quote
        lines = text.removesuffix(eol).split(eol)
        several = bare.count(eol) != text.count(eol)
        if several:
            # A quote stands for every line end that was inside of quotes.
            bare = self._dialect.quoted.sub(lambda found: quote * found[0].count(eol), text)
        skeleton = self._skeleton(bare)
        if self._dialect.stray in skeleton:
            return None
        shapes = skeleton.removesuffix(eol).split(eol)
        if not several:
            return lines, shapes, list(range(len(lines) + 1))
        spans = [shape.count(quote) + 1 for shape in shapes]
        starts = list(accumulate(spans, initial=0))
        records = [eol.join(lines[start:end]) for start, end in pairwise(starts)]
        return records, [shape.replace(quote, b"") for shape in shapes], starts


def empty_frame(columns: Sequence[str]) -> pl.DataFrame:
    """A frame of no rows with the columns of a batch."""
    return pl.DataFrame(schema=schema(columns))
