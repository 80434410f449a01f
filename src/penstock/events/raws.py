"""The raw events of a file, in its order. Not for: staging them (`drops`).

A line of NDJSON and an element of a JSON array are their bytes as they stand; what has columns
becomes one object of JSON with texts. What is malformed is an event too: the transform refuses it,
where it can be seen and mended.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import polars as pl

from penstock.errors import SourceError
from penstock.events.sources import MAX_EVENT_BYTES
from penstock.events.taken import CHUNK, CHUNK_BYTES
from penstock.formats.bytes import Source
from penstock.formats.jsons.cutting import Cutter
from penstock.formats.lines import LineFile
from penstock.formats.zipped import Member, members
from penstock.loading.inputs import inputs_of
from penstock.loading.inputs.copies import copied
from penstock.loading.inputs.kinds import format_of
from penstock.model.batch import LINE, ROW, Batch
from penstock.model.options import Format, LoadOptions

#: Bytes read at a time.
_BLOCK = 4 << 20
#: Bytes that are kept of an event that is too long.
_KEPT = 4096
_BLANKS = b" \t\r"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: Formats that are known whole from their beginning, or of which no part depends on another.
_SURE = (Format.NDJSON, Format.CSV, Format.FIXED, Format.PARQUET)


def raws_of(path: Path, options: LoadOptions, spool: Callable[[], Path]) -> Iterator[pl.Series]:
    """The events of a file.

    Args:
        path: Nobody writes to it. Its name says what it is, where the options do not.
        options: How it is written; `json.path` leads to the array of a document. A document
            without one that is no array is one event.
        spool: Gives a folder for what must be unpacked.

    Yields:
        Binary, none NULL, up to `CHUNK` of them and about `CHUNK_BYTES`; the same whenever the
        same file is read again.

    Raises:
        SourceError: It is damaged, or is not what it is said to be.
    """
    for where in _parts(path):
        kind = format_of(str(where), options, certain=isinstance(where, Member))
        if kind is Format.NDJSON:
            parts = _lines(where, options)
        elif kind is Format.JSON:
            parts = _elements(where, options)
        else:
            parts = _rows(where, replace(options, format=kind), spool)
        yield from _bounded(parts)


def must_be_read_first(path: Path, options: LoadOptions) -> bool:
    """True where a file can turn out to be damaged only when much of it was read."""
    if path.name.lower().endswith(".zip"):
        return True
    if format_of(str(path), options) not in _SURE:
        return True
    with closing(Source(path)) as source:
        return source.packed


def _parts(path: Path) -> list[Path | Member]:
    return [*members(path)] if path.name.lower().endswith(".zip") else [path]


def _bounded(parts: Iterator[pl.Series]) -> Iterator[pl.Series]:
    """Parts of events, small ones together; a part is within the bound of bytes, or little over."""
    kept: list[pl.Series] = []
    count = size = 0
    for part in parts:
        bytes_of = int(part.bin.size().sum())
        if kept and size + bytes_of > CHUNK_BYTES:
            yield pl.concat(kept)
            kept, count, size = [], 0, 0
        kept.append(part)
        count, size = count + len(part), size + bytes_of
        while count >= CHUNK:
            whole = pl.concat(kept)
            yield whole.head(CHUNK)
            rest = whole.slice(CHUNK)
            kept, count, size = [rest], len(rest), int(rest.bin.size().sum())
    if count:
        yield pl.concat(kept)


def _binary(values: list[bytes]) -> pl.Series:
    return pl.Series("raw", values, dtype=pl.Binary)


def _lines(where: Path | Member, options: LoadOptions) -> Iterator[pl.Series]:
    """Lines as they stand; of other encodings than UTF-8 as UTF-8, as JSON is (RFC 8259)."""
    with closing(Source(where, text=True)) as source:
        first = source.read(len(codecs.BOM_UTF16_LE))
    encoding = options.csv.encoding
    if first in _UTF16 or _codec(encoding) not in ("utf-8", "utf-8-sig"):
        yield from _decoded_lines(where, encoding)
        return
    with closing(Source(where, text=True)) as source:
        found = _Lines(source)
        while (lines := found.next()) is not None:
            kept = [line for line in lines if line.strip(_BLANKS)]
            if kept:
                yield _binary(kept)
        source.drain()


def _codec(encoding: str | None) -> str:
    return codecs.lookup(encoding or "utf-8").name


class _Lines:
    """A source's lines, block by block; none is held that is longer than an event may be."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rest = b""
        self._ahead = source.read(_BLOCK).removeprefix(codecs.BOM_UTF8)
        self._ended = False

    def next(self) -> list[bytes] | None:
        """Some lines without their ends, perhaps none; None at the end."""
        if self._ended:
            return None
        block = self._block()
        if not block:
            self._ended = True
            return [self._rest.removesuffix(b"\r")]
        lines = (self._rest + block).split(b"\n")
        self._rest = lines.pop()
        if b"\r\n" in block or block.startswith(b"\n"):
            lines = [line.removesuffix(b"\r") for line in lines]
        if lines and len(lines[0]) > MAX_EVENT_BYTES:
            lines[0] = _cut(lines[0][:_KEPT], len(lines[0]), hashlib.sha256(lines[0]).hexdigest())
        if len(self._rest) > MAX_EVENT_BYTES:
            lines.append(self._overlong())
        return lines

    def _block(self) -> bytes:
        block, self._ahead = self._ahead or self._source.read(_BLOCK), b""
        return block

    def _overlong(self) -> bytes:
        """What is kept of a line without an end in sight; it is read to that, and not held."""
        digest, size, kept = hashlib.sha256(self._rest), len(self._rest), self._rest[:_KEPT]
        self._rest = b""
        while block := self._block():
            piece, end, self._ahead = block.partition(b"\n")
            digest.update(piece)
            size += len(piece)
            if end:
                break
        return _cut(kept, size, digest.hexdigest())


def _cut(kept: bytes, size: int, sha256: str) -> bytes:
    """The beginning of an event that is too long: no JSON, so that it is refused and seen."""
    said = f" [cut here: {size:,} bytes, more than {MAX_EVENT_BYTES:,}; sha256 {sha256}]"
    return kept + said.encode()


def _decoded_lines(where: Path | Member, encoding: str | None) -> Iterator[pl.Series]:
    with closing(Source(where, text=True)) as source:
        lines = LineFile(source, encoding, limit=MAX_EVENT_BYTES, file=0)
        for block in lines.blocks():
            texts = block.texts
            if block.refused:
                stored = dict(
                    zip(block.refused, lines.stored(block, [*block.refused]), strict=True)
                )
                raws = [
                    stored[place] if text is None else text.encode()
                    for place, text in enumerate(texts)
                ]
            else:
                raws = texts.cast(pl.Binary).to_list()
            yield _binary([raw for raw in raws if raw.strip(_BLANKS)])
        source.drain()


def _elements(where: Path | Member, options: LoadOptions) -> Iterator[pl.Series]:
    """Elements of the array of a document, as they are written; or the one value that it is."""
    path = options.json.path.split(".") if options.json.path else []
    with closing(Source(where, text=True)) as source:
        cutter = Cutter(_text(source, options.csv.encoding), str(where), MAX_EVENT_BYTES)
        if not path and cutter.begins() not in ("[", ""):
            yield _binary([cutter.single().text.encode()])
        else:
            cutter.enter(path)
            part: list[bytes] = []
            size = 0
            for element in cutter.elements():
                part.append(element.text.encode())
                size += len(part[-1])
                if size >= _BLOCK:
                    yield _binary(part)
                    part, size = [], 0
            yield _binary(part)
        cutter.leave(path)
        source.drain()


def _text(source: Source, encoding: str | None) -> Iterator[str]:
    codec = _codec(encoding)
    decoder = codecs.getincrementaldecoder("utf-8-sig" if codec == "utf-8" else codec)()
    try:
        while piece := source.read(_BLOCK):
            yield decoder.decode(piece)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{source.name}: byte 0x{error.object[error.start]:02X} is no {error.encoding}. "
            'Convert the file, or declare options={"encoding": ...}.',
            code="encoding",
        ) from error


def _rows(
    where: Path | Member, options: LoadOptions, spool: Callable[[], Path]
) -> Iterator[pl.Series]:
    if isinstance(where, Member):
        with where.open() as stream:
            where = copied(stream, spool, str(where))
    [one] = inputs_of(where, options, spool)
    one.columns(())
    for batch in one.batches():
        yield _objects(batch)


def _objects(batch: Batch) -> pl.Series:
    """Rows as objects with texts, and malformed records as their bytes, in their order."""
    rows = batch.frame.select(
        ROW, pl.struct(pl.exclude(ROW, LINE)).struct.json_encode().cast(pl.Binary).alias("raw")
    )
    if batch.malformed:
        lost = pl.DataFrame(
            {
                ROW: [one.row for one in batch.malformed],
                "raw": [one.raw for one in batch.malformed],
            },
            schema=rows.schema,
        )
        rows = pl.concat([rows, lost]).sort(ROW)
    return rows["raw"]
