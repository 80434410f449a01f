"""Checks an input's values as a load would, and loads nothing.

Not for: keys, foreign keys and CHECK: what the server judges is tried by a load with `--dry-run`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from penstock.loading.inputs import Input
from penstock.loading.types.typed import to_text
from penstock.loading.validate import Validator
from penstock.model.batch import LINE, ROW, Malformed, record_of
from penstock.model.options import Grammar
from penstock.model.result import ReasonCount, Sample
from penstock.model.table import Column

#: Rows that are shown as they would load.
FIRST_ROWS = 5
_SAMPLES = 2
#: Zeros at the end of a time's fraction, which tell nothing.
_NOUGHTS = r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d*[1-9])?)\.?0+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a load would say of the values.

    Attributes:
        refused: Rows that would be refused, records without structure too.
        reasons: Why, commonest first.
        first_rows: The first accepted rows: target column -> text, None for NULL.
    """

    refused: int
    reasons: tuple[ReasonCount, ...]
    first_rows: tuple[Mapping[str, str | None], ...]


@dataclass(slots=True)
class _Counts:
    refused: int = 0
    rows: dict[tuple[str, str], int] = field(default_factory=dict)
    samples: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)

    def add(self, column: str, code: str, times: int, samples: Sequence[Sample]) -> None:
        key = (column, code)
        self.rows[key] = self.rows.get(key, 0) + times
        kept = self.samples.setdefault(key, [])
        kept += samples[: _SAMPLES - len(kept)]


def tried(
    inputs: Sequence[Input],
    pairs: Sequence[tuple[str, Column]],
    grammar: Grammar,
    *,
    whole: bool,
) -> Trial:
    """Check the values of an input.

    Args:
        inputs: With the same columns.
        pairs: (source column, target column).
        grammar: How values are written.
        whole: True: every row; False: only until the first rows are found.
    """
    counts = _Counts()
    first: list[dict[str, str | None]] = []
    for one in inputs:
        one.matched(pairs)
        typed = [column.name for name, column in pairs if name in one.typed]
        validator = Validator([column for _, column in pairs], grammar, typed_columns=typed)
        for batch in one.batches():
            _malformed(counts, batch.malformed, one.name)
            frame = batch.frame.select(
                *[batch.frame.get_column(name).alias(column.name) for name, column in pairs],
                batch.frame.get_column(ROW),
                batch.frame.get_column(LINE),
            )
            if not whole:
                frame = frame.head(FIRST_ROWS)
            checked = validator.check(frame)
            counts.refused += checked.bad.height
            _faults(counts, checked.faults, frame, one.name)
            if len(first) < FIRST_ROWS:
                rows = checked.good.head(FIRST_ROWS - len(first)).drop(ROW, LINE)
                first += to_text(rows).select(pl.all().str.replace(_NOUGHTS, "$1")).to_dicts()
            if not whole and len(first) >= FIRST_ROWS:
                break
    reasons = [
        ReasonCount(column=key[0], code=key[1], rows=rows, samples=tuple(counts.samples[key]))
        for key, rows in counts.rows.items()
    ]
    return Trial(
        refused=counts.refused,
        reasons=tuple(sorted(reasons, key=lambda reason: -reason.rows)),
        first_rows=tuple(first),
    )


def _malformed(counts: _Counts, found: Sequence[Malformed], file: str) -> None:
    for one in found:
        counts.refused += 1
        counts.add("", one.code, 1, [Sample(file, one.line, None, one.reason, record_of(one.row))])


def _faults(counts: _Counts, faults: pl.DataFrame, frame: pl.DataFrame, file: str) -> None:
    if not faults.height:
        return
    grouped = faults.group_by("column", "code", maintain_order=True).agg(
        pl.len().alias("rows"), pl.col(ROW, "value", "reason").head(_SAMPLES)
    )
    for column, code, rows, at, values, reasons in grouped.iter_rows():
        line = dict(frame.filter(pl.col(ROW).is_in(at)).select(ROW, LINE).rows())
        samples = [
            Sample(file, line[row], value, reason, record_of(row))
            for row, value, reason in zip(at, values, reasons, strict=True)
        ]
        counts.add(column, code, rows, samples)
