"""Map: target field -> how it is made from the source. Not for: making the rows (`making`)."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from types import MappingProxyType

import polars as pl

from penstock.errors import UsageError
from penstock.mapping.field import Field, source_mistakes, source_of
from penstock.mapping.lookup import Lookup
from penstock.mapping.making import Mapped, make
from penstock.mapping.written import named_twice
from penstock.model.batch import LINE, ROW
from penstock.model.naming import plain_name
from penstock.model.table import Column, TableSpec

_OWN = (ROW, LINE)
_CONSTANTS = (bool, int, float, Decimal, date, datetime, time)
Constant = bool | int | float | Decimal | date | datetime | time
How = pl.Expr | Field | Lookup


class Same(Enum):
    """Columns of the same name."""

    SAME = "same"


#: For the key `"*"` of a map: source columns go to the target fields of the same name, case,
#: blanks, dots, dashes and underscores not counting, where the map does not name the field.
SAME = Same.SAME
Source = str | pl.Expr | Field | Lookup | Constant | Same


class Map:
    """Target field -> source column (text), per-row expression, `Field`, `Lookup` or constant.

    A text is always the name of a source column; numbers, booleans, dates and times are
    constants, a constant text is `pl.lit("erp")`. `"*": SAME` takes the columns of the same name.

    Args:
        fields: The target's fields.

    Raises:
        UsageError: Something in it is wrong or not per-row; every mistake is listed.
    """

    def __init__(self, fields: Mapping[str, Source]) -> None:
        twice = named_twice(sys._getframe(1))
        mistakes = [f"{name}: two sources for one field, keep one" for name in twice]
        made: dict[str, How] = {}
        for name, source in fields.items():
            if name == "*" or isinstance(source, Same):
                if name != "*" or not isinstance(source, Same):
                    mistakes.append(f'{name}: SAME belongs to "*", and only it: write "*": SAME')
                continue
            if name in _OWN:
                mistakes.append(f"{name}: the origin of a row is no field of the target")
            wrong, how = _how(source)
            mistakes += [f"{name}: {why}" for why in wrong]
            made[name] = how
        _raise("The map", mistakes)
        self._fields: Mapping[str, How] = MappingProxyType(made)
        self._same = "*" in fields

    @classmethod
    def _of(cls, fields: Mapping[str, How]) -> Map:
        made = cls.__new__(cls)
        made._fields = MappingProxyType(dict(fields))
        made._same = False
        return made

    def __repr__(self) -> str:
        names = [*(["*"] if self._same else []), *self._fields]
        return f"Map({', '.join(names)})"

    @property
    def fields(self) -> Mapping[str, How]:
        """The target fields that are named, and how each is made."""
        return self._fields

    @property
    def sources(self) -> tuple[str, ...]:
        """The source columns that the named fields read, each once."""
        return tuple(dict.fromkeys(one for how in self._fields.values() for one in _read_by(how)))

    @property
    def lookups(self) -> Mapping[str, Lookup]:
        """The fields that a load looks up in a table, and how."""
        found = {name: how for name, how in self._fields.items() if isinstance(how, Lookup)}
        return {name: how for name, how in found.items() if how.table is not None}

    def check(
        self, source_columns: Sequence[str], spec: TableSpec, *, partial: bool = False
    ) -> Map:
        """The map for these columns and this table: fields by the table's names, SAME resolved.

        Args:
            source_columns: Of the input; `_row` and `_line` may be among them.
            spec: The target.
            partial: True for loads that may leave columns out, as an update does.

        Raises:
            UsageError: Unknown source columns or target fields, two sources for one field, a
                needed column that nothing fills; every mistake is listed.
        """
        mistakes: list[str] = []
        given = [name for name in source_columns if name not in _OWN]
        targets = _Targets(spec)
        filled: dict[str, How] = {}
        by: dict[str, str] = {}
        for name, how in self._fields.items():
            for one in _read_by(how):
                if one not in source_columns:
                    mistakes.append(
                        f"{name}: the source has no column {one}.{_nearest(one, given)}"
                    )
            column = targets.find(name)
            if column is None:
                known = [each.name for each in spec.columns]
                mistakes.append(f"{name}: {spec.name} has no such column.{_nearest(name, known)}")
            elif column.generated:
                mistakes.append(f"{name}: PostgreSQL generates {column.name}: leave it out")
            elif column.name in filled:
                mistakes.append(
                    f"{name}: two sources for one field: {by[column.name]} is {column.name} too"
                )
            else:
                filled[column.name], by[column.name] = how, name
        if self._same:
            filled |= _same(given, targets, filled, mistakes)
        if not partial:
            mistakes += [
                f"{column.name}: {spec.name} needs a value, and nothing fills it: name a source"
                for column in spec.columns
                if not (column.nullable or column.has_default or column.generated)
                and column.name not in filled
            ]
        _raise(f"The map of {spec.name}", mistakes)
        return Map._of(filled)

    def apply(self, frame: pl.DataFrame) -> Mapped:
        """Make the target's fields of a frame's rows.

        Args:
            frame: The source's columns; `_row` is made (from 1) where it is not there. Without
                `check`, SAME takes all columns that the map does not name as fields.

        Raises:
            UsageError: An expression fits no row: an unknown column, an operation that its type
                does not have. A row that it does not fit is a fault, not an error.
        """
        same = {}
        if self._same:
            rest = [n for n in frame.columns if n not in self._fields and n not in _OWN]
            same = {name: pl.col(name) for name in rest}
        return make(frame, {**same, **self._fields})


class _Targets:
    def __init__(self, spec: TableSpec) -> None:
        self.exact = {column.name: column for column in spec.columns}
        self._plain: dict[str, list[Column]] = {}
        for column in spec.columns:
            self._plain.setdefault(plain_name(column.name), []).append(column)

    def find(self, name: str) -> Column | None:
        """The column of that name, else the only one whose name differs in what does not count."""
        if name in self.exact:
            return self.exact[name]
        alike = self._plain.get(plain_name(name), [])
        return alike[0] if len(alike) == 1 else None


def _same(
    given: Iterable[str], targets: _Targets, filled: Mapping[str, How], mistakes: list[str]
) -> dict[str, How]:
    found: dict[str, str] = {}
    for name in sorted(given, key=lambda one: one not in targets.exact):
        column = targets.find(name)
        if column is None or column.generated or column.name in filled:
            continue
        if column.name not in found:
            found[column.name] = name
        elif found[column.name] != column.name:
            mistakes.append(
                f"{column.name}: two sources for one field: {found[column.name]} and {name} have"
                " its name: name one of them in the map"
            )
    return {field: pl.col(name) for field, name in found.items()}


def _how(source: object) -> tuple[list[str], How]:
    """What is wrong with a source, and what it is."""
    if isinstance(source, (Field, Lookup)):
        return source.mistakes(), source
    if isinstance(source, _CONSTANTS):
        return [], pl.lit(source)
    wrong = source_mistakes(source)
    return wrong, source_of(source) if isinstance(source, (str, pl.Expr)) else pl.lit(None)


def _read_by(how: How) -> list[str]:
    if isinstance(how, Lookup):
        return [name for one in how.expressions for name in one.meta.root_names()]
    expression = how.expression if isinstance(how, Field) else how
    return expression.meta.root_names()


def _nearest(name: str, known: Sequence[str]) -> str:
    lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    return f" Did you mean {lower[close[0]]}?" if close else f" It has: {', '.join(known)}."


def _raise(what: str, mistakes: Sequence[str]) -> None:
    if mistakes:
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        lines = "".join(f"\n  {mistake}" for mistake in mistakes)
        raise UsageError(f"{what} has {count}:{lines}", code="map")
