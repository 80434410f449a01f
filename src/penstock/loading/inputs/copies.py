"""Copies of what can be read only once, in the load's private folder. Not for: files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from penstock.errors import SourceError, UsageError

#: Bytes of a stream that are copied at once to a temporary file.
_BLOCK = 1 << 20


def copied(stream: IO[bytes], spool: Callable[[], Path], name: str) -> Path:
    """A copy of a stream in the load's private folder.

    Raises:
        SourceError: The stream cannot be read, or the folder does not take it.
        UsageError: The stream gives text.
    """
    with (
        kept(spool, name) as folder,
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
def kept(spool: Callable[[], Path], name: str) -> Iterator[Path]:
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
