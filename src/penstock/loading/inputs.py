"""What a load reads: files, streams and Polars frames, each able to be read again.

Not for: splitting CSV into fields (`formats.csv`), nor matching columns (`columns`).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

import polars as pl

from penstock.errors import SourceError, UsageError
from penstock.formats.bytes import expand, open_file
from penstock.formats.csv.reader import CsvReader
from penstock.loading.types.typed import to_text
from penstock.model.batch import LINE, ROW, Batch, Malformed, row_id
from penstock.model.options import CsvOptions

#: Rows of a frame that make one batch.
_BATCH_ROWS = 100_000
#: Bytes of a stream that are copied at once to a temporary file.
_BLOCK = 1 << 20

#: What `load_table` takes.
Source = (
    "str | Path | IO[bytes] | pl.DataFrame | pl.LazyFrame | Iterable[pl.DataFrame] | "
    "Iterable[str | Path]"
)
#: A refused record: physical line, raw bytes, source column -> text.
Origin = tuple[int, bytes, dict[str, str | None]]


class Input(Protocol):
    """One file or frame of a load.

    Attributes:
        name: For messages and the ledger.
        file: Its number in the load, from 0.
        size: Stored bytes; those in memory for frames.
        typed: Source columns that are not text: declarations of dates and numbers do not apply.
    """

    name: str
    file: int
    size: int
    typed: frozenset[str]

    def columns(self, known: Collection[str]) -> tuple[str, ...]:
        """The column names; `known` are those of the target, which prove a delimiter."""
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

    def remarks(self) -> tuple[str, ...]:
        """What was found out about the input, such as its delimiter."""
        ...


class CsvInput:
    """A CSV file."""

    def __init__(self, path: Path, file: int, options: CsvOptions, name: str = "") -> None:
        self.name = name or str(path)
        self.path = path
        self.size = path.stat().st_size
        self.typed: frozenset[str] = frozenset()
        self.file = file
        self._options = options
        self._known: tuple[str, ...] = ()
        self._delimiter = ""
        self._reader: CsvReader | None = None

    def columns(self, known: Collection[str]) -> tuple[str, ...]:
        """The header's names, or those declared."""
        self._known = tuple(known)
        with self._open() as reader:
            columns, self._delimiter = reader.columns, reader.delimiter
        return columns

    def _open(self) -> CsvReader:
        return CsvReader(
            self.path, self._options, known=self._known, file=self.file, name=self.name
        )

    def batches(self) -> Iterator[Batch]:
        """The file's records."""
        self._reader = self._open()
        return self._reader.batches()

    def fetch(self, rows: Collection[int]) -> dict[int, Origin]:
        """The records again; the content must be what it was."""
        if self._reader is None:
            return {}
        return self._reader.fetch(rows)

    def sha256(self) -> str:
        """Of the stored bytes."""
        return "" if self._reader is None else self._reader.sha256

    def remarks(self) -> tuple[str, ...]:
        """The delimiter, where it was found out and is not the comma."""
        if self._options.delimiter is not None or self._delimiter == ",":
            return ()
        shown = {"\t": "tab"}.get(self._delimiter, self._delimiter)
        return (f"fields are separated by '{shown}', as the header shows",)


class FrameInput:
    """Polars frames: one, or several that were spooled to a file as they came."""

    def __init__(self, frames: Sequence[pl.DataFrame], file: int, name: str = "frame") -> None:
        self.name = name
        self.size = sum(int(frame.estimated_size()) for frame in frames)
        self.file = file
        self._frames = frames
        schema = frames[0].schema
        self.typed = frozenset(c for c, dtype in schema.items() if dtype != pl.String)

    def columns(self, known: Collection[str]) -> tuple[str, ...]:
        """The frame's column names."""
        del known
        return tuple(self._frames[0].columns)

    def batches(self) -> Iterator[Batch]:
        """Slices of the frames, as text that the grammars read exactly."""
        record = 1
        for frame in self._frames:
            for part in frame.iter_slices(_BATCH_ROWS):
                text = to_text(part)
                first = row_id(self.file, record)
                numbered = text.with_columns(
                    pl.int_range(first, first + text.height, dtype=pl.Int64).alias(ROW),
                    pl.lit(0, dtype=pl.Int64).alias(LINE),
                )
                nul = text.select(
                    pl.any_horizontal(pl.all().str.contains("\0", literal=True)).fill_null(
                        value=False
                    )
                ).to_series()
                raw = _RawRows(text)
                if not nul.any():
                    yield Batch(numbered, raw, text.height)
                else:
                    yield _without_nul(numbered, raw, nul)
                record += text.height

    def fetch(self, rows: Collection[int]) -> dict[int, Origin]:
        """The rows again, as JSON."""
        found: dict[int, Origin] = {}
        wanted = set(rows)
        for batch in self.batches():
            hits = batch.frame[ROW].is_in(sorted(wanted)).arg_true().to_list()
            for place, line in zip(hits, batch.raw(hits), strict=True):
                found[batch.frame[ROW][place]] = (0, line, json.loads(line))
        return found

    def sha256(self) -> str:
        """Frames have no stored bytes."""
        return ""

    def remarks(self) -> tuple[str, ...]:
        """Nothing is found out about a frame."""
        return ()


def _without_nul(numbered: pl.DataFrame, raw: _RawRows, nul: pl.Series) -> Batch:
    """A batch whose rows with NUL bytes are given up: no text of PostgreSQL holds one."""
    kept = (~nul).arg_true().to_list()
    lost = nul.arg_true().to_list()
    reason = "a NUL byte, which PostgreSQL's text cannot hold"
    malformed = [
        Malformed(numbered[ROW][place], 0, line, "nul", reason)
        for place, line in zip(lost, raw(lost), strict=True)
    ]
    return Batch(
        numbered.filter(~nul),
        lambda positions: raw([kept[position] for position in positions]),
        numbered.height,
        malformed,
    )


class _RawRows:
    def __init__(self, text: pl.DataFrame) -> None:
        self._text = text

    def __call__(self, positions: Sequence[int]) -> list[bytes]:
        return [
            json.dumps(self._text.row(position, named=True), ensure_ascii=False).encode()
            for position in positions
        ]


def inputs_of(
    source: Any, options: CsvOptions, spool: Callable[[], Path], file: int = 0
) -> list[Input]:
    """The inputs behind whatever a user may give.

    Args:
        source: A path or glob, several of them, an open binary file, a Polars frame or several.
        options: How CSV is written.
        spool: Gives a folder of the load's own, for what can be read only once.
        file: Number of the first input, so that inputs of one load stay apart.

    Raises:
        UsageError: The source is of no such kind.
        SourceError: A file is missing, or what can be read only once cannot be kept.
    """
    if isinstance(source, (str, Path)):
        return _files([source], options, spool, file)
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if isinstance(source, pl.DataFrame):
        return [FrameInput([source], file)]
    if hasattr(source, "read"):
        name = str(getattr(source, "name", "stream"))
        return [CsvInput(_copied(source, spool, name), file, options, name)]
    if isinstance(source, Iterable) and not isinstance(source, (Mapping, bytes, bytearray)):
        return _several(source, options, spool, file)
    raise UsageError(
        f"A load reads a path, an open binary file or Polars frames, not {type(source).__name__}"
    )


def _several(
    source: Iterable[Any], options: CsvOptions, spool: Callable[[], Path], file: int
) -> list[Input]:
    items = iter(source)
    first = next(items, None)
    if first is None:
        raise UsageError("There is nothing to load: the source is an empty list")
    if isinstance(first, (str, Path)):
        return _files([first, *items], options, spool, file)
    frames = []
    for place, frame in enumerate(
        [first, *items] if isinstance(source, list) else _chain(first, items)
    ):
        if not isinstance(frame, pl.DataFrame):
            raise UsageError(f"A load reads paths or Polars frames, not {type(frame).__name__}")
        if isinstance(source, list):
            frames.append(frame)
            continue
        with _kept(spool, "frames") as folder:
            path = folder / f"frame-{place}.arrow"
            frame.write_ipc(path)
        frames.append(pl.read_ipc(path))
    if any(frame.schema != frames[0].schema for frame in frames):
        raise UsageError("The frames of one load must have the same columns and types")
    return [FrameInput(frames, file, "frames")]


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest


def _files(
    given: Sequence[str | Path], options: CsvOptions, spool: Callable[[], Path], file: int
) -> list[Input]:
    return [
        _csv_file(path, file + place, options, spool) for place, path in enumerate(expand(given))
    ]


def _csv_file(path: Path, file: int, options: CsvOptions, spool: Callable[[], Path]) -> CsvInput:
    """A file; a pipe or a device can be read only once, and is copied."""
    if path.is_file():
        return CsvInput(path, file, options)
    with open_file(path, str(path)) as stream:
        return CsvInput(_copied(stream, spool, str(path)), file, options, str(path))


def _copied(stream: IO[bytes], spool: Callable[[], Path], name: str) -> Path:
    with (
        _kept(spool, name) as folder,
        tempfile.NamedTemporaryFile(dir=folder, delete=False) as copy,
    ):
        while block := _block(stream, name):
            copy.write(block)
    return Path(copy.name)


def _block(stream: IO[bytes], name: str) -> bytes:
    try:
        block = stream.read(_BLOCK)
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error}.") from error
    if block is not None and not isinstance(block, bytes):
        raise UsageError("Open the file in binary mode: open(path, 'rb')")
    return block


@contextmanager
def _kept(spool: Callable[[], Path], name: str) -> Iterator[Path]:
    """The load's private folder, for the copy of what can be read only once.

    Raises:
        SourceError: The folder cannot be made, or does not take the copy.
    """
    folder = None
    try:
        folder = spool()
        yield folder
    except OSError as error:
        where = folder or error.filename or "a temporary folder"
        raise SourceError(
            f"{name}: can be read only once, and a copy of it cannot be kept in {where}: "
            f"{error.strerror or error}. Make room there, or set TMPDIR to a folder that has room.",
            code="tmpdir",
        ) from error
