"""What `--create` and `--alter add` would make of a table: planned before the transaction.

Types come from the whole input, under the grammar that was declared: a load reads its values the
same way. Keys are proposed and not assumed. Not for: making it (`altered`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from penstock.errors import UsageError
from penstock.loading.columns import match
from penstock.loading.inputs import Input
from penstock.loading.profile.decide import Decision, decide
from penstock.loading.profile.facts import ColumnFacts
from penstock.loading.profile.reading import profile
from penstock.loading.profile.types import column_of_type
from penstock.model.naming import plain_name
from penstock.model.options import LoadOptions
from penstock.model.table import Key, TableName, TableSpec
from penstock.postgres.catalog import find_table, read_table, split_name
from penstock.postgres.create import MOST_BYTES, Statements, add_columns, create_table

#: What a header's name may differ in from a column's (`plain_name`): it becomes one underscore.
_INSIGNIFICANT = re.compile(r"[\s._-]+")
_RIGHTS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"})
#: Keys that a note proposes.
_PROPOSED = 4
ADD = "add"
#: Dates and amounts are not proposed as keys, be they unique.
_KEY_TYPES = ("integer", "bigint", "uuid", "text")


@dataclass(frozen=True, slots=True)
class TableChange:
    """A table that is to be created, or columns that are to be added.

    Attributes:
        spec: The table as it will be; its `oid` is 0 where it is not there yet.
        statements: What makes it so.
        creates: False where the table is there.
        notes: What a person should know: keys proposed, options that would change types.
    """

    spec: TableSpec
    statements: Statements
    creates: bool
    notes: tuple[str, ...]


def planned(
    connection: psycopg.Connection[Any],
    table: str,
    inputs: Sequence[Input],
    options: LoadOptions,
) -> TableChange | None:
    """What `options.create` and `options.alter` ask for; None where nothing is to be changed.

    Raises:
        UsageError: A name is none, or `key` names what the input does not have.
        SourceError: The input cannot be read.
    """
    if options.alter not in ("", ADD):
        raise UsageError(f'--alter {options.alter}: only "add" is known, for new columns')
    if not options.create and not options.alter:
        return None
    if find_table(connection, table) is not None:
        if not options.alter:
            return None
        return _plan_columns(connection, read_table(connection, table), inputs, options)
    return _plan_table(connection, table, inputs, options) if options.create else None


def new_name(table: str) -> TableName:
    """The name of a new table; in lower case where no part is in double quotes."""
    schema, name = split_name(table if '"' in table else table.lower())
    return TableName(schema or "public", name)


def column_names(names: Sequence[str]) -> dict[str, str]:
    """Source name -> name of a new column: lower case, underscores for blanks, dots and dashes.

    Only what does not count when a header is matched is changed, so that the same input finds its
    columns again; names that would become the same stay as they are.

    Raises:
        UsageError: A name is longer than PostgreSQL keeps.
    """
    tidy = {name: _INSIGNIFICANT.sub("_", name.strip()).lower() for name in names}
    times = Counter(map(plain_name, names))
    found = {name: name if times[plain_name(name)] > 1 else tidy[name] for name in names}
    for name, new in found.items():
        if len(new.encode()) > MOST_BYTES:
            raise UsageError(
                f'"{name}" is longer than the {MOST_BYTES} bytes that PostgreSQL keeps of a '
                f"column's name: rename it with --columns SOURCE=TARGET"
            )
    return found


def _plan_table(
    connection: psycopg.Connection[Any],
    table: str,
    inputs: Sequence[Input],
    options: LoadOptions,
) -> TableChange:
    found = profile(inputs, options.grammar)
    names = column_names([one.name for one in found.columns]) | _renames(found.columns, options)
    decisions = [decide(one, options.grammar) for one in found.columns]
    key = _key(options.key, list(names.values()))
    columns = tuple(
        column_of_type(names[one.name], number, decision.type, nullable=names[one.name] not in key)
        for number, (one, decision) in enumerate(zip(found.columns, decisions, strict=True), 1)
    )
    name = new_name(table)
    spec = TableSpec(
        name=name,
        oid=0,
        kind="r",
        columns=columns,
        keys=(Key(name=f"{name.table}_pkey", columns=key, primary=True),) if key else (),
        owned=True,
        rights=_RIGHTS,
    )
    notes = _notes(found.columns, decisions, names)
    if not key and (keys := possible_keys(found.columns, decisions)):
        named = [names[one] for one in keys[:_PROPOSED]]
        notes.append(f"no key was made; each value once: {', '.join(named)} (--key {named[0]})")
    because = [str(decision) for decision in decisions]
    return TableChange(spec, create_table(connection, spec, because), True, tuple(notes))


def _plan_columns(
    connection: psycopg.Connection[Any],
    spec: TableSpec,
    inputs: Sequence[Input],
    options: LoadOptions,
) -> TableChange | None:
    known = [column.name for column in spec.columns]
    there = {plain_name(name) for name in known}
    renames = {old: new for old, new in options.columns.items() if plain_name(new) in there}
    lenient = replace(options, ignore_extra=True, columns=renames)
    unknown: dict[str, None] = {}
    for one in inputs:
        source = one.columns([*known, *options.columns])
        matching = match(source, spec, lenient, one.name)
        unknown |= dict.fromkeys(n for n in matching.extra if plain_name(n) not in there)
    if not unknown:
        return None
    found = profile(inputs, options.grammar, known=[*known, *options.columns], only=unknown)
    names = column_names(list(unknown)) | _renames(found.columns, options)
    decisions = [decide(one, options.grammar) for one in found.columns]
    first = max(column.number for column in spec.columns) + 1
    added = [
        column_of_type(names[one.name], number, decision.type)
        for number, (one, decision) in enumerate(zip(found.columns, decisions, strict=True), first)
    ]
    because = [str(decision) for decision in decisions]
    wider = replace(spec, columns=(*spec.columns, *added))
    notes = _notes(found.columns, decisions, names)
    statements = add_columns(connection, spec.name, added, because)
    return TableChange(wider, statements, False, tuple(notes))


def _renames(columns: Sequence[ColumnFacts], options: LoadOptions) -> dict[str, str]:
    """What `--columns SOURCE=TARGET` calls columns of the input."""
    found = {}
    for one in columns:
        for old, new in options.columns.items():
            if one.name == old or plain_name(one.name) == plain_name(old):
                found[one.name] = new
    return found


def _key(wanted: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise UsageError(
            f"--key {', '.join(unknown)}: the new table has no such column. It has: "
            f"{', '.join(names)}."
        )
    return tuple(wanted)


def _notes(
    columns: Sequence[ColumnFacts], decisions: Sequence[Decision], names: dict[str, str]
) -> list[str]:
    notes = []
    for one, decision in zip(columns, decisions, strict=True):
        if decision.note:
            notes.append(f"{names[one.name]} is {decision.type}: {decision.note}")
        if decision.type == "text" or not one.words:
            continue
        options = [f"--null {text}" for text in one.words if text.strip()]
        options += ["--empty null"] if len(options) < len(one.words) else []
        rows = sum(word.rows for word in one.words.values())
        times = "1 value is" if rows == 1 else f"{rows:,} values are"
        notes.append(f"{names[one.name]}: {times} refused without {' '.join(options)}")
    return notes


def possible_keys(columns: Sequence[ColumnFacts], decisions: Sequence[Decision]) -> list[str]:
    """Columns with another value in each row, of a type that keys have."""
    return [
        one.name
        for one, decision in zip(columns, decisions, strict=True)
        if one.unique and not one.words and decision.type in _KEY_TYPES and not decision.note
    ]
