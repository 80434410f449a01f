"""Describes a column by what its type is made of. Not for: the queries (`catalog`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock.model.table import Column
from penstock.postgres.judged import is_judged, unjudged

_CLOCKS = ("timestamp", "timestamptz", "time", "timetz")
_Types = Mapping[int, Mapping[str, Any]]


def column_of(row: Mapping[str, Any], types: _Types) -> Column:
    """The column.

    Args:
        row: Of the query `columns`.
        types: Rows of the query `types` by their `oid`.
    """
    column = _typed(types, row["oid"], row["typmod"], row["type"])
    return replace(
        column,
        name=row["name"],
        number=row["number"],
        nullable=not row["not_null"],
        has_default=row["has_default"] or row["identity"] != "",
        identity=row["identity"],
        generated=row["generated"],
        collation=row["collation"],
    )


def _typed(types: _Types, oid: int, typmod: int, written: str, depth: int = 0) -> Column:
    """A column without a name, of a type and modifier that PostgreSQL writes so."""
    found = types[oid]
    category, beneath = found["category"], written
    while found["category"] == "d":
        typmod = max(typmod, found["typmod"])
        beneath = found["beneath_type"]
        found = types[found["beneath"]]
    element = None
    if found["element"] is not None:
        # An array's modifier is its elements'; a range's bounds have none.
        bounds = found["bounds_type"]
        element = (
            _typed(types, found["element"], typmod, beneath.removesuffix("[]"), depth + 1)
            if bounds is None
            else _typed(types, found["element"], -1, bounds, depth + 1)
        )
    fields = tuple(
        replace(_typed(types, one, modifier, as_written, depth + 1), name=name)
        for name, one, modifier, as_written in found["fields"]
    )
    composite = found["category"] == "c"
    precision, scale, length, fraction = _modifier(found["name"], typmod)
    column = Column(
        name="element",
        number=0,
        type=written,
        # A composite may be called as any other type is.
        base="record" if composite else found["name"],
        category=category,
        kind=found["category"],
        element=element,
        fields=fields,
        labels=tuple(found["labels"]),
        beneath=beneath,
        plain_type=found["plain_type"],
        modified=typmod >= 0,
        precision=precision,
        scale=scale,
        length=length,
        fraction=fraction,
    )
    if depth == 0 and is_judged(column):
        return column
    mine = unjudged(column, built_in=found["built_in"], depth=depth)
    return replace(column, unjudged=mine or (element.unjudged if element is not None else ""))


def _modifier(base: str, typmod: int) -> tuple[int | None, int | None, int | None, int | None]:
    """Precision, scale, length and fraction."""
    # How a modifier is packed: PostgreSQL source, numeric.c and varchar.c (4 bytes of header).
    if base == "numeric" and typmod >= 4:
        packed = typmod - 4
        return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024, None, None
    if base in ("varchar", "bpchar") and typmod >= 4:
        return None, None, typmod - 4, None
    if base in _CLOCKS and typmod >= 0:
        return None, None, None, typmod
    return None, None, None, None
