"""The bytes of a COPY, kept on disk until the locks are there. Not for: refused rows (`spool`)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from penstock.errors import SourceError

#: Bytes read back at once.
_PIECE = 1 << 20


@contextmanager
def kept_on_disk(pieces: Iterable[bytes]) -> Iterator[Iterator[bytes]]:
    """All pieces, written to a file without a name, which vanishes with the process.

    Raises:
        SourceError: The temporary folder does not take them.
    """
    with tempfile.TemporaryFile(prefix="penstock-") as file:
        for piece in pieces:
            try:
                file.write(piece)
            except OSError as error:
                raise SourceError(
                    "The checked rows cannot be kept until the tables are locked, in "
                    f"{tempfile.gettempdir()}: {error.strerror or error}. Make room there, set "
                    "TMPDIR to a folder that has room, or allow longer locks: --max-lock SECONDS.",
                    code="tmpdir",
                ) from error
        file.seek(0)
        yield iter(lambda: file.read(_PIECE), b"")
