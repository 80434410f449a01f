"""A Parquet file as typed frames, a slice at a time. Not for: making text of what has a type.

Polars reads it, so that no second reader of Arrow is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from penstock.errors import SourceError
from penstock.formats.reader import changed, state_of

#: Rows read together; only the row groups that they are in are looked at.
SLICE = 100_000


class ParquetFile:
    """One Parquet file, of which any rows can be read.

    Args:
        path: The file.
        name: How messages name it.

    Attributes:
        name: How messages name it.
        schema: Column name -> Polars type.
        height: Rows.

    Raises:
        SourceError: It is no Parquet file, or a damaged one, or has a type that Polars does not
            read; also while reading.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._path = path
        self._seen = state_of(path)
        with self._told():
            self._scan = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            self.schema = dict(self._scan.collect_schema())
            self.height = int(self._scan.select(pl.len()).collect().item())

    def slices(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """The rows with these columns, in file order."""
        for start in range(0, self.height, SLICE):
            yield self.rows(start, SLICE, columns)
        self.check_unchanged()

    def rows(self, start: int, count: int, columns: Sequence[str]) -> pl.DataFrame:
        """Some rows, from `start` (from 0) on."""
        with self._told():
            return self._scan.select(pl.col(list(columns))).slice(start, count).collect()

    def check_unchanged(self) -> None:
        """The file is the one that was opened.

        Raises:
            SourceError: It was written to since.
        """
        if state_of(self._path) != self._seen:
            raise changed(self.name)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            first = str(error).strip().partition("\n")[0]
            raise SourceError(
                f"{self.name}: cannot be read as Parquet: {first}. Fetch it again, or write it "
                "with plainer types.",
                code="corrupt",
            ) from error
