"""Files of the archive: events as compressed NDJSON, and the manifest beside. Not for: which ones.

A line is `{"chunk", "pos", "delivery_id", "received_at", "raw"}`, or `raw_base64` where the bytes
are no UTF-8. The same events make the same content.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zstandard

from penstock.errors import SourceError

ENDING, MANIFEST = ".ndjson.zst", ".json"
#: Of this layout of files.
FORMAT = 1
#: Level 3 is zstd's own default; higher ones cost more time than room is worth here.
_LEVEL = 3
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Line:
    """One event in a file.

    Attributes:
        chunk: The commit of intake that it came with.
        pos: Its position there.
        delivery_id: Its id, by which it is known for ever.
        received_at: When it came.
        raw: Its bytes.
    """

    chunk: int
    pos: int
    delivery_id: str
    received_at: datetime
    raw: bytes

    def encoded(self) -> bytes:
        """As it stands in a file, with the line's end."""
        made: dict[str, Any] = {
            "chunk": self.chunk,
            "pos": self.pos,
            "delivery_id": self.delivery_id,
            "received_at": iso(self.received_at),
        }
        try:
            made["raw"] = self.raw.decode()
        except UnicodeDecodeError:
            made["raw_base64"] = base64.b64encode(self.raw).decode()
        return _encode(made).encode() + b"\n"


@dataclass(slots=True)
class Content:
    """What a file holds, counted as it is written or read.

    Attributes:
        events: How many.
        chunks: Events of each chunk.
        bytes: Of the lines.
        sha256: Of the lines.
        first: `chunk`, `pos`, `delivery_id` of the first event.
        last: Of the last one.
    """

    events: int = 0
    chunks: dict[int, int] = field(default_factory=dict)
    bytes: int = 0
    sha256: str = ""
    first: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)

    def add(self, one: Line, size: int) -> None:
        """Count an event of so many bytes.

        Raises:
            SourceError: It is not the one that follows in its chunk.
        """
        if one.pos != self.chunks.get(one.chunk, 0):
            raise SourceError(f"event {one.chunk}/{one.pos} is not where it belongs")
        self.events += 1
        self.bytes += size
        self.chunks[one.chunk] = one.pos + 1
        self.last = {"chunk": one.chunk, "pos": one.pos, "delivery_id": one.delivery_id}
        self.first = self.first or self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is said of a file, beside it.

    Attributes:
        pipeline: Whose events.
        source: Of which source.
        hour: In which they came: its beginning, in ISO form.
        part: Of the hour, from 1.
        file: Its name in the archive.
        events: How many.
        chunks: Of how many commits of intake.
        first: `chunk`, `pos`, `delivery_id` of the first event.
        last: Of the last one.
        bytes: Of the file.
        sha256: Of the file.
        content_bytes: Of the lines in it.
        content_sha256: Of the lines in it.
        format: Of this layout.
    """

    pipeline: str
    source: str
    hour: str
    part: int
    file: str
    events: int
    chunks: int
    first: Mapping[str, Any]
    last: Mapping[str, Any]
    bytes: int
    sha256: str
    content_bytes: int
    content_sha256: str
    format: int = FORMAT


def manifest_text(manifest: Manifest) -> str:
    """A manifest as it stands in its file."""
    return json.dumps(asdict(manifest), ensure_ascii=False, indent=2) + "\n"


def manifest_from(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        SourceError: It is none.
    """
    try:
        return Manifest(**json.loads(path.read_bytes()))
    except (ValueError, TypeError, RecursionError):
        raise SourceError("is no manifest of an archive") from None


def manifest_name(file: str) -> str:
    """The name of the manifest beside a file."""
    return file.removesuffix(ENDING) + MANIFEST


def write_lines(path: Path, lines: Iterable[Line]) -> Content:
    """Write events into a file that is not there yet."""
    content, digest = Content(), hashlib.sha256()
    packer = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with path.open("xb") as file, packer.stream_writer(file, closefd=False) as target:
        for one in lines:
            encoded = one.encoded()
            digest.update(encoded)
            target.write(encoded)
            content.add(one, len(encoded))
    content.sha256 = digest.hexdigest()
    return content


def read_lines(path: Path, content: Content) -> Iterator[Line]:
    """The events of a file; what they are is counted in `content`.

    Raises:
        SourceError: It is damaged.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file)
            for text in io.BufferedReader(reader):
                digest.update(text)
                one = _line(text)
                content.add(one, len(text))
                yield one
    except zstandard.ZstdError:
        raise SourceError("is damaged: it cannot be unpacked") from None
    content.sha256 = digest.hexdigest()


def iso(moment: datetime) -> str:
    """A moment in ISO form, in UTC, to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _line(text: bytes) -> Line:
    try:
        said = json.loads(text)
        raw = said["raw"].encode() if "raw" in said else base64.b64decode(said["raw_base64"])
        moment = datetime.fromisoformat(said["received_at"])
        return Line(int(said["chunk"]), int(said["pos"]), str(said["delivery_id"]), moment, raw)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SourceError("is damaged: a line is no event") from None
