"""What a mode goes by: the key, the scope, which of several rows with one key. Not for: SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import psycopg

from penstock.errors import TargetError, UsageError
from penstock.loading.validate import Validator
from penstock.model.batch import LINE, ROW
from penstock.model.options import Grammar, LoadMode, LoadOptions
from penstock.model.table import Column, Key, TableSpec
from penstock.postgres.judged import has_grammar
from penstock.postgres.offenders import Winner
from penstock.postgres.removal import cascades
from penstock.postgres.scope import Scope
from penstock.postgres.staging import OVERTAKEN
from penstock.postgres.versions import CURRENT, FROM, TO

#: Modes that match rows by a unique key.
KEYED = frozenset({LoadMode.INSERT_NEW, LoadMode.UPSERT, LoadMode.SYNC})
_GREATEST = "max:"
_UNORDERED = frozenset({"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"})


def key_of(spec: TableSpec, options: LoadOptions, supplied: Collection[str]) -> Key:
    """The key by which rows are matched: the declared one, else the primary key.

    Args:
        spec: The target.
        options: With `mode` and `key`.
        supplied: The target columns that the input supplies.

    Raises:
        UsageError: There is no such key, or the input does not supply it.
        TargetError: The mode cannot be carried out on this table.
    """
    winner_of(options)  # what is no policy is said first
    key = _declared(spec, options) if options.key else spec.primary_key
    mode = options.mode.value
    if key is None:
        raise UsageError(
            f"{spec.name} has no primary key, and {mode} needs a key: name the columns of a "
            "unique one with --key a,b"
        )
    _check_key(spec, key, mode, supplied)
    if options.type1:
        raise UsageError(f"--type1 is for the mode scd2, not {mode}")
    greatest = options.duplicates.removeprefix(_GREATEST)
    if options.duplicates.startswith(_GREATEST):
        if greatest not in supplied:
            raise UsageError(
                f"--duplicates {options.duplicates}: the input has no column {greatest}"
            )
        if spec.column(greatest).base in _UNORDERED:
            raise UsageError(
                f"--duplicates {options.duplicates}: values of type {spec.column(greatest).type} "
                "have no order"
            )
    always = [
        name for name in supplied if spec.column(name).identity == "a" and name not in key.columns
    ]
    if always and options.mode is not LoadMode.INSERT_NEW:
        raise UsageError(
            f"{always[0]} of {spec.name} is GENERATED ALWAYS AS IDENTITY: {mode} cannot set it. "
            "Leave it out of the input, with --ignore-extra or without the column."
        )
    return key


def history_key(spec: TableSpec, options: LoadOptions, supplied: Collection[str]) -> Key:
    """What the versions of a history table are versions of.

    It is the declared key, else the primary key without `valid_from`.

    Raises:
        UsageError: The table has no columns for versions, or the input lacks a column.
        TargetError: The mode cannot be carried out on this table.
    """
    columns = {column.name: column for column in spec.columns}
    absent = [name for name in (FROM, TO, CURRENT) if name not in columns]
    if absent or not columns[TO].nullable:
        raise UsageError(
            f"scd2: {spec.name} needs the columns {FROM} and {TO} (date or timestamp; {TO} may be "
            f"NULL: it is for the open version) and {CURRENT} (boolean)"
        )
    given = [name for name in (TO, CURRENT) if name in supplied]
    if given:
        raise UsageError(f"scd2 sets {', '.join(given)} itself: leave it out of the input")
    names = options.key or tuple(
        name for name in (spec.primary_key.columns if spec.primary_key else ()) if name != FROM
    )
    key = Key(name="", columns=names)
    unknown = [name for name in (*names, *options.type1) if name not in columns]
    if unknown:
        raise UsageError(f"scd2: {spec.name} has no column {', '.join(unknown)}")
    if not names or any(columns[name].identity for name in names):
        raise UsageError("scd2 needs to know what a version is a version of: --key customer_no")
    _check_key(spec, key, options.mode.value, supplied)
    if not any(set(one.columns) == {*names, FROM} for one in spec.keys):
        wanted = ", ".join((*names, FROM))
        raise UsageError(
            f"scd2: nothing keeps two versions of {spec.name} from having one date: "
            f"ALTER TABLE {spec.name} ADD UNIQUE ({wanted})"
        )
    kept = {FROM, TO, CURRENT}
    lacking = [
        c.name
        for c in spec.columns
        if not (c.name in supplied or c.name in kept or c.has_default or c.generated)
    ]
    if lacking:
        raise UsageError(
            f"scd2: a new version of {spec.name} would lose {', '.join(lacking)}: the input must "
            "have every column without a default"
        )
    if options.duplicates:
        raise UsageError("--duplicates is not for the mode scd2: the last of a date counts")
    return key


def _check_key(spec: TableSpec, key: Key, mode: str, supplied: Collection[str]) -> None:
    missing = [name for name in key.columns if name not in supplied]
    if missing:
        raise UsageError(
            f"{mode} finds the rows of {spec.name} by {', '.join(key.columns)}, and the input has "
            f"no {', '.join(missing)}. Name another unique key with --key."
        )
    odd = [name for name in key.columns if not has_grammar(spec.column(name))]
    if odd:
        raise TargetError(
            f"{mode} cannot compare keys of type {spec.column(odd[0]).type} ({odd[0]} of "
            f"{spec.name}). Name another unique key with --key.",
            code="0A000",
        )
    if spec.row_security:
        raise TargetError(
            f"Row security applies to this role on {spec.name}: {mode} would not see every row. "
            "Load as the table's owner, or append.",
            code="42501",
        )


def _declared(spec: TableSpec, options: LoadOptions) -> Key:
    known = {column.name for column in spec.columns}
    unknown = [name for name in options.key if name not in known]
    if unknown:
        raise UsageError(f"--key: {spec.name} has no column {', '.join(unknown)}")
    for key in spec.keys:
        if set(key.columns) == set(options.key):
            return key
    names = ", ".join(options.key)
    raise UsageError(
        f"--key {','.join(options.key)}: no unique key of {spec.name} is on just these columns. "
        f"Add one: ALTER TABLE {spec.name} ADD UNIQUE ({names})"
    )


def scope_of(
    connection: psycopg.Connection[Any],
    spec: TableSpec,
    options: LoadOptions,
    supplied: Collection[Column],
) -> Scope | None:
    """The part of the table that the load is about; None for modes that know none.

    Raises:
        UsageError: An option does not go with the mode, a column is missing, or a bound is no
            value of its column.
    """
    sync = options.mode is LoadMode.SYNC
    if not sync and options.mode is not LoadMode.REPLACE_RANGE:
        for name in ("within", "missing", "max_deletes"):
            if getattr(options, name):
                said = name.replace("_", "-")
                modes = "sync and replace_range" if name == "within" else "sync"
                raise UsageError(f"--{said} is for {modes}, not for {options.mode.value}")
        return None
    if not sync and not options.within:
        raise UsageError("replace_range needs the range: --within day=2024-01-01..2024-01-31")
    if not sync and (options.missing or options.max_deletes):
        raise UsageError("--missing and --max-deletes are for the mode sync")
    scope = Scope(spec, options.within)
    names = {column.name for column in supplied}
    absent = [name for name in scope.columns if name not in names]
    if absent:
        raise UsageError(f"--within: the input has no column {', '.join(absent)}")
    known = {column.name for column in spec.columns}
    for name in options.missing:
        if name not in known:
            raise UsageError(f"--missing: {spec.name} has no column {name}")
        if name in names:
            raise UsageError(f"--missing {name}: the input has this column itself")
    _check_bounds(spec, scope)
    _check_marks(spec, options.missing)
    scope.check(connection)
    dependent = [] if options.missing else cascades(connection, spec.oid)
    if dependent:
        raise TargetError(
            f"{options.mode.value} removes rows of {spec.name}, and {', '.join(dependent)} would "
            "lose theirs with them, uncounted: a foreign key is ON DELETE CASCADE, SET NULL or "
            "SET DEFAULT there. Make it NO ACTION"
            + (", or mark what is gone: --missing COLUMN=VALUE." if sync else "."),
            code="2BP01",
        )
    return scope


def _check_bounds(spec: TableSpec, scope: Scope) -> None:
    """A bound is read as values are: what a cast would cut or round is none.

    Raises:
        UsageError: It is no value of its column.
    """
    for one in scope.bounds:
        column = replace(spec.column(one.column), name="bound", nullable=True)
        frame = pl.DataFrame({"bound": [one.low, one.high], ROW: [1, 2], LINE: [0, 0]})
        faults = Validator([column], Grammar()).check(frame).faults
        if faults.height:
            raise UsageError(f"--within {one}: {faults['reason'][0]}")


def _check_marks(spec: TableSpec, marks: Mapping[str, Any]) -> None:
    """The value that marks what is gone is one of its column.

    Raises:
        UsageError: It is none.
    """
    for name, value in marks.items():
        column = replace(spec.column(name), name="mark")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        mark = pl.Series("mark", [None if value is None else text], dtype=pl.String)
        frame = pl.DataFrame({"mark": mark, ROW: [1], LINE: [0]})
        faults = Validator([column], Grammar()).check(frame).faults
        if faults.height:
            raise UsageError(f"--missing {name}={value}: {faults['reason'][0]}")


def winner_of(options: LoadOptions) -> Winner:
    """Which row of those with one key stays; by default the first of new rows, else the last.

    Raises:
        UsageError: `duplicates` is none of `first`, `last`, `reject` and `max:COLUMN`.
    """
    said = options.duplicates
    if not said:
        return Winner(last=options.mode is not LoadMode.INSERT_NEW, others=OVERTAKEN)
    if said.startswith(_GREATEST) and len(said) > len(_GREATEST):
        return Winner(column=said.removeprefix(_GREATEST), others=OVERTAKEN)
    if said in ("first", "last"):
        return Winner(last=said == "last", others=OVERTAKEN)
    if said == "reject":
        return Winner(none=True)
    raise UsageError(f'--duplicates: "{said}" is not one of first, last, reject, max:COLUMN')
