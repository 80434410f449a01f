"""Rejects as the input of a load, and what becomes of them in its transaction.

Not for: finding them, nor reading corrected files (`corrected`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import psycopg

from penstock.ledger import replays
from penstock.model.batch import LINE, ROW, Batch, row_id
from penstock.model.table import Column

#: Rows that make one batch.
_BATCH_ROWS = 100_000
#: A refused record: physical line, raw bytes, source column -> text.
_Origin = tuple[int, bytes, dict[str, str | None]]


class Replaying:
    """The rejects that one load tries again.

    Args:
        rejects: `_row` -> reject.
        note: For the ledger.
        by_itself: True where a load tries again what waited for its parents; False where a person
            replays.

    Attributes:
        held: `_row` -> reject, of those that wait still; known once they are held.
        gone: Rejects that another session closed, or holds, before they were held.
        closed: How many were closed.
        apart: Groups of which rows wait that are not tried again, and why they are refused.
        waiting: How many wait for their parents on.
    """

    def __init__(self, rejects: Mapping[int, int], note: str, *, by_itself: bool) -> None:
        self.held: dict[int, int] = dict(rejects)
        self.gone: list[int] = []
        self.closed = 0
        self.apart: dict[str, str] = {}
        self.waiting = 0
        self._rejects = rejects
        self._note = note
        self._by_itself = by_itself

    def hold(self, connection: psycopg.Connection[Any], lock_timeout: float) -> None:
        """Lock them for the transaction; who comes second finds that they do not wait any more.

        A load that tries them by itself leaves those that another session holds to it.

        Raises:
            psycopg.errors.LockNotAvailable: Another session held them for too long.
        """
        row = connection.execute("select current_setting('lock_timeout')").fetchone()
        _limit(connection, f"{max(1, round(lock_timeout * 1000))}ms")
        waiting = replays.hold(connection, list(self._rejects.values()), free=self._by_itself)
        _limit(connection, "0" if row is None else row[0])
        self.held = {row: one for row, one in self._rejects.items() if one in waiting}
        self.gone = [one for one in self._rejects.values() if one not in waiting]

    def finish(
        self,
        connection: psycopg.Connection[Any],
        load_id: str,
        refused: Iterable[pl.DataFrame],
        awaited: Collection[str],
    ) -> None:
        """Close those whose rows were not refused again."""
        self.closed, self.waiting = replays.finish(
            connection,
            load_id,
            self.held,
            refused,
            self._note,
            awaited=awaited,
            by_itself=self._by_itself,
        )


class RejectsInput:
    """Rows of rejects, as they were refused or as somebody corrected them.

    Args:
        name: For messages.
        rows: The reject; its record and line in a corrected file, else its number and 0; a text
            for each column.
        columns: Names of the columns.
        typed: Those of them that came typed from their source.
        note: For the ledger.
        by_itself: As of `Replaying`.

    Attributes:
        rows: How many there are.
    """

    def __init__(
        self,
        name: str,
        rows: Sequence[tuple[int, int, int, Sequence[str | None]]],
        columns: Sequence[str],
        *,
        typed: Collection[str],
        note: str,
        by_itself: bool = False,
    ) -> None:
        self.name = name
        self.file = 0
        self.rows = len(rows)
        self.stored = False
        self.typed = frozenset(typed) & set(columns)
        self._columns = tuple(columns)
        texts = pl.DataFrame(
            [list(row[3]) for row in rows],
            schema=[f"c{place}" for place in range(len(columns))],
            schema_overrides={f"c{place}": pl.String() for place in range(len(columns))},
            orient="row",
        )
        texts.columns = list(columns)
        self.size = int(texts.estimated_size())
        numbers = [row_id(0, row[1]) for row in rows]
        self._frame = texts.with_columns(
            pl.Series(ROW, numbers, dtype=pl.Int64),
            pl.Series(LINE, [row[2] for row in rows], dtype=pl.Int64),
        )
        self.replaying = Replaying(
            {number: row[0] for number, row in zip(numbers, rows, strict=True)},
            note,
            by_itself=by_itself,
        )

    def columns(self, known: Collection[str]) -> tuple[str, ...]:
        """The source columns."""
        del known
        return self._columns

    def matched(self, pairs: Sequence[tuple[str, Column]]) -> None:
        """The texts do not depend on it."""
        del pairs

    def batches(self) -> Iterator[Batch]:
        """The rows whose rejects are held."""
        held = pl.Series(list(self.replaying.held), dtype=pl.Int64).implode()
        frame = self._frame.filter(pl.col(ROW).is_in(held))
        for part in frame.iter_slices(_BATCH_ROWS):
            yield Batch(part, _Raw(part.drop(ROW, LINE)), part.height)

    def fetch(self, rows: Collection[int]) -> dict[int, _Origin]:
        """The rows again, as JSON."""
        wanted = pl.Series(sorted(rows), dtype=pl.Int64).implode()
        part = self._frame.filter(pl.col(ROW).is_in(wanted))
        texts = part.drop(ROW, LINE).iter_rows(named=True)
        return {
            row: (line, _json(values), values)
            for row, line, values in zip(part[ROW], part[LINE], texts, strict=True)
        }

    def origin(self, record: int) -> tuple[str, int]:
        """Its own name and number."""
        return self.name, record

    def sha256(self) -> str:
        """Rejects are no file: their status says whether they were loaded."""
        return ""

    def fingerprint(self) -> str:
        """As `sha256`."""
        return ""

    def remarks(self) -> tuple[str, ...]:
        """Nothing is found out about rejects."""
        return ()


class _Raw:
    def __init__(self, texts: pl.DataFrame) -> None:
        self._texts = texts

    def __call__(self, positions: Sequence[int]) -> list[bytes]:
        return [_json(self._texts.row(position, named=True)) for position in positions]


def _json(values: Mapping[str, str | None]) -> bytes:
    return json.dumps(values, ensure_ascii=False).encode()


def _limit(connection: psycopg.Connection[Any], timeout: str) -> None:
    connection.execute("select set_config('lock_timeout', %s, true)", [timeout])
