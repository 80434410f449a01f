"""The client's half of a load: read, check, split off what is refused, encode.

Not for: the server's half (`direct`, `staged`). An `Intake` reads its inputs once; a second
attempt makes a new one.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl
from psycopg import sql

from penstock.errors import BalanceError
from penstock.loading.columns import Matching
from penstock.loading.group import GroupFilter
from penstock.loading.inputs import Input
from penstock.loading.late import Ascending, LateRows
from penstock.loading.parents import Parents, orphans, refused_too
from penstock.loading.refusals import ReadableKey, refused_rows
from penstock.loading.refused_keys import RefusedKeys
from penstock.loading.spool import Spool
from penstock.loading.validate import Checked, Lookup, Validator
from penstock.model.batch import LINE, ROW, Batch
from penstock.model.options import Grammar, OrphanPolicy
from penstock.model.table import TableSpec
from penstock.postgres.copy import BinaryEncoder, CsvEncoder, exact
from penstock.postgres.encodings import Encoding
from penstock.postgres.judged import has_grammar
from penstock.postgres.staging import ROW_COLUMN as STAGED_ROW
from penstock.quality.rows import RowChecks


@dataclass(slots=True)
class Books:
    """What the client's half counted.

    Attributes:
        read: Records met.
        filtered: Wholly blank records.
        sent: Rows that passed.
        changes: `rounded`, `trimmed`, `orphans_nulled`.
        read_bytes: Bytes of all inputs consumed.
    """

    read: int = 0
    filtered: int = 0
    sent: int = 0
    changes: dict[str, int] = field(default_factory=dict)
    read_bytes: int = 0

    def change(self, name: str, count: int) -> None:
        """Count values that were changed because the user said so."""
        if count:
            self.changes[name] = self.changes.get(name, 0) + count


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows ready for a COPY into a staging table.

    Attributes:
        columns: The encoded columns.
        options: COPY options.
        pieces: The bytes.
        rows: How many rows they are.
    """

    columns: list[str]
    options: sql.SQL
    pieces: list[bytes]
    rows: int


class Intake:
    """Reads the inputs of one table's load and yields the rows of its COPY.

    Attributes:
        books: Counts; complete when `frames` is exhausted.
        spool: The refused rows.
        late: Rows held back, or None where the load does not hold back.
        columns: Names of the encoded columns, in order.
        encoder: What encodes them.
        watch: Gathers the keys of refused rows, or None.
        ascending: Looks at the order of a key, or None.
        groups: Finds rows that are refused with their groups, or None.
        checks: Tries the declared checks on the accepted rows, or None.
    """

    def __init__(
        self,
        spec: TableSpec,
        inputs: Sequence[tuple[Input, Matching]],
        grammar: Grammar,
        parents: Sequence[Parents],
        spool: Spool,
        *,
        staged: bool,
        hold_back: str | None,
        encoding: Encoding | None,
        key: ReadableKey | None,
        watch: RefusedKeys | None = None,
        ascending: Ascending | None = None,
        lookups: Mapping[str, Lookup] | None = None,
        groups: GroupFilter | None = None,
        checks: RowChecks | None = None,
    ) -> None:
        self.books = Books()
        self.spool = spool
        self.late = None if hold_back is None else LateRows(hold_back)
        self._spec = spec
        self._inputs = inputs
        self._grammar = grammar
        self._parents = parents
        self._staged = staged
        self.watch = watch
        self.ascending = ascending
        self.groups = groups
        self.checks = checks
        self._lookups = lookups or {}
        self._encoding = encoding
        self._key = key
        # All inputs supply the same columns; the order of the first one holds.
        self._order = [column.name for column in inputs[0][1].columns]
        self.columns = [STAGED_ROW, *self._order] if staged else list(self._order)
        self.encoder = self._choose_encoder()

    def _choose_encoder(self) -> BinaryEncoder | CsvEncoder:
        source, matching = self._inputs[0]
        validator = self._validator(source, matching)
        pairs = zip(matching.columns, validator.dtypes, strict=True)
        # What has no grammar is staged as text, which binary COPY would fill with garbage.
        exactly = all(
            exact(column.base, dtype) and not (self._staged and not has_grammar(column))
            for column, dtype in pairs
        )
        return BinaryEncoder() if exactly else CsvEncoder()

    def _validator(self, source: Input, matching: Matching) -> Validator:
        typed = _typed(source, matching)
        return Validator(
            matching.columns, self._grammar, typed, self._lookups, encoding=self._encoding
        )

    def frames(self) -> Generator[pl.DataFrame, None, None]:
        """The rows to send, as the inputs are read; run in a thread of its own."""
        before = 0
        for source, matching in self._inputs:
            validator = self._validator(source, matching)
            names = {name: column.name for name, column in matching.pairs}
            by_target = {column.name: name for name, column in matching.pairs}
            wanted = [*names, ROW, LINE]
            for batch in source.batches():
                self.books.read += batch.records
                self.books.filtered += batch.filtered
                self.books.read_bytes = before + batch.read_bytes
                self.spool.add_malformed(batch.malformed)
                frame = batch.frame.select(wanted).rename(names)
                checked = validator.check(frame, _renamed(batch.faults, names))
                if self.watch is not None:
                    self.watch.unread += len(batch.malformed)
                    refused = frame[checked.bad.get_column("position")]
                    self.watch.see_texts(refused, self._grammar, _typed(source, matching))
                good = self._check(batch, checked, by_target)
                if self.ascending is not None:
                    self.ascending.look(good)
                if self.checks is not None:
                    self.checks.look(good)
                parts = [good]
                if self.late is not None:
                    parts = self.late.split(good)
                    self.late.keep_origins(batch)
                self.books.sent += sum(part.height for part in parts)
                self._balance(source.name)
                yield from (part for part in parts if part.height)
            before += source.size

    def pieces(self, frames: Iterator[pl.DataFrame]) -> Iterator[bytes]:
        """The bytes of the COPY: the frames encoded, where they are sent."""
        columns = [pl.col(name) for name in self._order]
        if self._staged:
            columns.insert(0, pl.col(ROW).alias(STAGED_ROW))
        for frame in frames:
            yield self.encoder.encode(frame.select(columns))
        yield self.encoder.finish()

    def _balance(self, name: str) -> None:
        held = 0 if self.late is None else sum(frame.height for frame in self.late.frames)
        books = self.books
        if books.read != books.sent + held + self.spool.rows + books.filtered:
            raise BalanceError(
                f"{name}: {books.read:,} records were read, and {books.sent:,} sent, {held:,} held "
                f"back, {self.spool.rows:,} refused and {books.filtered:,} blank do not make that. "
                "This is a fault of Penstock; the load was rolled back.",
                code="balance",
            )

    def encode_late(self) -> Encoded:
        """The rows held back, for a staging table."""
        frames = [] if self.late is None else self.late.frames
        # The late rows are few: CSV is right for every type of a staging table.
        encoder = CsvEncoder()
        columns = [pl.col(ROW).alias(STAGED_ROW), *map(pl.col, self._order)]
        pieces = [encoder.encode(frame.select(columns)) for frame in frames]
        return Encoded(
            columns=[STAGED_ROW, *self._order],
            options=encoder.options,
            pieces=[*pieces, encoder.finish()],
            rows=sum(frame.height for frame in frames),
        )

    def _check(self, batch: Batch, checked: Checked, by_target: Mapping[str, str]) -> pl.DataFrame:
        for name, count in checked.changes.items():
            self.books.change(name, count)
        if checked.bad.height:
            self.spool.add(refused_rows(batch, checked.bad, checked.faults, by_target, self._key))
        good = checked.good
        if self.groups is not None:
            good = self._refused(batch, good, self.groups.faults(good), by_target)
        return self._without_orphans(batch, good, by_target)

    def _refused(
        self, batch: Batch, good: pl.DataFrame, faults: pl.DataFrame, by_target: Mapping[str, str]
    ) -> pl.DataFrame:
        """Refuse the rows that faults were found in; gives the others."""
        if faults.is_empty():
            return good
        lost = good.get_column(ROW).is_in(faults.get_column(ROW).implode())
        place = batch.frame.select(ROW, LINE).with_row_index("position")
        bad = place.join(good.filter(lost).select(ROW), on=ROW, how="semi", maintain_order="left")
        self.spool.add(refused_rows(batch, bad, faults, by_target, self._key))
        if self.watch is not None:
            self.watch.see_typed(good.filter(lost))
        return good.filter(~lost)

    def _without_orphans(
        self, batch: Batch, good: pl.DataFrame, by_target: Mapping[str, str]
    ) -> pl.DataFrame:
        """Every foreign key is looked at before a row is refused: it gets all its reasons."""
        faults: list[pl.DataFrame] = []
        nulled: list[pl.Series] = []
        lost = pl.repeat(value=False, n=good.height, dtype=pl.Boolean, eager=True)
        for parents in self._parents:
            if parents.known is None or parents.policy is OrphanPolicy.PLACEHOLDER:
                continue  # the database looks after them
            absent = orphans(good, parents, self._spec)
            if not absent.any():
                continue
            if parents.policy is OrphanPolicy.NULL:
                nulled.append(absent)
                good = good.with_columns(
                    pl.when(~absent).then(pl.col(name)).alias(name) for name in parents.key.columns
                )
                continue
            faults.append(self._orphan_faults(good.filter(absent), parents))
            lost = lost | absent
        for absent in nulled:
            self.books.change("orphans_nulled", int((absent & ~lost).sum()))
        return self._refused(batch, good, pl.concat(faults), by_target) if faults else good

    def _orphan_faults(self, lost: pl.DataFrame, parents: Parents) -> pl.DataFrame:
        key = parents.key
        too = refused_too(lost, parents, self._spec)
        shown = pl.concat_str(
            [pl.col(name).cast(pl.String) for name in key.columns], separator=", "
        )
        return lost.select(
            ROW,
            pl.lit(", ".join(key.columns)).alias("column"),
            pl.when(too).then(pl.lit("parent_refused")).otherwise(pl.lit("23503")).alias("code"),
            pl.concat_str(
                shown,
                pl.when(too)
                .then(pl.lit(f" was refused from {key.parent} in this run"))
                .otherwise(pl.lit(f" is not in {key.parent}")),
            ).alias("reason"),
            shown.alias("value"),
        )


def _typed(source: Input, matching: Matching) -> frozenset[str]:
    """The target columns whose values came typed."""
    return frozenset(column.name for name, column in matching.pairs if name in source.typed)


def _renamed(faults: pl.DataFrame | None, names: Mapping[str, str]) -> pl.DataFrame | None:
    """Faults of source columns as those of the target columns that these fill."""
    if faults is None:
        return None
    return faults.with_columns(pl.col("column").replace(names))
