"""Which types Penstock's grammars judge. Not for: the grammars (`loading.types`)."""

from __future__ import annotations

from penstock.model.table import Column

#: Types that have a grammar: their values are exact before they reach the server. The others are
#: staged as text, so that a value that the server does not take can be told from the others.
OWN_GRAMMAR = frozenset(
    {"int2", "int4", "int8", "numeric", "float4", "float8", "money"}
    | {"text", "varchar", "bpchar", "citext", "bool", "uuid", "json", "jsonb", "bytea"}
    | {"date", "time", "timetz", "timestamp", "timestamptz", "interval"}
    | {"inet", "cidr", "macaddr", "macaddr8", "hstore", "tsvector"}
)
_RANGES = frozenset(
    f"{subtype}{kind}"
    for subtype in ("int4", "int8", "num", "date", "ts", "tstz")
    for kind in ("range", "multirange")
)
#: Types whose input takes numbers and names for each other, or goes round at its limits.
_NAMES = frozenset({"oid", "xid", "xid8", "cid", "tid"})
#: Types that the server's input changes silently, which it can be held to only by a grammar, or
#: where a column is of the type itself (`offenders`).
_CHANGED_INSIDE = frozenset(
    {"date", "time", "timetz", "timestamp", "timestamptz", "interval", "char", "name", "money"}
    | {"jsonb", "tsvector"}
)


def is_judged(column: Column) -> bool:
    """True where a grammar judges every value, so that nothing is changed silently."""
    if column.kind == "e":
        return True
    if column.kind == "c":
        return all(map(is_judged, column.fields))
    if column.element is not None:
        nested = column.kind == "b" or column.base in _RANGES
        return nested and column.element.kind != "c" and is_judged(column.element)
    if column.base == "interval" and column.modified:
        return False  # `interval day` and its like: the server says what is left
    return column.kind == "b" and column.base in OWN_GRAMMAR


def has_grammar(column: Column) -> bool:
    """True where the server takes every value that the grammar takes, but for a domain's checks.

    An array of a domain is not such a type: the domain's checks are inside it.
    """
    return is_judged(column) and not _domain_inside(column)


def _domain_inside(column: Column) -> bool:
    inside = [*column.fields, *([] if column.element is None else [column.element])]
    return any(one.category == "d" or _domain_inside(one) for one in inside)


def unjudged(column: Column, *, built_in: bool, depth: int = 0) -> str:
    """What the server's input may change in values of this type while nothing can tell.

    Args:
        column: A column, or what is inside one.
        built_in: True where its type is one of PostgreSQL itself.
        depth: How far inside a column it is.
    """
    if column.kind == "c":
        left = (one.unjudged for one in column.fields if not is_judged(one))
        return column.beneath if depth > 0 else next(filter(None, left), "")
    names = built_in and (column.base in _NAMES or column.base.startswith("reg"))
    inside = (built_in and column.base in _CHANGED_INSIDE) or column.base == "hstore"
    modified = column.category == "d" and column.modified
    return column.beneath if names or (depth > 0 and (inside or modified)) else ""
