"""A file of keys and values for `Lookup`. Not for: lookups in tables (`lookups`)."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from penstock.errors import SourceError, UsageError
from penstock.loading.extract import extract
from penstock.loading.load import options_from
from penstock.model.batch import ROW


@dataclass(eq=False)
class FileMembers:
    """The rows of a file, as members of a `Lookup`; read again when the file has changed.

    A file that is not wholly readable is no lookup: nothing is looked up in a part of it.

    Attributes:
        path: Of any format that a load reads; relative to the current folder.
        options: How it is written, as for `load_table`.
    """

    path: str | Path
    options: dict[str, Any] = field(default_factory=dict)
    _read: tuple[tuple[int, int], pl.DataFrame] | None = field(default=None, init=False, repr=False)

    def frame(self) -> pl.DataFrame:
        """The columns of the file; of text files as text (String).

        Raises:
            UsageError: There is no such file, or an option is wrong.
            SourceError: It cannot be read, or a record of it cannot.
        """
        try:
            state = Path(self.path).stat()
        except OSError as error:
            raise UsageError(f"Lookup: {self.path}: {error.strerror}") from None
        version = (state.st_mtime_ns, state.st_size)
        if self._read is None or self._read[0] != version:
            self._read = (version, self._read_anew())
        return self._read[1]

    def _read_anew(self) -> pl.DataFrame:
        with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
            found = extract(self.path, options_from(**self.options), cache(lambda: Path(folder)))
        if found.malformed:
            first = found.malformed[0]
            raise SourceError(
                f"Lookup: {self.path}, line {first.line}: {first.reason}", code=first.code
            )
        return found.frame.drop(ROW)
