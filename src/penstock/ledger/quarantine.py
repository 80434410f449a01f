"""Reads the rejects of the ledger and closes them. Not for: writing them (`rejects`)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row

from penstock.errors import TargetError, UsageError
from penstock.ledger.history import prefix_of
from penstock.model.table import TableName
from penstock.postgres.encodings import holdable
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "quarantine.sql")

#: What can become of a reject.
STATUSES = ("waiting", "replayed", "resolved", "discarded", "void")
#: Days that closed rejects are kept.
KEPT_DAYS = 90
#: Rejects fetched from the server at a time.
_AT_A_TIME = 2000
#: What the query `layouts` writes in the place of a JSON escape.
_MARKED = re.compile("\1u([0-9a-fA-F]{4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rejects are meant; what is None does not narrow it.

    Attributes:
        ids: Their numbers.
        table: The table that refused them.
        loads: Ids of loads that first or last met them (`loads_of` finds them by a prefix).
        column: A target column at fault; empty for faults of the whole row.
        code: An SQLSTATE or a rule name; with `column`, of the same fault.
        statuses: Of `STATUSES`.
    """

    ids: tuple[int, ...] | None = None
    table: TableName | None = None
    loads: tuple[str, ...] | None = None
    column: str | None = None
    code: str | None = None
    statuses: tuple[str, ...] | None = ("waiting",)

    def parameters(self) -> dict[str, Any]:
        """For the query `selected`."""
        return {
            "ids": None if self.ids is None else list(self.ids),
            "schema": None if self.table is None else self.table.schema,
            "table": None if self.table is None else self.table.table,
            "loads": None if self.loads is None else list(self.loads),
            "column": self.column,
            "code": self.code,
            "statuses": None if self.statuses is None else list(self.statuses),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectGroup:
    """Rejects of one table with the same column, code and status.

    Attributes:
        table: The table that refused them.
        column: The target column; empty where the whole row is at fault.
        code: An SQLSTATE or a rule name.
        status: Of `STATUSES`.
        rows: Rejects with this fault. A row with several faults is in several groups.
        table_rows: Rejects of the table with this status, each counted once.
        first_seen: When the first of them was met.
        last_seen: When one of them was last met.
        reject_id: Of the newest, which is the sample.
        source: Of the sample: the input's name.
        record: Of the sample: its record, from 1.
        line: Of the sample: its physical line, from 1; 0 where there is none.
        value: Of the sample: the raw text at fault; None for NULL.
        reason: Of the sample, in plain words.
        awaiting: Rejects of the group that wait for their parents, and are tried again by loads.
        table_awaiting: Such rejects of the table with this status, each counted once.
    """

    table: TableName
    column: str
    code: str
    status: str
    rows: int
    table_rows: int
    first_seen: datetime
    last_seen: datetime
    reject_id: int
    source: str
    record: int
    line: int
    value: str | None
    reason: str
    awaiting: int
    table_awaiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReject:
    """One reject as the ledger keeps it.

    `columns`, `codes`, `reasons` and `bad_values` are parallel, one entry a fault.

    Attributes:
        reject_id: Its number.
        load_id: The load that met it first.
        last_load: The load that met it last.
        schema_name: The table's schema.
        table_name: The table.
        source: The input's name.
        record: Its record, from 1.
        line: Its physical line, from 1; 0 where there is none.
        raw: Its bytes as they stood in the source; empty where the source has none.
        raw_values: Source column -> raw text as a JSON object in the source's order; None where
            the record could not be split.
        columns: Target columns; empty text where the whole row is at fault.
        codes: SQLSTATEs or rule names.
        reasons: Plain words.
        bad_values: Raw texts at fault; None for NULL.
        key: The primary key's values, where they are readable.
        status: Of `STATUSES`.
        times: How often it was met.
        first_seen: When it was met first.
        last_seen: When it was met last.
        closed_at: When it was closed; None while it waits.
        closed_by: The load that closed it.
        discarded_by: Who discarded it.
        note: Why it was closed.
        awaits_parent: True where it waits, or waited, for nothing but its parents.
    """

    reject_id: int
    load_id: str
    last_load: str
    schema_name: str
    table_name: str
    source: str
    record: int
    line: int
    raw: bytes
    raw_values: str | None
    columns: list[str]
    codes: list[str]
    reasons: list[str]
    bad_values: list[str | None]
    key: list[str] | None
    status: str
    times: int
    first_seen: datetime
    last_seen: datetime
    closed_at: datetime | None
    closed_by: str | None
    discarded_by: str | None
    note: str | None
    awaits_parent: bool

    @property
    def table(self) -> TableName:
        """The table that refused it."""
        return TableName(self.schema_name, self.table_name)


@dataclass(frozen=True, slots=True)
class Layout:
    """Rejects of one table whose records have the same source columns.

    Attributes:
        table: The table.
        names: The source columns in their order; None where the records could not be split.
    """

    table: TableName
    names: tuple[str, ...] | None


def groups(
    connection: psycopg.Connection[Any],
    table: TableName | None = None,
    statuses: Sequence[str] | None = ("waiting",),
    loads: Sequence[str] | None = None,
) -> list[RejectGroup]:
    """What was refused and why, by table, commonest first.

    Args:
        connection: To the ledger, in autocommit.
        table: Only of this table.
        statuses: Only these; None: all.
        loads: Only what these loads met; None: all.
    """
    chosen = Selection(
        table=table,
        loads=None if loads is None else tuple(loads),
        statuses=None if statuses is None else tuple(statuses),
    )
    rows = connection.execute(_SQL["groups"], chosen.parameters()).fetchall()
    return [
        RejectGroup(
            table=TableName(row[0], row[1]),
            column=row[2],
            code=row[3],
            status=row[4],
            rows=row[5],
            table_rows=row[6],
            first_seen=row[7],
            last_seen=row[8],
            reject_id=row[9],
            source=row[10],
            record=row[11],
            line=row[12],
            value=row[13],
            reason=row[14],
            awaiting=row[15],
            table_awaiting=row[16],
        )
        for row in rows
    ]


def counts(
    connection: psycopg.Connection[Any], statuses: Sequence[str] | None = None
) -> dict[TableName, dict[str, int]]:
    """How many rejects of each table have which status; None: all statuses."""
    found: dict[TableName, dict[str, int]] = {}
    wanted = None if statuses is None else list(statuses)
    for schema, table, status, rows in connection.execute(_SQL["counts"], {"statuses": wanted}):
        found.setdefault(TableName(schema, table), {})[status] = rows
    return found


def reasons(
    connection: psycopg.Connection[Any], selection: Selection
) -> list[tuple[StoredReject, int]]:
    """Why the rejects that are meant were refused, commonest first, each by its first fault.

    A reject stands for all with the same column and code that wait for their parents as it does;
    beside it how many they are. The numbers add up to that of the rejects.
    """
    query = _selected("reasons", "reasons_grouped")
    rows = connection.execute(query, selection.parameters()).fetchall()
    first = {
        one.reject_id: one for one in find(connection, Selection(ids=tuple(row[3] for row in rows)))
    }
    return [(first[row[3]], row[4]) for row in rows]


def number(connection: psycopg.Connection[Any], selection: Selection) -> int:
    """How many rejects are meant."""
    row = connection.execute(_selected("number"), selection.parameters()).fetchone()
    return 0 if row is None else int(row[0])


def number_waiting(connection: psycopg.Connection[Any], selection: Selection) -> int:
    """How many of the rejects that are meant wait."""
    if selection.statuses is not None and "waiting" not in selection.statuses:
        return 0
    return number(connection, replace(selection, statuses=("waiting",)))


def find(
    connection: psycopg.Connection[Any], selection: Selection, limit: int | None = None
) -> list[StoredReject]:
    """The rejects that are meant, in the order of their numbers, at most `limit`."""
    with connection.cursor(row_factory=class_row(StoredReject)) as cursor:
        cursor.execute(_selected("find", "ordered"), {**selection.parameters(), "limit": limit})
        return cursor.fetchall()


def stream(connection: psycopg.Connection[Any], selection: Selection) -> Iterator[StoredReject]:
    """The rejects that are meant, in the order of their numbers, a few thousand at a time.

    Args:
        connection: Inside a transaction, which must last until the end.
        selection: Which.
    """
    with connection.cursor("penstock_rejects", row_factory=class_row(StoredReject)) as cursor:
        cursor.itersize = _AT_A_TIME
        cursor.execute(_selected("find", "ordered"), {**selection.parameters(), "limit": None})
        yield from cursor


def layouts(connection: psycopg.Connection[Any], selection: Selection) -> list[Layout]:
    """Which source columns the rejects have that are meant; that of the earliest first."""
    rows = connection.execute(_selected("layouts", "layouts_grouped"), selection.parameters())
    return [
        Layout(TableName(schema, table), None if unsplit else tuple(map(_unmarked, names)))
        for names, unsplit, schema, table, _ in rows
    ]


def _unmarked(name: str) -> str:
    """A source column's name, with what its JSON escapes stand for."""
    if "\1u" not in name:
        return name
    units = _MARKED.sub(lambda found: chr(int(found[1], 16)), name)
    return units.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def texts_of(raw_values: str) -> dict[str, str | None]:
    """Source column -> text, of a reject's `raw_values`; numbers as they are written."""
    read: dict[str, Any] = json.loads(raw_values, parse_float=str, parse_int=str)
    return {
        name: value if value is None or isinstance(value, str) else json.dumps(value)
        for name, value in read.items()
    }


def discard(
    connection: psycopg.Connection[Any], selection: Selection, *, note: str, who: str = ""
) -> int:
    """Close what waits of the rejects that are meant, for good; gives how many there were.

    Args:
        connection: To the ledger.
        selection: Which; of any other status than `waiting` none is touched.
        note: Why.
        who: The person; the database's own user is recorded besides.
    """
    waiting = {**selection.parameters(), "statuses": ["waiting"]}
    said = {"note": holdable(connection, note), "who": holdable(connection, who)}
    return connection.execute(_selected("discard"), waiting | said).rowcount


def purge(connection: psycopg.Connection[Any], days: int = KEPT_DAYS) -> int:
    """Delete rejects that do not wait and were closed more than so many days ago.

    Rejects of loads that were rolled back (`void`) count from when they were met.

    Raises:
        TargetError: The role may not delete from the ledger: only its owner may.
    """
    row = connection.execute(_SQL["may_purge"]).fetchone()
    if row is not None and not row[0]:
        raise TargetError(
            "This role may not purge: loaders have no DELETE on their own audit trail. "
            f'Purge as "{row[1]}", which owns it, or as a member of it.',
            code="42501",
        )
    return connection.execute(_SQL["purge"], {"days": days}).rowcount


def loads_of(connection: psycopg.Connection[Any], prefix: str) -> tuple[str, ...]:
    """The loads whose id begins so, or all loads of the runs whose id begins so.

    Raises:
        UsageError: It cannot be the beginning of an id, or there is none.
    """
    wanted = prefix_of(prefix)
    found = connection.execute(_SQL["load_ids"], {"prefix": wanted}).fetchall()
    if not found:
        raise UsageError(f"No load or run has an id that begins with {wanted}: see penstock runs.")
    return tuple(row[0] for row in found)


def _selected(first: str, last: str = "") -> LiteralString:
    """A query with the condition `selected` in it."""
    parts: list[LiteralString] = [_SQL[first], _SQL["selected"]]
    if last:
        parts.append(_SQL[last])
    return "\n".join(parts)
