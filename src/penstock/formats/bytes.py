"""Open what is stored: plain, gzip or Zstandard, counted and hashed while it is read.

Everything streams: a file that would unpack to terabytes costs the memory of one block.
Not for: what the bytes mean (encodings, records).
"""

from __future__ import annotations

import glob
import hashlib
import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

from penstock.errors import SourceError
from penstock.formats.foreign import LOOK, foreign
from penstock.formats.zipped import Member

#: What a reader takes: a file, a member of a zip archive, or a binary stream read from where it
#: stands.
Given = str | Path | Member | BinaryIO

#: Stored bytes read at a time where they are compressed.
_STORED_PIECE = 64 << 10
#: Zstandard has no bound on what it gives for a piece; 512 bytes unpack to at most 16 MiB.
_ZSTD_PIECE = 512
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_GZIP_WINDOW = 31  # zlib's number for "with a gzip header"


class _Stored:
    """The bytes as stored: counted, hashed, with a look ahead at the first ones."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        self.consumed = 0
        self.ended = False
        self.digest = hashlib.sha256()
        self._stream = stream
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        """The first bytes, without consuming them."""
        while len(self._ahead) < size:
            piece = self._next(size - len(self._ahead))
            if not piece:
                break
            self._ahead += piece
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        """Some bytes, at most `size`; empty only at the end."""
        if self._ahead:
            piece, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            piece = self._next(size)
        self.digest.update(piece)
        self.consumed += len(piece)
        self.ended = self.ended or not piece
        return piece

    def _next(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            raise SourceError(
                f"{self.name}: cannot be read at byte {self.consumed}: {error.strerror}."
            ) from error


class _Unpacks(Protocol):
    def read(self, size: int) -> bytes: ...


class _Gzip:
    """All members of a gzip file, one after the other."""

    def __init__(self, stored: _Stored) -> None:
        self._stored = stored
        self._pending = b""
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._begun = False
        self._members = 0

    def read(self, size: int) -> bytes:
        while True:
            if not self._pending:
                self._pending = self._stored.read(_STORED_PIECE)
            if self._members and not self._begun:
                # gzip allows a file to be padded with zero bytes (tapes, fixed blocks).
                self._pending = self._pending.lstrip(b"\0")
                if not self._pending and not self._stored.ended:
                    continue
            if not self._pending:
                if self._begun:
                    raise _truncated(self._stored, "gzip")
                return b""
            out = self._unpack(size)
            if out:
                return out

    def _unpack(self, size: int) -> bytes:
        self._begun = True
        try:
            out = self._member.decompress(self._pending, size)
        except zlib.error as error:
            raise _corrupt(self._stored, "gzip", len(self._pending), str(error)) from error
        if self._member.eof:
            self._pending = self._member.unused_data
            self._member = zlib.decompressobj(_GZIP_WINDOW)
            self._begun = False
            self._members += 1
        else:
            self._pending = self._member.unconsumed_tail
        return out


class _Zstd:
    """All frames of a Zstandard file, one after the other."""

    def __init__(self, stored: _Stored) -> None:
        self._stored = stored
        self._pending = b""
        self._out = io.BytesIO()
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False

    def read(self, size: int) -> bytes:
        while not (out := self._out.read(size)):
            if not self._pending:
                self._pending = self._stored.read(_STORED_PIECE)
            if not self._pending:
                if self._begun:
                    raise _truncated(self._stored, "Zstandard")
                return b""
            self._unpack()
        return out

    def _unpack(self) -> None:
        piece, rest = self._pending[:_ZSTD_PIECE], self._pending[_ZSTD_PIECE:]
        self._begun = True
        try:
            self._out = io.BytesIO(self._frame.decompress(piece))
        except zstandard.ZstdError as error:
            raise _corrupt(self._stored, "Zstandard", len(self._pending), str(error)) from error
        if self._frame.eof:
            rest = self._frame.unused_data + rest
            self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._begun = False
        self._pending = rest


class Source:
    """A path or binary stream as a reader of unpacked bytes.

    Compression is recognised by the first bytes, so a gzip under a `.csv` name works; a name
    that ends in `.gz` or `.zst` must hold what it says.

    Args:
        path_or_stream: A file, a member of a zip archive, or an open binary stream, read from
            where it stands. A stream stays open: it is the caller's.
        name: How messages name it; default the path, or the stream's `name`.
        text: True: what is known to be no text is refused.

    Attributes:
        name: How messages name it.

    Raises:
        SourceError: The file is missing, is a folder, may not be read, is no text, or is not
            compressed as its name says; while reading: compression that ends in the middle or is
            corrupt, with the byte offset in the stored file.
    """

    def __init__(self, path_or_stream: Given, *, name: str = "", text: bool = False) -> None:
        if isinstance(path_or_stream, Member):
            self.name = name or str(path_or_stream)
            self._owned: BinaryIO | None = path_or_stream.open()
            stream = self._owned
        elif isinstance(path_or_stream, str | Path):
            self.name = name or str(path_or_stream)
            self._owned = open_file(Path(path_or_stream), self.name)
            stream = self._owned
        else:
            self.name = name or str(getattr(path_or_stream, "name", "") or "stream")
            self._owned = None
            stream = path_or_stream
        self._stored = _Stored(stream, self.name)
        try:
            self._unpacked = self._recognise(text=text)
        except SourceError:
            self.close()
            raise

    def _recognise(self, *, text: bool) -> _Unpacks:
        first = self._stored.peek(LOOK)
        if first.startswith(_GZIP_MAGIC):
            return _Gzip(self._stored)
        if first.startswith(_ZSTD_MAGIC):
            return _Zstd(self._stored)
        if text and (said := foreign(first)):
            raise SourceError(f"{self.name}: {said}.", code="format")
        lower = self.name.lower()
        for ending, kind in ((".gz", "gzip"), (".zst", "Zstandard")):
            if first and lower.endswith(ending):
                raise SourceError(
                    f"{self.name}: named {ending}, but at byte 0 it does not begin as {kind} "
                    f"does. Rename the file if it is not compressed, or fetch it again."
                )
        return self._stored

    @property
    def packed(self) -> bool:
        """True where the stored bytes are compressed."""
        return self._unpacked is not self._stored

    @property
    def consumed(self) -> int:
        """Stored bytes read so far; the size of the file once all is read."""
        return self._stored.consumed

    @property
    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the stored bytes.

        Raises:
            SourceError: Not all has been read yet.
        """
        if not self._stored.ended:
            raise SourceError(f"{self.name}: its SHA-256 is known only after it was read whole.")
        return self._stored.digest.hexdigest()

    def read(self, size: int) -> bytes:
        """`size` unpacked bytes; fewer only at the end."""
        parts: list[bytes] = []
        missing = size
        while missing:
            piece = self._unpacked.read(missing)
            if not piece:
                break
            parts.append(piece)
            missing -= len(piece)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def drain(self) -> None:
        """Read what is left of the stored bytes without unpacking it, for the hash."""
        while not self._stored.ended:
            self._stored.read(1 << 20)

    def close(self) -> None:
        """Close the file where this object opened it."""
        if self._owned is not None:
            self._owned.close()


def expand(patterns: Iterable[str | Path]) -> list[Path]:
    """Files and glob patterns (`**` for any depth) as one sorted list without repetition.

    A file that is reached by several paths (`a.csv`, `sub/../a.csv`, a symbolic link) is there
    once, by the first of them that was given.

    Raises:
        SourceError: Names every file or pattern that nothing matches, and every folder.
    """
    found: dict[Path, Path] = {}
    missing: list[str] = []
    folders: list[str] = []
    for pattern in map(str, patterns):
        path = Path(pattern)
        if path.is_dir():
            folders.append(pattern)
        elif path.exists():
            found.setdefault(path.resolve(), path)
        else:
            # pathlib's glob takes no absolute patterns.
            matches = glob.glob(pattern, recursive=True)  # noqa: PTH207
            files = [Path(match) for match in sorted(matches) if Path(match).is_file()]
            for file in files:
                found.setdefault(file.resolve(), file)
            if not files:
                missing.append(pattern)
    if missing:
        raise SourceError(f"Nothing there: {', '.join(missing)}. Check the path or the pattern.")
    if folders:
        raise SourceError(
            f"A folder, not a file: {', '.join(folders)}. Name its files, such as "
            f"{Path(folders[0]) / '*.csv'}."
        )
    return sorted(found.values())


def open_file(path: Path, name: str) -> BinaryIO:
    """The stored bytes of a file.

    Raises:
        SourceError: It is missing, is a folder or may not be read; the message begins with `name`.
    """
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise SourceError(f"{name}: there is no such file. Check the path.") from error
    except IsADirectoryError as error:
        raise SourceError(f"{name}: a folder, not a file. Name its files.") from error
    except OSError as error:
        raise SourceError(f"{name}: cannot be opened: {error.strerror}.") from error


def _truncated(stored: _Stored, kind: str) -> SourceError:
    return SourceError(
        f"{stored.name}: the {kind} data ends in the middle, at byte {stored.consumed}. "
        f"The file was not copied whole: fetch it again.",
        code="truncated",
    )


def _corrupt(stored: _Stored, kind: str, unread: int, detail: str) -> SourceError:
    return SourceError(
        f"{stored.name}: the {kind} data is corrupt at about byte {stored.consumed - unread} "
        f"({detail}). Fetch the file again.",
        code="corrupt",
    )
