"""Tries checks on the rows of a load as they pass by. Not for: tables (`tables`).

All checks are one `select` over each frame; of the rows themselves only what is to be unique is
kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext

import polars as pl

from penstock.model.batch import LINE, ROW
from penstock.model.checked import CheckResult
from penstock.model.table import Column, TableSpec
from penstock.quality.declared import Check
from penstock.quality.judging import share_result, skipped
from penstock.quality.values import NUMBERS, TEXTS, TIMES, column_named, fitted

#: Rows that a result names.
EXAMPLES = 5
#: Families of types whose typed values in a frame are equal where PostgreSQL's are.
_EQUAL = (*NUMBERS, *TIMES, *TEXTS, "bool", "uuid")
_DIGITS = 38
_BITS = ((pl.Int16(), 15), (pl.Int32(), 31), (pl.Int64(), 63))


@dataclass(slots=True)
class _Count:
    """What was seen of one check so far."""

    rows: int = 0
    wrong: int = 0
    examples: list[tuple[int, int]] | None = None

    def add(self, rows: int, wrong: int, examples: Sequence[tuple[int, int]]) -> None:
        self.rows += rows
        self.wrong += wrong
        self.examples = [*(self.examples or ()), *examples][:EXAMPLES]


class RowChecks:
    """Tries checks on the accepted rows of one table's load.

    Args:
        checks: Such as are tried on rows, and fit the table (`values.check_fit`).
        spec: The table.
        supplied: Its columns that the input has.
    """

    def __init__(self, checks: Sequence[Check], spec: TableSpec, supplied: Collection[str]) -> None:
        self._checks = checks
        self._columns = {
            name: column_named(check, spec, name) for check in checks for name in check.columns
        }
        self._counts = [_Count() for _ in checks]
        self._keys: dict[int, list[pl.DataFrame]] = {}
        self._why = [self._left_out(check, supplied) for check in checks]
        self._supplied = [name for name in self._columns if name in supplied]
        self._aggregates: list[pl.Expr] | None = None

    def _left_out(self, check: Check, supplied: Collection[str]) -> str:
        """Why a check says nothing in this load; empty where it does."""
        lacking = [name for name in check.columns if name not in supplied]
        if lacking and check.kind != "not_null":
            return f"the input has no {', '.join(lacking)}"
        if lacking and (self._columns[lacking[0]].has_default or _made(self._columns[lacking[0]])):
            return f"the input has no {lacking[0]}, which has a default"
        if check.kind in ("not_null", "expression"):
            return ""
        allowed = (*NUMBERS, *TIMES) if check.kind == "between" else _EQUAL
        for name in check.columns:
            one = self._columns[name]
            is_enum = one.kind == "e" and check.kind != "between"
            plain = one.kind == "b" and one.element is None and one.base in allowed
            if not (plain or is_enum) or not one.deterministic:
                return f"{name} is {one.type}, which only the server compares: penstock check"
        return ""

    def look(self, frame: pl.DataFrame) -> None:
        """See accepted rows: typed columns by the table's names, `_row` and `_line` (Int64).

        Raises:
            UsageError: An expression fails, or is not Boolean.
        """
        if frame.is_empty():
            return
        if self._aggregates is None:
            self._aggregates = self._made(frame.schema)
        try:
            # Lazily: what several figures of a check need is then computed once.
            found = frame.lazy().select(self._aggregates).collect()
        except pl.exceptions.PolarsError as error:
            raise self._blamed(frame, error) from None
        row = found.row(0, named=True) if self._aggregates else {}
        for number, check in enumerate(self._checks):
            if self._why[number]:
                continue
            if check.kind == "unique":
                self._keys.setdefault(number, []).append(self._key_of(check, frame))
            elif check.columns and check.columns[0] not in self._supplied:
                self._counts[number].add(frame.height, frame.height, _places(frame))
            else:
                examples = list(zip(row[f"r{number}"], row[f"l{number}"], strict=True))
                self._counts[number].add(row[f"n{number}"], row[f"w{number}"], examples)

    def results(self, place: Callable[[int, int], str]) -> tuple[CheckResult, ...]:
        """What each check found, once all rows were seen.

        Args:
            place: Says where a row stands, by its `_row` and `_line`.
        """
        found = []
        for number, check in enumerate(self._checks):
            if why := self._why[number]:
                found.append(skipped(check, why))
                continue
            if check.kind == "unique":
                self._count_repeated(number)
            count = self._counts[number]
            examples = tuple(place(row, line) for row, line in count.examples or ())
            found.append(share_result(check, count.rows, count.wrong, examples))
        return tuple(found)

    # Expressions -------------------------------------------------------------------------

    def _made(self, schema: pl.Schema) -> list[pl.Expr]:
        made = []
        for number, check in enumerate(self._checks):
            alone = bool(check.columns) and check.columns[0] not in self._supplied
            if self._why[number] or check.kind == "unique" or alone:
                continue
            bad, known = self._bad(check, schema)
            made += [
                known.sum().alias(f"n{number}"),
                bad.sum().alias(f"w{number}"),
                pl.col(ROW).filter(bad).head(EXAMPLES).implode().alias(f"r{number}"),
                pl.col(LINE).filter(bad).head(EXAMPLES).implode().alias(f"l{number}"),
            ]
        return made

    def _bad(self, check: Check, schema: pl.Schema) -> tuple[pl.Expr, pl.Expr]:
        """Which rows are wrong, and which are looked at; both are never NULL."""
        if check.expr is not None:
            return (~check.expr).fill_null(value=False), check.expr.is_not_null()
        value = pl.col(check.columns[0])
        if check.kind == "not_null":
            return value.is_null(), value.is_null() | value.is_not_null()
        column = self._columns[check.columns[0]]
        dtype = schema[check.columns[0]]
        hold = _within if check.kind == "between" else _among
        right = hold(check, column, value, dtype)
        # A right side that is one literal is made as long as the column by the AND.
        return value.is_not_null() & ~right.fill_null(value=True), value.is_not_null()

    def _key_of(self, check: Check, given: pl.DataFrame) -> pl.DataFrame:
        # No loadable table has a column whose name Polars would read as a pattern.
        columns = [self._columns[name] for name in check.columns]
        values = [_comparable(one, pl.col(one.name), given.schema[one.name]) for one in columns]
        return given.select(*values, ROW, LINE).drop_nulls()

    def _count_repeated(self, number: int) -> None:
        parts = self._keys.pop(number, [])
        if not parts:
            return
        keys = pl.concat(parts)
        names = [name for name in keys.columns if name not in (ROW, LINE)]
        repeated = keys.filter(pl.struct(names).is_duplicated())
        self._counts[number].add(keys.height, repeated.height, _places(repeated))

    def _blamed(self, given: pl.DataFrame, error: Exception) -> Exception:
        """The error of the check whose expression fails."""
        for check in self._checks:
            if check.expr is None:
                continue
            try:
                made = given.select(check.expr)
            except pl.exceptions.PolarsError as own:
                return check.wrong(f"the expression fails: {_told(own)}")
            if made.dtypes != [pl.Boolean]:
                return check.wrong(f"the expression gives {made.dtypes[0]}, and not Boolean")
        return error


def _told(error: pl.exceptions.PolarsError) -> str:
    """What is wrong with an expression; of values nothing, as they may be personal."""
    if isinstance(error, (pl.exceptions.ComputeError, pl.exceptions.InvalidOperationError)):
        return f"{type(error).__name__} for some values (casts take strict=False)"
    return str(error).splitlines()[0]


def _made(column: Column) -> bool:
    return column.generated or bool(column.identity)


def _places(frame: pl.DataFrame) -> list[tuple[int, int]]:
    return [(row, line) for row, line in frame.select(ROW, LINE).head(EXAMPLES).iter_rows()]


def _among(check: Check, column: Column, value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    wanted = [fitted(check, column, one) for one in check.values]
    if column.base in NUMBERS:
        return _one_of_numbers(column, value, dtype, wanted)
    if column.base == "bpchar":
        wanted = [one.rstrip(" ") for one in wanted]
    return _comparable(column, value, dtype).is_in(pl.Series(wanted, dtype=dtype).implode())


def _one_of_numbers(
    column: Column, value: pl.Expr, dtype: pl.DataType, wanted: Sequence[Decimal]
) -> pl.Expr:
    if dtype == pl.String:
        texts = [_short(format(one, "f")) for one in wanted]
        return _comparable(column, value, dtype).is_in(texts)
    if dtype.is_float():
        return value.is_in(pl.Series([float(one) for one in wanted], dtype=dtype).implode())
    # A value that the type does not hold, such as 0.5 of whole numbers, none is equal to.
    limits = [(_bound(one, dtype, up=True), _bound(one, dtype, up=False)) for one in wanted]
    held = [up for up, down in limits if up is not None and up == down]
    return value.is_in(pl.Series(held, dtype=dtype).implode())


def _within(check: Check, column: Column, value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    least, most = (
        None if one is None else fitted(check, column, one) for one in (check.least, check.most)
    )
    if column.base not in NUMBERS:
        right = pl.lit(True) if least is None else value >= pl.lit(least, dtype)
        return right if most is None else right & (value <= pl.lit(most, dtype))
    if dtype == pl.String:

        def inside(text: str) -> bool:
            number = Decimal(text)
            return (least is None or number >= least) and (most is None or number <= most)

        return value.map_elements(inside, return_dtype=pl.Boolean)
    if dtype.is_float():
        wide = value.cast(pl.Float64)
        right = pl.lit(True) if least is None else wide >= float(least)
        return right if most is None else right & (wide <= float(most))
    right = pl.lit(True)
    if least is not None:
        low = _bound(least, dtype, up=True)
        right = value >= pl.lit(low, dtype) if low is not None else pl.lit(least < 0)
    if most is not None:
        high = _bound(most, dtype, up=False)
        right = right & (value <= pl.lit(high, dtype) if high is not None else pl.lit(most > 0))
    return right


def _bound(value: Decimal, dtype: pl.DataType, *, up: bool) -> Decimal | int | None:
    """The next value that the type holds; None: it lies beyond all of them."""
    with localcontext(prec=1000):
        if isinstance(dtype, pl.Decimal):
            step = Decimal(1).scaleb(-dtype.scale)
            held = (value / step).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * step
            most = Decimal(10) ** ((dtype.precision or _DIGITS) - dtype.scale)
            return held if abs(held) < most else None
        whole = int(value.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR))
        bits = next(bits for kind, bits in _BITS if dtype == kind)
        return whole if -(2**bits) <= whole < 2**bits else None


def _comparable(column: Column, value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The value so that it is equal to others where PostgreSQL says so."""
    if column.base == "bpchar":
        return value.str.strip_chars_end(" ")
    if column.base == "uuid":
        return value.str.to_lowercase()
    if column.base == "numeric" and dtype == pl.String:
        short = value.str.replace(r"(\.\d*?)0+$", "$1").str.strip_chars_end(".")
        return pl.when(short == "-0").then(pl.lit("0")).otherwise(short).alias(column.name)
    return value


def _short(text: str) -> str:
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if short == "-0" else short
