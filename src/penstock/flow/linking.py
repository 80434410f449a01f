"""LINK: relationships by natural key, once both sides are there. Not for: the load (`loading`).

A link is a load too: of the key and the references alone, so that a row that refers to nothing is
refused, or waits, in the same books as every other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from penstock.errors import UsageError
from penstock.flow.responses import Given, responses
from penstock.model.batch import ROW


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to a row of a table, by its natural key.

    Attributes:
        column: Of the source: what the row refers to. Empty: it refers to nothing (any more).
        to: `table.column` with the natural key: `accounts.code`.
        split: What stands between several references in one text; a row of the link for each.
    """

    column: str
    to: str
    split: str | None = None


def links(
    given: Given, load_id: str, table: str, refs: Mapping[str, Ref], into: str | None
) -> pl.DataFrame:
    """The rows of a link: `_row`, and each reference's natural key under its target column.

    Rows that the load refused are left out: there is nothing to link.

    Args:
        given: What was loaded.
        load_id: The load's.
        table: Its target.
        refs: Target column -> reference.
        into: A table of its own with the pairs; None: the references are columns of the target,
            whose key stands in front of them.

    Raises:
        UsageError: A source column is not there, the target has no key, or one row would need
            several references.
    """
    for name, ref in refs.items():
        if ref.column not in given.frame.columns:
            known = ", ".join(one for one in given.frame.columns if one != ROW)
            raise UsageError(f"{name}: the rows have no column {ref.column}. They have: {known}")
        if ref.split is not None and into is None:
            raise UsageError(
                f"{name}: split= makes several links of one row: say into= which table"
            )
    keys = [] if into is not None else [k for k in given.key if k in given.made.columns]
    if into is None and (not keys or len(keys) != len(given.key)):
        raise UsageError(f"{table}: rows are linked by their key, which the load did not have")
    there = responses(given, load_id, table).get_column("outcome") == "loaded"
    frame = given.frame.select(ROW).with_columns(
        *(given.made.get_column(key) for key in keys),
        *(given.frame.get_column(ref.column).alias(name) for name, ref in refs.items()),
    )
    frame = frame.filter(there)
    if into is None:
        return frame
    for name, ref in refs.items():
        if ref.split is not None:
            pieces = pl.col(name).cast(pl.String).str.split(ref.split)
            frame = frame.with_columns(pieces).explode(name)
            frame = frame.with_columns(pl.col(name).str.strip_chars())
    blank = [pl.col(name).cast(pl.String).fill_null("").str.strip_chars() == "" for name in refs]
    return frame.filter(~pl.any_horizontal(blank)).unique(maintain_order=True)


def link_options(
    refs: Mapping[str, Ref], into: str | None, given: Given, options: Mapping[str, Any]
) -> dict[str, Any]:
    """How a link is loaded: what refers to nothing waits, unless `orphans` says otherwise."""
    orphans = options.get("orphans", "wait")
    policies = {name: orphans for name in refs} if isinstance(orphans, str) else orphans
    return {
        "max_rejects": "all",
        **options,
        "mode": "upsert" if into is None else "insert_new",
        "key": list(given.key) if into is None else list(refs),
        "lookups": {name: ref.to for name, ref in refs.items()},
        "orphans": policies,
        "empty": "null",
    }
