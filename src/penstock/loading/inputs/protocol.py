"""What a load needs of an input, whatever it is made of. Not for: the inputs themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from penstock.formats.reader import Record
from penstock.model.batch import Batch
from penstock.model.table import Column

#: A refused record: physical line, raw bytes, source column -> text.
Origin = Record


class Input(Protocol):
    """One file or frame of a load.

    Attributes:
        name: For messages and the ledger.
        file: Its number in the load, from 0.
        size: Stored bytes; those in memory for frames.
        typed: Source columns that are not text: declarations of dates and numbers do not apply.
        stored: True where there are stored bytes, by which a content is known again.
    """

    name: str
    file: int
    size: int
    typed: frozenset[str]
    stored: bool

    def columns(self, known: Collection[str]) -> tuple[str, ...]:
        """The column names; `known` are those of the target, which prove a delimiter."""
        ...

    def matched(self, pairs: Sequence[tuple[str, Column]]) -> None:
        """Which target column each source column fills; told before `batches`."""
        ...

    def batches(self) -> Iterator[Batch]:
        """The rows, from the start, each time it is called."""
        ...

    def fetch(self, rows: Collection[int]) -> dict[int, Origin]:
        """The origins of these `_row`s, read again.

        Raises:
            SourceError: The content is not the one that was read before.
        """
        ...

    def sha256(self) -> str:
        """Of the stored bytes, after `batches` was exhausted; empty for frames."""
        ...

    def fingerprint(self) -> str:
        """Of the stored bytes, read for this alone; empty for frames."""
        ...

    def origin(self, record: int) -> tuple[str, int]:
        """The source's name and the record's number there, of the record of this number here."""
        ...

    def remarks(self) -> tuple[str, ...]:
        """What was found out about the input, such as its delimiter."""
        ...
