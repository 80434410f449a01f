"""What checks name, as a table has it: columns and values. Not for: comparing (`rows`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from penstock.model.table import Column, TableSpec
from penstock.postgres.catalog import nearest
from penstock.quality.declared import Check

WHOLE = ("int2", "int4", "int8")
NUMBERS = (*WHOLE, "numeric", "float4", "float8")
TIMES = ("date", "timestamp", "timestamptz")
TEXTS = ("text", "varchar", "bpchar")


def check_fit(checks: Sequence[Check], spec: TableSpec) -> None:
    """Has the table the columns that checks name, and do their values fit these?

    Raises:
        UsageError: One does not; the message names the nearest column.
    """
    for check in checks:
        for name in check.columns:
            column = column_named(check, spec, name)
            if check.kind in ("accepted", "between"):
                for value in (*check.values, check.least, check.most):
                    if value is not None:
                        fitted(check, column, value)


def column_named(check: Check, spec: TableSpec, name: str) -> Column:
    """A column of a table.

    Raises:
        UsageError: There is none; the message names the nearest one.
    """
    for column in spec.columns:
        if column.name == name:
            return column
    hint = nearest(name, [column.name for column in spec.columns])
    raise check.wrong(f"{spec.name} has no column {name}.{hint}")


def fitted(check: Check, column: Column, value: Any) -> Any:
    """A declared value as the column's: Decimal for numbers, date, datetime, bool or str.

    Args:
        check: For messages.
        column: Which it is compared with.
        value: Also text in ISO form, for numbers, dates and times.

    Raises:
        UsageError: Its type does not fit.
    """
    if column.element is None and column.kind == "b":
        if column.base in NUMBERS:
            return _number(check, column, value)
        if column.base in TIMES:
            return _time(check, column, value)
        if column.base == "bool":
            if isinstance(value, bool):
                return value
            raise check.wrong(f"{column.name} is {column.type}, and {value!r} is not True or False")
    if isinstance(value, str):
        return value
    if column.kind == "e" or column.base in TEXTS:
        raise check.wrong(f"{column.name} is {column.type}, and {value!r} is no text")
    return str(value)


def is_time(column: Column) -> bool:
    """A date, or a time with a date."""
    return column.base in TIMES and column.kind == "b" and column.element is None


def _number(check: Check, column: Column, value: Any) -> Decimal:
    if isinstance(value, int | float | Decimal | str) and not isinstance(value, bool):
        try:
            number = Decimal(repr(value) if isinstance(value, float) else value)
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite():
            return number
    raise check.wrong(f"{column.name} is {column.type}, and {value!r} is no finite number")


def _time(check: Check, column: Column, value: Any) -> date | datetime:
    found = value
    try:
        if isinstance(value, str):
            kind = date if column.base == "date" else datetime
            found = kind.fromisoformat(value)
    except ValueError:
        found = None
    if column.base == "date":
        if isinstance(found, date) and not isinstance(found, datetime):
            return found
        raise check.wrong(f"{column.name} is a date, and {value!r} is none")
    if isinstance(found, datetime) and (found.tzinfo is None) == (column.base == "timestamp"):
        return found
    how = "without a zone" if column.base == "timestamp" else "with a zone (tzinfo=UTC)"
    raise check.wrong(f"{column.name} is {column.type}, and {value!r} is no datetime {how}")
