"""Declared checks of the quality of data: `quality.not_null("email", 0.99)` and its like.

Each is tried on the rows of a load before they are published, or on a table by `penstock check`, or
both. Not for: what a row must have to be loaded at all (`penstock.loading.types`).
"""

from penstock.quality.declared import (
    Check,
    accepted,
    between,
    expression,
    fresh,
    not_null,
    refers,
    row_count,
    sql,
    unique,
)

__all__ = [
    "Check",
    "accepted",
    "between",
    "expression",
    "fresh",
    "not_null",
    "refers",
    "row_count",
    "sql",
    "unique",
]
