"""Text batches -> typed rows and faults. Not for: what a type accepts (`types`), or the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import polars as pl

from penstock.errors import UsageError
from penstock.loading.types.check import Check, shown
from penstock.loading.types.registry import check_for
from penstock.loading.types.texts import TEXT_BASES
from penstock.loading.types.zones import check_zone
from penstock.loading.unholdable import unholdable
from penstock.model.batch import LINE, ROW
from penstock.model.marks import marks_of
from penstock.model.options import Grammar
from penstock.model.patterns import pattern_of
from penstock.model.table import Column
from penstock.postgres.encodings import Encoding

_FAULTS = {
    "position": pl.UInt32(),
    "column": pl.String(),
    "code": pl.String(),
    "reason": pl.String(),
    "value": pl.String(),
}
#: What makes two faults the same one: a value is refused once.
_ONE_VALUE = ("position", "column")


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch, checked.

    Attributes:
        good: The accepted rows in input order: a typed column for each target column, named as
            the target's, then `_row` and `_line` (Int64).
        bad: The refused rows in input order: `position` in the input frame (UInt32, from 0),
            `_row`, `_line`.
        faults: One row for each fault, by row and then by column: `_row` (Int64), `column`,
            `code`, `reason` and `value` (String; the raw text, NULL where there is none).
        changes: `rounded` and `trimmed` -> values of accepted rows that were so changed.
    """

    good: pl.DataFrame
    bad: pl.DataFrame
    faults: pl.DataFrame
    changes: dict[str, int]


class Lookup(Protocol):
    """What makes surrogate keys of natural ones (`loading.lookups`)."""

    @property
    def takes_nothing(self) -> bool:
        """True where a row without a natural key gets the unknown member."""
        ...

    def check(self, column: Column, grammar: Grammar) -> Check:
        """The check of a column with natural keys."""
        ...


class Validator:
    """Checks batches against the columns of one target.

    Args:
        columns: The target columns that the input supplies, in the input's order.
        grammar: How the values are written.
        typed_columns: Names of columns that came typed and were made text by `types.typed`:
            `grammar.dates`, `numbers` and `empty="text"` are about text, and not about them.
        lookups: Column -> what makes its values of natural keys.
        encoding: The database's, where it does not have every character.

    Raises:
        UsageError: A declaration of `grammar` makes no sense.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        grammar: Grammar,
        typed_columns: Collection[str] = (),
        lookups: Mapping[str, Lookup] | None = None,
        *,
        encoding: Encoding | None = None,
    ) -> None:
        _check_declarations(grammar)
        plain = Grammar()
        typed = replace(
            grammar,
            dates=plain.dates,
            numbers=plain.numbers,
            empty=None if grammar.empty == "text" else grammar.empty,
        )
        grammars = [typed if column.name in typed_columns else grammar for column in columns]
        self._columns = tuple(columns)
        self._encoding = encoding
        # Within, columns have numbers: to Polars, a name such as `*` or `^x$` would be many.
        numbered = [replace(column, name=str(n)) for n, column in enumerate(columns)]
        given = lookups or {}
        looked_up = [given.get(column.name) for column in columns]
        self._checks: tuple[Check, ...] = tuple(
            check_for(column, its) if one is None else one.check(column, its)
            for column, its, one in zip(numbered, grammars, looked_up, strict=True)
        )
        nulled = [
            _nulled(column, its, one)
            for column, its, one in zip(numbered, grammars, looked_up, strict=True)
        ]
        self._nulled = [expression for expression in nulled if expression is not None]
        self._first_look = [check.typed.alias(f"t{n}") for n, check in enumerate(self._checks)]
        self._first_look += [check.suspect.alias(f"s{n}") for n, check in enumerate(self._checks)]

    @property
    def dtypes(self) -> tuple[pl.DataType, ...]:
        """Of the typed columns, in the input's order."""
        return tuple(check.dtype for check in self._checks)

    def check(self, frame: pl.DataFrame, before: pl.DataFrame | None = None) -> Checked:
        """Type every row that is right, and say what is wrong with the others.

        Args:
            frame: A String column for each target column, by the target's names, then `_row`
                and `_line` (Int64). NULL is the unquoted empty field.
            before: Faults that were found before, as `Batch.faults`; what is wrong with the same
                value of the same row besides is not told.
        """
        given = frame.select(
            *[frame.get_column(c.name).alias(str(n)) for n, c in enumerate(self._columns)], ROW
        )
        texts = given.with_columns(self._nulled)
        # Lazily: `typed` is part of `suspect`, and only the lazy engine computes it once.
        looked = texts.lazy().select(*self._first_look, ROW).collect()
        typed: list[pl.Series] = []
        faults: list[pl.DataFrame] = []
        changes: list[pl.DataFrame] = []
        for number, (column, check) in enumerate(zip(self._columns, self._checks, strict=True)):
            values = looked.get_column(f"t{number}")
            if self._encoding is not None and check.dtype == pl.String():
                lost = unholdable(column, texts.get_column(str(number)), self._encoding)
                lost = lost.insert_column(1, pl.lit("22P05").alias("code"))
                faults.append(_faults(column, lost, given.get_column(str(number))))
            suspects = looked.get_column(f"s{number}")
            wrong = None
            if suspects.any():
                look = _look(check, texts.get_column(str(number)), suspects)
                values = _patched(values, look)
                wrong = look.filter(pl.col("code").is_not_null())
                faults.append(_faults(column, wrong, given.get_column(str(number))))
                changes.append(look.select("position", "change").drop_nulls())
            typed.append(values.alias(column.name))
            if not column.nullable and values.null_count():
                faults.append(_missing(column, values, wrong, given.get_column(str(number))))
        faults = [found for found in faults if found.height]
        if before is not None and before.height:
            faults = [
                pl.concat([before, *faults]).unique(_ONE_VALUE, keep="first", maintain_order=True)
            ]
        return _divide(frame, typed, faults, changes)


def _check_declarations(grammar: Grammar) -> None:
    """A senseless declaration is an error even where no column needs it."""
    pattern_of(grammar.dates)
    marks_of(grammar.numbers)
    if grammar.timezone is not None:
        check_zone(grammar.timezone)
    if grammar.empty not in (None, "null", "text"):
        raise UsageError(f"--empty {grammar.empty!r} is neither null nor text", code="empty")


def _nulled(column: Column, grammar: Grammar, lookup: Lookup | None) -> pl.Expr | None:
    """The column's text with NULL for what means NULL; None where nothing is declared."""
    raw = pl.col(column.name)
    nulls = [*grammar.null, *([""] if grammar.empty == "null" else [])]
    becomes_text = grammar.empty == "text" and column.base in TEXT_BASES
    unknown = lookup is not None and lookup.takes_nothing
    if not nulls and not becomes_text and not unknown:
        return None
    kept = pl.when(raw.is_in(nulls)).then(None).otherwise(raw) if nulls else raw
    if becomes_text:
        kept = pl.when(raw.is_null()).then(pl.lit("")).otherwise(kept)
    if unknown:
        kept = kept.fill_null("")  # the empty text is no member: it becomes the unknown one
    return kept.alias(column.name)


def _look(check: Check, texts: pl.Series, suspects: pl.Series) -> pl.DataFrame:
    """The careful look, with each suspect's `position`."""
    positions = suspects.arg_true().cast(pl.UInt32)
    return check.careful(texts.gather(positions)).with_columns(positions.alias("position"))


def _patched(values: pl.Series, look: pl.DataFrame) -> pl.Series:
    """The values with those of the careful look in their places."""
    places = pl.int_range(len(values), dtype=pl.UInt32, eager=True)
    fresh = pl.int_range(len(values), len(values) + look.height, dtype=pl.UInt32, eager=True)
    places = places.scatter(look.get_column("position"), fresh)
    return pl.concat([values, look.get_column("value").alias(values.name)]).gather(places)


def _faults(column: Column, wrong: pl.DataFrame, texts: pl.Series) -> pl.DataFrame:
    positions = wrong.get_column("position")
    return wrong.select(
        "position",
        pl.lit(column.name).alias("column"),
        "code",
        "reason",
        texts.gather(positions).alias("value"),
    )


def _missing(
    column: Column, values: pl.Series, wrong: pl.DataFrame | None, texts: pl.Series
) -> pl.DataFrame:
    """NOT NULL: rows that are NULL, the ones left out whose value is refused anyway."""
    positions = values.is_null().arg_true().cast(pl.UInt32)
    if wrong is not None:
        positions = positions.filter(~positions.is_in(wrong.get_column("position").implode()))
    raw = texts.gather(positions)
    rule = f"{column.name} is NOT NULL"
    if column.has_default:
        rule += "; its default is taken only where the input has no such column"
    reasons = [
        f"no value, and {rule}" if text is None else f"{shown(text)} means NULL, and {rule}"
        for text in raw
    ]
    return pl.DataFrame(
        {
            "position": positions,
            "column": [column.name] * len(reasons),
            "code": ["23502"] * len(reasons),
            "reason": reasons,
            "value": raw,
        },
        schema=_FAULTS,
    )


def _divide(
    frame: pl.DataFrame,
    typed: list[pl.Series],
    faults: list[pl.DataFrame],
    changes: list[pl.DataFrame],
) -> Checked:
    origin = frame.select(ROW, LINE)
    good = origin.select(*typed, ROW, LINE)
    found = pl.concat(faults) if faults else pl.DataFrame(schema=_FAULTS)
    found = found.sort("position", maintain_order=True)
    positions = found.get_column("position").unique(maintain_order=True)
    counts: Counter[str] = Counter(rounded=0, trimmed=0)
    for change in changes:
        kept = change.filter(~pl.col("position").is_in(positions.implode()))
        counts.update(kept.get_column("change"))
    if len(positions):
        keep = pl.repeat(True, frame.height, eager=True).scatter(positions, False)
        good = good.filter(keep)
    rows = origin.get_column(ROW).gather(found.get_column("position"))
    return Checked(
        good=good,
        bad=origin[positions].select(positions, ROW, LINE),
        faults=found.select(rows, "column", "code", "reason", "value"),
        changes=dict(counts),
    )
