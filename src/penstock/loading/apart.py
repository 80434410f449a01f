"""Groups of which some rows are replayed while others wait. Not for: replaying them (`replay`).

A group is loaded whole. Refused, all of its rows wait; so a replay must have all that still do.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import psycopg

from penstock.errors import UsageError
from penstock.ledger import replays
from penstock.ledger.quarantine import Selection
from penstock.ledger.replays import Replayable
from penstock.loading.group import as_group, kind_of
from penstock.loading.load import options_from
from penstock.loading.validate import Validator
from penstock.model.batch import LINE, ROW
from penstock.model.naming import plain_name
from penstock.model.options import TYPED
from penstock.model.table import Column, TableName
from penstock.postgres.catalog import read_spec

#: Numbers of rejects that a reason names.
_NAMED = 8


def apart(
    connection: psycopg.Connection[Any],
    name: str,
    replayed: Collection[int],
    tables: Collection[TableName],
) -> dict[str, str]:
    """Groups that have waiting rejects besides those that are replayed.

    Looked for are the tables that are replayed into, and those that were loaded with them.

    Args:
        connection: To the rejects' database.
        name: Of the column that makes the groups.
        replayed: Numbers of the rejects that are replayed.
        tables: That they are replayed into.

    Returns:
        The group, as `as_group` writes it -> why it is refused.
    """
    ids = set(replayed)
    along = {
        table
        for table, options in replays.together(connection, sorted(ids))
        if json.loads(options).get("group") == name
    }
    waiting: dict[str, list[int]] = {}
    for table in sorted(along | set(tables)):
        column = _column(connection, table, name)
        if column is None:
            continue
        what = Selection(table=table, statuses=("waiting",))
        found = [one for one in replays.replayable(connection, what) if one.reject_id not in ids]
        for group, reject in _groups(found, column):
            waiting.setdefault(group, []).append(reject)
    return {group: _reason(sorted(rejects)) for group, rejects in waiting.items()}


def _column(connection: psycopg.Connection[Any], table: TableName, name: str) -> Column | None:
    try:
        columns = read_spec(connection, table).columns
    except UsageError:
        return None  # the table is gone
    column = next((one for one in columns if one.name == name), None)
    return None if column is None or kind_of(column) is None else column


def _groups(found: Sequence[Replayable], column: Column) -> list[tuple[str, int]]:
    """The group of each reject that was refused by a load with these groups, and its number."""
    told: dict[str, dict[str, Any]] = {
        text: json.loads(text) for text in {o.options for o in found}
    }
    alike: dict[tuple[str, str], list[tuple[str | None, int, int]]] = {}
    for one in found:
        stored = told[one.options]
        source = _source(one.values or {}, stored, column.name)
        if stored.get("group") == column.name and source is not None and one.values is not None:
            rows = alike.setdefault((one.options, source), [])
            rows.append((one.values[source], one.reject_id, 0))
    groups: list[tuple[str, int]] = []
    schema = {column.name: pl.String(), ROW: pl.Int64(), LINE: pl.Int64()}
    for (text, source), rows in alike.items():
        stored = dict(told[text])
        typed = (column.name,) if source in stored.pop(TYPED, ()) else ()
        validator = Validator(
            [replace(column, nullable=True)], options_from(**stored).grammar, typed
        )
        good = validator.check(pl.DataFrame(rows, schema=schema, orient="row")).good
        groups += good.select(as_group(column), ROW).drop_nulls().iter_rows()
    return groups


def _source(names: Mapping[str, Any], options: Mapping[str, Any], name: str) -> str | None:
    """The source column that fills a target column, by the rules of `columns.match`."""
    renamed: list[str] = [old for old, new in options.get("columns", {}).items() if new == name]
    for wanted in (*renamed, name):
        if wanted in names:
            return wanted
        alike = [one for one in names if plain_name(one) == plain_name(wanted)]
        if len(alike) == 1:
            return alike[0]
    return None


def _reason(rejects: Sequence[int]) -> str:
    named = ", ".join(f"#{number}" for number in rejects[:_NAMED])
    more = f" and {len(rejects) - _NAMED:,} more" if len(rejects) > _NAMED else ""
    verb = "another row" if len(rejects) == 1 else "other rows"
    return (
        f"{verb} of its group would wait on: {named}{more}. Replay the whole group at once, or "
        "discard what is not to come"
    )
