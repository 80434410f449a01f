"""Whether files with bytes that are no UTF-8 are UTF-8 all the same. Not for: reading records."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from penstock.formats.bytes import Source
from penstock.formats.csv.parsed import has_multibyte, is_text
from penstock.formats.csv.text import Text
from penstock.formats.lines import BLOCK
from penstock.loading.inputs import Input
from penstock.loading.inputs.stored import StoredInput


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the physical lines of some files show.

    Attributes:
        utf8: Lines with a character beyond ASCII as UTF-8 writes it. In other encodings such
            bytes are two or three odd characters in a row, which hardly any text has.
        wrong: Lines with bytes that are no UTF-8.
        first: Name and number of the first of the `utf8` lines.
    """

    utf8: int
    wrong: int
    first: str

    @property
    def is_utf8(self) -> bool:
        """True where more lines show UTF-8 than do not, or as many."""
        return self.utf8 > 0 and self.utf8 >= self.wrong


def evidence_of(inputs: Sequence[Input], limit: int) -> Evidence:
    """Look at every line of the files that have lines.

    Args:
        inputs: Opened without a declared encoding.
        limit: Longest record in bytes.

    Raises:
        SourceError: A file cannot be read.
    """
    utf8 = wrong = 0
    first = ""
    for one in inputs:
        if not isinstance(one, StoredInput):
            continue
        with closing(Source(one.where, name=one.name, text=True)) as source:
            text = Text(source, None, quote="", limit=limit, block=BLOCK)
            number = 0
            while text.encoding == "utf-8" and (block := text.read()[1]):
                if block.isascii():
                    number += block.count(text.eol)
                    continue
                for line in text.lines(block.removesuffix(text.eol)):
                    number += 1
                    shows = has_multibyte(line)
                    utf8 += shows
                    wrong += not is_text(line)
                    if shows and not first:
                        first = f"{one.name} line {number:,}"
    return Evidence(utf8, wrong, first)
