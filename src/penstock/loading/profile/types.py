"""The types that a profile proposes, as columns. Not for: columns that are in the catalog."""

from __future__ import annotations

import re

from penstock.model.table import Column

#: Type as PostgreSQL writes it -> its short name.
_BASES = {
    "boolean": "bool",
    "integer": "int4",
    "bigint": "int8",
    "numeric": "numeric",
    "double precision": "float8",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "uuid": "uuid",
    "jsonb": "jsonb",
    "text": "text",
}
_NUMERIC = re.compile(r"numeric\((?P<precision>[0-9]+),(?P<scale>[0-9]+)\)")


def column_of_type(name: str, number: int, type_name: str, *, nullable: bool = True) -> Column:
    """A column as it would be in a new table.

    Args:
        name: As it will be stored.
        number: From 1.
        type_name: One of the types that a profile proposes, such as `numeric(10,2)`.
        nullable: False in a primary key.
    """
    sized = _NUMERIC.fullmatch(type_name)
    base = "numeric" if sized else _BASES[type_name]
    return Column(
        name=name,
        number=number,
        type=type_name,
        base=base,
        beneath=type_name,
        plain_type=f"pg_catalog.{base}",
        modified=sized is not None,
        precision=int(sized["precision"]) if sized else None,
        scale=int(sized["scale"]) if sized else None,
        nullable=nullable,
    )
