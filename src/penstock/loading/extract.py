"""Reads inputs whole into a frame, with the origin of each row. Not for: loads (`inputs`)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from penstock.errors import SourceError
from penstock.loading.inputs import inputs_of
from penstock.model.batch import LINE, ROW, Malformed, row_id
from penstock.model.options import LoadOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """What was read.

    Attributes:
        frame: The source columns, of files as text (String), then `_row` (Int64), which says where
            a row came from.
        names: Names of the inputs, by the number in `_row`, from `first` on.
        first: The number of the first input.
        malformed: Records that could not be split into fields; each is refused by the load.
        filtered: Wholly blank records.
        files: Whole path, bytes and time of the last change (in ns) of files in a folder of this
            machine, as they were before they were read.
    """

    frame: pl.DataFrame
    names: tuple[str, ...]
    first: int = 0
    malformed: tuple[Malformed, ...] = ()
    filtered: int = 0
    files: tuple[tuple[str, int, int], ...] = ()


def extract(
    source: Any,
    options: LoadOptions,
    spool: Callable[[], Path],
    *,
    known: Collection[str] = (),
    first: int = 0,
) -> Extract:
    """Read everything.

    Args:
        source: As for `load_table`.
        options: How files are written.
        spool: Gives a folder for what can be read only once.
        known: Column names that are expected; they prove a CSV file's delimiter.
        first: Number of the first input, so that several reads stay apart.

    Raises:
        SourceError: An input cannot be read, or has other columns than the first.
    """
    inputs = inputs_of(source, options, spool, first)
    frames: list[pl.DataFrame] = []
    malformed: list[Malformed] = []
    names: tuple[str, ...] | None = None
    filtered = 0
    for one in inputs:
        found = one.columns(known)
        if names is None:
            names = found
        elif set(found) != set(names):
            odd = ", ".join(sorted(set(names) ^ set(found)))
            raise SourceError(
                f"{one.name} does not have the same columns as {inputs[0].name}: {odd}. "
                "Read them apart.",
                code="columns",
            )
        for batch in one.batches():
            frames.append(batch.frame.drop(LINE).select(*names, ROW))
            malformed += batch.malformed
            filtered += batch.filtered
    empty = pl.DataFrame(schema={**dict.fromkeys(names or (), pl.String), ROW: pl.Int64})
    return Extract(
        frame=pl.concat(frames, rechunk=True) if frames else empty,
        names=tuple(one.name for one in inputs),
        first=first,
        malformed=tuple(malformed),
        filtered=filtered,
    )


def extract_of(frame: pl.DataFrame, name: str, first: int) -> Extract:
    """Rows that came with types from one place, such as a query.

    Args:
        frame: Without `_row`.
        name: Of the place.
        first: Its number.
    """
    start = row_id(first, 1)
    rows = pl.int_range(start, start + frame.height, dtype=pl.Int64, eager=True).alias(ROW)
    return Extract(frame=frame.with_columns(rows), names=(name,), first=first)
