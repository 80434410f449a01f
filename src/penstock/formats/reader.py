"""What every format's reader offers, and the second pass over what it read.

Not for: how a format is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from penstock.errors import SourceError, UsageError
from penstock.formats.bytes import Source
from penstock.model.batch import LINE, ROW, Batch

#: A record read again: physical line, stored bytes, source column -> text.
Record = tuple[int, bytes, dict[str, str | None]]


class Reader(Protocol):
    """A file that is read once, from beginning to end, in flat memory."""

    name: str

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the source columns, in file order."""
        ...

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the stored bytes, once all is read.

        Raises:
            SourceError: Not all has been read yet.
        """
        ...

    def batches(self) -> Iterator[Batch]:
        """The records, in file order."""
        ...

    def fetch(self, rows: Collection[int]) -> dict[int, Record]:
        """Records once more, by a second pass over the same content."""
        ...

    def drain(self) -> None:
        """Read the rest of the file without looking at it, so that `sha256` is known."""
        ...

    def close(self) -> None:
        """Close what was opened."""
        ...


class OfSource:
    """What readers of one source share: its digest, its rest, its end."""

    _source: Source

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the stored bytes.

        Raises:
            SourceError: Not all has been read yet.
        """
        return self._source.sha256

    def drain(self) -> None:
        """Read the rest of the file without looking at it, so that `sha256` is known."""
        self._source.drain()

    def close(self) -> None:
        """Close the file; a stream is left open. Reading to the end closes by itself."""
        self._source.close()


def fetch_from(again: Reader, rows: Collection[int], sha256: str) -> dict[int, Record]:
    """Records of a new reader of a content that was read before.

    Args:
        again: Nothing was read from it; it is closed here.
        rows: The `_row`s wanted.
        sha256: Of the content as it was.

    Returns:
        `_row` -> (physical line, stored bytes, source column -> text). Records without fields
        have no columns.

    Raises:
        SourceError: The content is not the same any more.
        UsageError: A `_row` that this file does not have.
    """
    missing = set(rows)
    found: dict[int, Record] = {}
    batches = again.batches()  # kept: when it ends, the file is closed
    with closing(again):
        for batch in batches if missing else ():
            _pick(batch, missing, found)
            if not missing:
                break
        again.drain()
        if again.sha256 != sha256:
            raise changed(again.name)
    if missing:
        raise UsageError(f"{again.name}: has no record with _row {min(missing)}.")
    return found


def changed(name: str) -> SourceError:
    """A file is not what it was when the load began."""
    return SourceError(
        f"{name}: its content changed while it was being loaded. "
        f"Load it again when nobody writes to it.",
        code="changed",
    )


def _pick(batch: Batch, missing: set[int], found: dict[int, Record]) -> None:
    """Move the wanted records of a batch from `missing` to `found`."""
    frame = batch.frame
    places = frame[ROW].is_in(sorted(missing)).arg_true().to_list()
    if places:
        picked = frame[places]
        fields = picked.drop(ROW, LINE).iter_rows(named=True)
        origins = picked.select(ROW, LINE).iter_rows()
        for (row, line), raw, values in zip(origins, batch.raw(places), fields, strict=True):
            found[row] = (line, raw, values)
            missing.discard(row)
    for malformed in batch.malformed:
        if malformed.row in missing:
            found[malformed.row] = (malformed.line, malformed.raw, {})
            missing.discard(malformed.row)


def state_of(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written to or replaced."""
    try:
        now = path.stat()
    except OSError:
        return (0, 0, 0)  # what opens it says what is wrong
    return (now.st_ino, now.st_size, now.st_mtime_ns)
