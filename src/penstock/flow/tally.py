"""What a job read, loaded and lost, row by row. Not for: running it (`job`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import polars as pl

from penstock.errors import UsageError
from penstock.loading.extract import Extract
from penstock.model.batch import RECORD_BITS, ROW, Malformed, file_of, record_of
from penstock.model.result import LoadResult
from penstock.postgres.encodings import writable

#: Rows shown of those that got lost.
_SAMPLES = 3


class Tally:
    """The rows of one job: each that was read reaches a load, is dropped by name, or got lost.

    Attributes:
        extracted: Records that were read.
        results: Of the loads, in order.
        linked_by: Of the links, in order.
        notes: What a person should know of the job.
        files: Whole path, bytes and time of the last change of each file that was read.
        unlinked: Tables with refused rows, and how many references of theirs no link could set.
    """

    def __init__(self) -> None:
        self.extracted = 0
        self.results: list[LoadResult] = []
        self.linked_by: list[LoadResult] = []
        self.notes: list[str] = []
        self.files: list[tuple[str, int, int]] = []
        self.unlinked: list[tuple[str, int]] = []
        self._left_out: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._read: list[pl.Series] = []
        self._reached: list[pl.Series] = []
        self._given: list[pl.Series] = []
        self._undone: list[pl.Series] = []
        self._aggregated: list[pl.Series] = []
        self._dropped: list[tuple[str, pl.Series]] = []
        self._malformed: dict[int, list[Malformed]] = {}
        self._inputs = 0

    @property
    def next_input(self) -> int:
        """The number of the next input that is read."""
        return self._inputs

    @property
    def names(self) -> Mapping[int, str]:
        """Number of an input, as in `_row` -> its name."""
        return self._names

    def took(self, found: Extract) -> pl.DataFrame:
        """Book what was read; gives its frame."""
        for number, name in enumerate(found.names, found.first):
            self._names[number] = name
        self._inputs = max(self._inputs, found.first + len(found.names))
        self.extracted += found.frame.height + len(found.malformed) + found.filtered
        self.files += [(writable(path), size, time) for path, size, time in found.files]
        self._read.append(found.frame.get_column(ROW))
        if found.filtered:
            self._left_out["blank"] = self._left_out.get("blank", 0) + found.filtered
        for one in found.malformed:
            self._malformed.setdefault(file_of(one.row), []).append(one)
        return found.frame

    def malformed_of(self, frame: pl.DataFrame) -> list[Malformed]:
        """Records of the inputs of these rows that never became rows; each is given once."""
        if not self._malformed:
            return []
        rows = frame.get_column(ROW).cast(pl.Int64).drop_nulls()
        files = set((rows // (1 << RECORD_BITS)).unique().to_list()) or set(self._malformed)
        return [one for file in sorted(files) for one in self._malformed.pop(file, [])]

    def reached(self, rows: pl.Series, result: LoadResult) -> None:
        """Book a load, and the rows that it was given."""
        self._reached.append(rows)
        self.results.append(result)
        self.notes += [f"{result.table}: {one}" for one in result.checks if one.bad]

    def linked(self, table: str, result: LoadResult) -> None:
        """Book a link: its rows were loaded before, and count once."""
        self.linked_by.append(result)
        done = result.inserted + result.updated + result.unchanged + result.ignored
        waits = f", {result.quarantined:,} not" if result.quarantined else ""
        self.notes.append(f"{table}: {done:,} linked{waits}")

    def not_linked(self, table: str, where: str, references: int) -> None:
        """Book the references of rows of a table that a link left out: their load refused them."""
        if not references:
            return
        self.unlinked.append((table, references))
        nouns = "reference of refused rows is", "references of refused rows are"
        self.notes.append(
            f"{table}, {where}: {references:,} {nouns[references > 1]} not linked: "
            "set when the rows come again in the source"
        )

    @property
    def everything(self) -> list[LoadResult]:
        """Of loads and links."""
        return [*self.results, *self.linked_by]

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """What is booked within the block is taken back where it fails: it was rolled back."""
        parts: list[list[Any]] = [
            self.results,
            self.linked_by,
            self.notes,
            self.unlinked,
            self._reached,
            self._aggregated,
        ]
        lengths, malformed = [len(part) for part in parts], dict(self._malformed)
        given = len(self._given)
        try:
            yield
        except BaseException:  # also Ctrl-C: the books are taken back, and the error goes on
            for part, length in zip(parts, lengths, strict=True):
                del part[length:]
            self._malformed = malformed
            self._undone += self._given[given:]
            raise

    def traced(self, frame: pl.DataFrame, where: str) -> pl.DataFrame:
        """Rows with `_row` (Int64); those that are none of what was read count as made of it.

        Raises:
            UsageError: `_row` was made something that is no number.
        """
        if ROW not in frame.columns:
            self._aggregate(where, frame.height)
            return frame.with_columns(pl.lit(None, dtype=pl.Int64).alias(ROW))
        rows = frame.get_column(ROW)
        if not (rows.dtype.is_integer() or rows.dtype == pl.Null):
            raise UsageError(
                f"{where}: {ROW} is {rows.dtype} now: it says where a row was read. Leave it as it "
                f"is; or drop it, and the rows count as made of all that was read"
            )
        rows = rows.cast(pl.Int64)
        self._given.append(rows)
        if self._read and not _among(rows, self._read):
            known = rows.is_in(_all(self._read).implode())
            beside = frame.height - rows.filter(known).len()
            if beside and beside == frame.height:
                self._aggregate(where, beside)
            elif beside:
                self.notes.append(f"{where}: {beside:,} rows beside those that were read")
        return frame.with_columns(rows)

    def _aggregate(self, where: str, rows: int) -> None:
        """Book rows that were made of all that was read so far, and have no origin of their own."""
        self.notes.append(f"{where}: aggregated {self.extracted:,} -> {rows:,}")
        self._given += self._read
        self._aggregated += self._read

    def drop(self, rows: pl.Series, because: str) -> None:
        """Book rows that the job leaves out, and says why."""
        self._dropped.append((because, rows))

    def dropped(self) -> dict[str, int]:
        """Records that were left out, by reason: each once, and none that a load was given."""
        found = dict(self._left_out)
        seen = _all(self._reached if self._dropped else [])
        for because, named in self._dropped:
            rows = _all([named])
            new = rows.filter(~rows.is_in(seen.implode()))
            seen = _all([seen, new])
            if new.len() or not named.len():
                found[because] = found.get(because, 0) + new.len()
        return found

    def undone(self) -> int:
        """Rows of loads that were rolled back, which no other load took and nobody left out."""
        booked = [*self._reached, *self._aggregated, *(rows for _, rows in self._dropped)]
        rows = _all([one for one in self._undone if not _among(one, booked)])
        return rows.filter(~rows.is_in(_all(booked).implode())).len() if rows.len() else 0

    def lost(self) -> tuple[int, list[str]]:
        """Rows that were read and reached nothing; how many, and where the first ones stood."""
        booked = [*self._reached, *self._aggregated, *(rows for _, rows in self._dropped)]
        gone = _all([one for one in self._read if not _among(one, booked)])
        if gone.len():
            gone = gone.filter(~gone.is_in(_all(booked).implode()))
        unread = sum(map(len, self._malformed.values()))
        samples = [
            f"{self._names.get(file_of(row), '?')} record {record_of(row)}"
            for row in gone.head(_SAMPLES).to_list()
        ]
        return gone.len() + unread, samples

    def counts(self) -> dict[str, Any]:
        """Of the loads: rows taken and refused."""
        taken = refused = 0
        for one in self.results:
            taken += one.inserted + one.updated + one.unchanged + one.ignored
            refused += one.quarantined
        refused += sum(one.quarantined for one in self.linked_by)
        return {"loaded": taken, "rejected": refused}


def _among(rows: pl.Series, those: list[pl.Series]) -> bool:
    """True where one of those is the same, as where a job changes no number of rows: found fast."""
    return any(rows.len() == one.len() and rows.equals(one) for one in those)


def _all(parts: list[pl.Series]) -> pl.Series:
    empty = pl.Series(ROW, [], dtype=pl.Int64)
    some = [part.alias(ROW).cast(pl.Int64).drop_nulls() for part in parts]
    return pl.concat([empty, *some]).unique()
