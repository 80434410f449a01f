"""Rows of the source become rows of the target's fields, with what was refused.

A value that cannot be made refuses its row; the row stays in its place with NULL there, so that
the loader can put it into quarantine. Not for: what the target's types accept (`loading.types`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from penstock.errors import UsageError
from penstock.mapping.field import Field
from penstock.mapping.lookup import Lookup
from penstock.mapping.values import BLANKS, CLEAN, VALUE, fits, literal, shown, typed
from penstock.model.batch import LINE, ROW

#: The columns of `Mapped.faults`.
FAULTS: dict[str, pl.DataType] = {
    "position": pl.UInt32(),
    "column": pl.String(),
    "code": pl.String(),
    "reason": pl.String(),
    "value": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a map made of a frame.

    Attributes:
        frame: `_row` (Int64), `_line` where the source has it, then the target fields: as many
            rows as the source, in its order; more only by `Lookup(match="all")`, where `_row`
            repeats. Text is String and not judged yet; other values have the type that the
            expression or `Field(type=)` gives.
        faults: One row for each refused value, by position and then by field: `position` (UInt32,
            of the row in `frame`), `column` (the target field), `code`, `reason`, `value` (of the
            field's source, as text). Codes: `required`, `check`, `type`, `expression`, `each`,
            `no_match`, `many_matches`.
        changes: How many values were changed because the map says so: `rounded`, `defaulted`,
            `nulled`.
    """

    frame: pl.DataFrame
    faults: pl.DataFrame
    changes: dict[str, int]


@dataclass(slots=True)
class _Books:
    """What is noted while fields are made."""

    faults: list[pl.DataFrame] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)

    def refuse(
        self, name: str, code: str, where: pl.Series, raw: pl.Series, reason: pl.Expr
    ) -> None:
        """Note a fault for each row `where` it is true; `reason` may name `VALUE`, the raw one."""
        if not where.any():
            return
        rows = pl.DataFrame({"where": where, VALUE: raw}).with_row_index("position")
        self.faults.append(
            rows.filter("where").select(
                "position",
                pl.lit(name).alias("column"),
                pl.lit(code).alias("code"),
                reason.alias("reason"),
                pl.col(VALUE).cast(pl.String, strict=False).alias("value"),
            )
        )

    def change(self, kind: str, where: pl.Series) -> None:
        """Count the values that were changed, `where` it is true."""
        if where.any():
            self.changes[kind] += int(where.sum())

    def all_faults(self, names: list[str]) -> pl.DataFrame:
        """The faults by position and then in the order of the fields."""
        if not self.faults:
            return pl.DataFrame(schema=FAULTS)
        order = pl.col("column").replace_strict(names, range(len(names)), return_dtype=pl.UInt32)
        return pl.concat(self.faults).sort("position", order, maintain_order=True)


@dataclass(frozen=True, slots=True)
class _Source:
    """The field that is being made and what its source gave, for faults."""

    name: str
    raw: pl.Series
    books: _Books

    def refuse(self, code: str, where: pl.Series, reason: pl.Expr) -> None:
        """Note a fault of this field for each row `where` it is true."""
        self.books.refuse(self.name, code, where, self.raw, reason)


def make(frame: pl.DataFrame, fields: Mapping[str, pl.Expr | Field | Lookup]) -> Mapped:
    """Make every field of every row.

    Raises:
        UsageError: An expression cannot be computed for any row: an unknown column, or an
            operation that its type does not have.
    """
    if ROW not in frame.columns:
        numbers = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias(ROW)
        frame = frame.with_columns(numbers)
    books = _Books()
    expand = {n: f for n, f in fields.items() if isinstance(f, Lookup) and f.match == "all"}
    frame, found = _expanded(frame, expand)
    made = {}
    for name, how in fields.items():
        if isinstance(how, Lookup) and how.table is not None:
            made[name] = _evaluated(frame, name, how.expressions[0], books)[0]  # the load looks up
        elif isinstance(how, Lookup):
            made[name] = _looked_up(frame, name, how, found.get(name), books)
        elif isinstance(how, Field):
            made[name] = _field(frame, name, how, books)
        else:
            made[name] = _evaluated(frame, name, how, books)[0]
    origin = [name for name in (ROW, LINE) if name in frame.columns]
    columns = [frame.get_column(name) for name in origin]
    columns += [_plain(series).alias(name) for name, series in made.items()]
    return Mapped(pl.DataFrame(columns), books.all_faults(list(fields)), dict(books.changes))


def _plain(series: pl.Series) -> pl.Series:
    """Text is String, whatever it is kept as; a column of only NULLs is text."""
    if isinstance(series.dtype, (pl.Null, pl.Categorical, pl.Enum)):
        return series.cast(pl.String)
    return series


def _expanded(
    frame: pl.DataFrame, lookups: Mapping[str, Lookup]
) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """The frame with a row for each member found, and what was found for each of its rows."""
    found: dict[str, pl.DataFrame] = {}
    for name, how in lookups.items():
        one = how.find(_keys(frame, name, how))
        rows = one.get_column("row")
        frame = frame[rows]
        found = {other: kept[rows] for other, kept in found.items()} | {name: one}
    return frame, found


def _keys(frame: pl.DataFrame, name: str, how: Lookup) -> pl.DataFrame:
    # A key that cannot be computed is NULL here; its fault is booked when the field is made.
    made = [_isolated(frame, name, one)[0] for one in how.expressions]
    return pl.DataFrame([series.alias(str(place)) for place, series in enumerate(made)])


def _looked_up(
    frame: pl.DataFrame, name: str, how: Lookup, found: pl.DataFrame | None, books: _Books
) -> pl.Series:
    made = [_evaluated(frame, name, one, books)[0] for one in how.expressions]
    keys = pl.DataFrame([series.alias(str(place)) for place, series in enumerate(made)])
    if found is None:
        found = how.find(keys)
    texts = [shown(pl.col(one)) for one in keys.columns]
    raw = keys.select(pl.concat_str(texts, separator=", ", ignore_nulls=True)).to_series()
    source = _Source(name, raw, books)
    missing, many = found.get_column("missing"), found.get_column("many")
    if how.missing == "reject":
        reason = pl.format("{} has no match in the lookup", pl.col(VALUE))
        source.refuse("no_match", missing, reason)
    else:
        books.change("nulled" if how.missing == "null" else "defaulted", missing)
    reason = pl.format(
        '{} has several matches in the lookup: match="first", "last" or "all" takes them',
        pl.col(VALUE),
    )
    source.refuse("many_matches", many, reason)
    return found.get_column("value")


def _field(frame: pl.DataFrame, name: str, how: Field, books: _Books) -> pl.Series:
    value, bad = _evaluated(frame, name, how.expression, books, rejects=how.on_error == "reject")
    raw = _sources(frame, how.expression) if value.dtype.is_nested() else value
    source = _Source(name, raw, books)
    if how.each is not None:
        value, failed = _each(how, how.each, value, source)
        bad |= failed
    for word in how.cleaning:
        if value.dtype == pl.String:
            value = _step(value, CLEAN[word](pl.col(VALUE)))
    value, unread = _read(how, value, source)
    bad |= unread
    for check in how.all_checks:
        test = check.test(pl.col(VALUE))
        tested = value
        if check.read_as is not None and value.dtype == pl.String:
            tested = _step(value, typed(check.read_as).value)
            test = pl.col(VALUE).is_not_null() & test
        holds = _step(tested, test.fill_null(True)) | value.is_null()
        if how.on_error == "reject":
            reason = pl.format("{} {}", shown(pl.col(VALUE)), pl.lit(check.reason))
            source.refuse("check", ~holds & ~bad, reason)
        bad |= ~holds
    return _settled(how, value, bad, source)


def _read(how: Field, value: pl.Series, source: _Source) -> tuple[pl.Series, pl.Series]:
    """The value after formats, rounding and type, and where it could not be read."""
    bad = _nowhere(value)
    if how.round is None and value.dtype == how.dtype:
        return value, bad
    for reading in how.readings():
        if reading.rounds and how.round is not None and value.dtype.is_float():
            text, after = value, value.round(how.round, mode="half_away_from_zero")
        else:
            text = value.cast(pl.String)
            after = _step(text, reading.value)
        lost = text.is_not_null() & after.is_null()
        if how.on_error == "reject":
            reason = pl.format("{} is not {}", shown(pl.col(VALUE)), pl.lit(reading.wanted))
            source.refuse("type", lost, reason)
        if reading.rounds:
            before = text.str.strip_chars(BLANKS) if text.dtype == pl.String else text
            source.books.change("rounded", after != before)
        value, bad = after, bad | lost
    return value, bad


def _settled(how: Field, value: pl.Series, bad: pl.Series, source: _Source) -> pl.Series:
    """The value where it is good, else NULL or the default; NULL refused where it is required."""
    value = _plain(value)
    value = _step(pl.DataFrame({VALUE: value, "bad": bad}), pl.when(~pl.col("bad")).then(VALUE))
    if how.on_error == "null":
        source.books.change("nulled", bad)
    if how.default is not None:
        takes = value.is_null() if how.on_error == "default" else value.is_null() & ~bad
        if not fits(how.default, value.dtype):
            raise UsageError(
                f"{source.name}: default={how.default!r} is no {value.dtype}, which the field is",
                code="map",
            )
        both = pl.DataFrame({VALUE: value, "takes": takes})
        other = literal(how.default, value.dtype)
        value = _step(both, pl.when("takes").then(other).otherwise(VALUE))
        source.books.change("defaulted", takes)
    if how.required:
        reason = pl.lit("a value is required, and the source has none: default= gives one")
        source.refuse("required", value.is_null() & ~bad, reason)
    return value


def _each(
    how: Field, function: Callable[[Any], Any], values: pl.Series, source: _Source
) -> tuple[pl.Series, pl.Series]:
    """What a Python function returns for each value, as text; an exception refuses the row."""
    results: list[str | None] = []
    reasons: list[str | None] = []
    for value in values:
        result = reason = None
        if value is not None:
            try:
                result = function(value)
            except Exception as error:  # noqa: BLE001  whatever a user's function raises
                reason = f"{type(error).__name__}: {error}"
        results.append(_text(result))
        reasons.append(reason)
    why = pl.Series(reasons, dtype=pl.String)
    failed = why.is_not_null()
    if how.on_error == "reject":
        source.refuse("each", failed, pl.lit(why.drop_nulls()))
    return pl.Series(results, dtype=pl.String), failed


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _evaluated(
    frame: pl.DataFrame, name: str, expression: pl.Expr, books: _Books, *, rejects: bool = True
) -> tuple[pl.Series, pl.Series]:
    """An expression's value of every row, and where it has none because Polars raised."""
    value, reasons = _isolated(frame, name, expression)
    if not reasons:
        return value, _nowhere(value)
    why = pl.Series([reasons.get(row) for row in range(len(value))], dtype=pl.String)
    failed = why.is_not_null()
    if rejects:
        raw = _sources(frame, expression)
        books.refuse(name, "expression", failed, raw, pl.lit(why.drop_nulls()))
    return value, failed


def _sources(frame: pl.DataFrame, expression: pl.Expr) -> pl.Series:
    """The values that an expression is made of, as one text."""
    texts = [pl.col(name).cast(pl.String, strict=False) for name in expression.meta.root_names()]
    return frame.select(pl.concat_str(texts, separator=", ", ignore_nulls=True)).to_series()


def _isolated(
    frame: pl.DataFrame, name: str, expression: pl.Expr
) -> tuple[pl.Series, dict[int, str]]:
    """An expression's value of every row; where Polars raises for some, NULL and its words.

    A strict cast in an expression raises for the whole frame: halves are tried until the rows
    that it is about are alone.
    """
    reasons: dict[int, str] = {}
    try:
        nothing = _step(frame.clear(), expression)
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"{name}: {_words(error)}", code="map") from None

    def parts(start: int, length: int) -> Iterator[pl.Series]:
        try:
            yield _step(frame.slice(start, length), expression)
        except pl.exceptions.PolarsError as error:
            if length == 1:
                reasons[start] = _words(error)
                yield nothing.extend_constant(None, 1)
            else:
                half = length // 2
                yield from parts(start, half)
                yield from parts(start + half, length - half)

    value = nothing
    for part in parts(0, frame.height):
        value = part if value.is_empty() else value.append(part)
    return value, reasons


def _words(error: Exception) -> str:
    """What Polars says, without its advice."""
    return str(error).partition("\n")[0]


def _step(values: pl.Series | pl.DataFrame, expression: pl.Expr) -> pl.Series:
    """An expression over a Series, as the column `VALUE`, or over a frame; as long as it is."""
    frame = values.to_frame(VALUE) if isinstance(values, pl.Series) else values
    # A literal alone would be one row: the frame's first column gives the height.
    first = pl.col(frame.columns[0]).alias("first")
    return frame.select(first, expression.alias("made")).to_series(1)


def _nowhere(value: pl.Series) -> pl.Series:
    return pl.repeat(False, len(value), dtype=pl.Boolean, eager=True)
