"""LINK: relationships by natural key, once both sides are there. Not for: the load (`loading`).

A link is a load too: of the key and the references alone, so that a row that refers to nothing is
refused, or waits, in the same books as every other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import psycopg

from penstock.errors import UsageError
from penstock.flow.responses import Given, key_of
from penstock.model.batch import ROW
from penstock.model.naming import link_label
from penstock.postgres.catalog import read_table


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


@dataclass(frozen=True, slots=True)
class Links:
    """What a link loads.

    Attributes:
        frame: `_row`, what the linked row is known by, and each reference's natural key (String)
            under its target column.
        key: The columns that the linked row is known by.
        left_out: References of rows that the load refused, or that wait: there is nothing to link.
    """

    frame: pl.DataFrame
    key: tuple[str, ...]
    left_out: int


def links(
    connection: psycopg.Connection[Any],
    given: Given,
    said: pl.DataFrame,
    table: str,
    refs: Mapping[str, Ref],
    *,
    into: str | None,
) -> Links:
    """The rows of a link; those that the load refused are left out: there is nothing to link.

    Args:
        connection: That sees the load.
        given: What was loaded.
        said: What became of each of them, as of `responses`.
        table: Its target.
        refs: Target column -> reference.
        into: A table of its own with the pairs; None: the references are columns of the target.

    Raises:
        UsageError: A source column is not there, the load had no key, or one row would need
            several references.
    """
    for name, ref in refs.items():
        if ref.column not in given.frame.columns:
            known = ", ".join(one for one in given.frame.columns if one != ROW)
            raise UsageError(f"{name}: the rows have no column {ref.column}. They have: {known}")
        if ref.split is not None and into is None:
            raise UsageError(f"{name}: split= makes several links of a row: say into= which table")
    named = [
        given.frame.get_column(ref.column).cast(pl.String).alias(name) for name, ref in refs.items()
    ]
    loaded, away = said["outcome"] == "loaded", said["outcome"].is_in(["refused", "waits"])
    if into is not None:
        frame = given.frame.select(ROW).with_columns(named)
        pairs, others = _pairs(frame.filter(loaded), refs), _pairs(frame.filter(away), refs)
        return Links(pairs, tuple(refs), others.height)
    key, columns = _known_by(connection, given, table, said)
    frame = given.frame.select(ROW).with_columns(*columns, *named)
    left_out = sum(
        int((one.filter(away).str.strip_chars().fill_null("") != "").sum()) for one in named
    )
    return Links(frame.filter(loaded), key, left_out)


def _known_by(
    connection: psycopg.Connection[Any], given: Given, table: str, said: pl.DataFrame
) -> tuple[tuple[str, ...], list[pl.Series]]:
    """By what the linked rows are known, and those columns.

    The primary key, where the table makes it: by it a link that waits is known to be older than
    one that came since. The key of the load stands beside it, for people who read what waits.
    """
    key = key_of(connection, given, table)
    if not key or not set(key) <= set(given.made.columns):
        raise UsageError(f"{table}: rows are linked by their key, which the load did not have")
    own = read_table(connection, table).primary_key
    if own is None or len(own.columns) != 1 or own.columns[0] in key:
        return key, [given.made.get_column(name) for name in key]
    label = link_label(key, table)
    return own.columns, [said["target_id"].alias(own.columns[0]), said["key"].alias(label)]


def _pairs(frame: pl.DataFrame, refs: Mapping[str, Ref]) -> pl.DataFrame:
    """A row for each pair of references; where one is empty there is no pair."""
    for name, ref in refs.items():
        if ref.split is not None:
            frame = frame.with_columns(pl.col(name).str.split(ref.split)).explode(name)
    frame = frame.with_columns(pl.col(name).str.strip_chars() for name in refs)
    some = [pl.col(name).fill_null("") != "" for name in refs]
    return frame.filter(pl.all_horizontal(some)).unique(maintain_order=True)


def link_options(
    refs: Mapping[str, Ref], into: str | None, key: Sequence[str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """How a link is loaded: what refers to nothing waits, unless `orphans` says otherwise."""
    orphans = options.get("orphans", "wait")
    return {
        "max_rejects": "all",
        "ignore_extra": True,
        **options,
        "mode": "upsert" if into is None else "insert_new",
        "key": list(key),
        "lookups": {name: ref.to for name, ref in refs.items()},
        "orphans": dict.fromkeys(refs, orphans) if isinstance(orphans, str) else orphans,
        "empty": "null",
    }
