"""Rows that wait for their parents: each later load into their table tries them again by itself.

They are a load of their own behind that load, in its transaction, read as they were read when they
were refused. Not for: what a person replays (`replay`), nor what becomes of them (`replaying`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from penstock.errors import PenstockError
from penstock.ledger import replays
from penstock.ledger.replays import Replayable
from penstock.loading.lookups import read_lookups
from penstock.loading.parents import check_policy
from penstock.loading.prepare import Prepared, prepare
from penstock.loading.replaying import RejectsInput
from penstock.model.naming import plain_name
from penstock.model.options import TYPED, Budget, LoadMode, LoadOptions, OrphanPolicy
from penstock.model.result import REJECTS
from penstock.model.table import TableName, TableSpec
from penstock.postgres.catalog import read_spec

#: Seconds that a retry waits for another session: less than PostgreSQL takes to look for a deadlock
#: (`deadlock_timeout`, 1 s).
_PATIENCE = 0.5
#: Codes of a statement that somebody cancelled, and of a session that somebody ended.
_ENDS = ("57014", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04")
_NOTE = "waited for its parent; a later load tried it again"


@dataclass(frozen=True, slots=True)
class _Kind:
    """Rejects that can be tried together."""

    columns: tuple[str, ...]
    told: str
    mode: LoadMode


def with_retries(
    connection: psycopg.Connection[Any],
    main: Prepared,
    options: LoadOptions,
    read: Callable[[Mapping[str, Any]], LoadOptions],
) -> list[Prepared]:
    """A load, and behind it the loads that try again what waits in its table.

    Args:
        connection: Of the load.
        main: The load.
        options: Its options.
        read: Makes options of those that the ledger keeps.
    """
    if not options.ledger or options.mode is LoadMode.TRUNCATE or not main.spec.oid:
        return [main]  # a table that is emptied and filled anew has no older rows
    kinds: dict[_Kind, list[Replayable]] = {}
    replaced = []
    for one in replays.awaiting(connection, main.spec.name):
        told: dict[str, Any] = json.loads(one.options)
        if main.gone or (main.inputs and _fills_anew(options, told)):
            replaced.append(one.reject_id)
            continue
        kind = _Kind(tuple(one.values or ()), one.options, _mode(told, one, main.spec))
        kinds.setdefault(kind, []).append(one)
    retries, warnings = [], list(main.warnings)
    for kind, rows in kinds.items():
        try:
            with connection.transaction():
                said = _options(options, read(json.loads(kind.told)), kind, main.spec)
                retries.append(_prepared(connection, main, said, kind, rows))
        except (PenstockError, psycopg.Error) as error:  # the load is not to fail for them
            warnings.append(not_tried(connection, len(rows), error))
    return [replace(main, replaces=tuple(replaced), warnings=tuple(warnings)), *retries]


def not_tried(
    connection: psycopg.Connection[Any], rows: int, error: PenstockError | psycopg.Error
) -> str:
    """The warning that rows which wait could not be tried again: they wait on.

    Args:
        connection: Rolled back to before the try.
        rows: How many.
        error: What went wrong.

    Raises:
        psycopg.Error: `error` itself, where it ends the load too.
        PenstockError: As above.
    """
    if connection.closed or (isinstance(error, psycopg.Error) and error.sqlstate in _ENDS):
        raise error
    if isinstance(error, psycopg.errors.LockNotAvailable):
        said = "another session is writing the same rows"
    elif isinstance(error, psycopg.Error):
        said = error.diag.message_primary or str(error)
    else:
        said = error.message
    count = "1 row that waits" if rows == 1 else f"{rows:,} rows that wait"
    return f"{count} could not be tried again: {said}"


@contextmanager
def patience(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Wait for no other session longer than a moment.

    A row that waits is held while it is tried again. A load that brings the same key must not wait
    for that, and this one for that load: PostgreSQL would end one of them.

    Args:
        connection: In a savepoint, to which an error leaves the setting.
    """
    row = connection.execute("select current_setting('lock_timeout')").fetchone()
    assert row is not None  # noqa: S101  a select without a table gives one row
    change = "select set_config('lock_timeout', %s, true)"
    connection.execute(change, [f"{round(1000 * _PATIENCE)}ms"])
    yield
    connection.execute(change, row)


def _fills_anew(options: LoadOptions, told: Mapping[str, Any]) -> bool:
    """Does the load say all that there is of the part of the table that a row is in?"""
    if options.mode is LoadMode.SYNC and not options.within:
        return True
    ranged = options.mode in (LoadMode.SYNC, LoadMode.REPLACE_RANGE)
    return ranged and dict(options.within) == told.get("within")


def _mode(told: Mapping[str, Any], one: Replayable, spec: TableSpec) -> LoadMode:
    """How a row goes into the table without taking the place of a newer one.

    A later load that brings the key of a row resolves it, so that a row which waits still may
    update; where that cannot be known, a key that is there refuses it.
    """
    mode = LoadMode(told.get("mode", LoadMode.APPEND))
    if mode is LoadMode.INSERT_NEW:
        return mode
    if mode not in (LoadMode.UPSERT, LoadMode.SYNC) or spec.primary_key is None:
        return LoadMode.APPEND
    by_primary_key = set(told.get("key") or spec.primary_key.columns) == set(
        spec.primary_key.columns
    )
    return LoadMode.UPSERT if by_primary_key and one.has_key else LoadMode.APPEND


def _options(options: LoadOptions, told: LoadOptions, kind: _Kind, spec: TableSpec) -> LoadOptions:
    """How the values are written is what the load said that met them; the rest is today's."""
    return LoadOptions(
        mode=kind.mode,
        key=told.key if kind.mode is not LoadMode.APPEND else (),
        grammar=told.grammar,
        columns=names_there(told.columns, kind.columns),
        lookups=told.lookups,
        ignore_extra=told.ignore_extra,
        orphans=orphans_there(told, spec),
        budget=Budget(share=None),
        keep_constraints=True,
        lock_timeout=_PATIENCE,
        dry_run=options.dry_run,
        on_progress=options.on_progress,
        on_step=options.on_step,
    )


def _prepared(
    connection: psycopg.Connection[Any],
    main: Prepared,
    options: LoadOptions,
    kind: _Kind,
    rows: Sequence[Replayable],
) -> Prepared:
    told: dict[str, Any] = json.loads(kind.told)
    source = RejectsInput(
        REJECTS,
        [
            (one.reject_id, place, 0, list((one.values or {}).values()))
            for place, one in enumerate(rows, start=1)
        ],
        kind.columns,
        typed=told.get(TYPED, ()),
        note=_NOTE,
        by_itself=True,
    )
    made = prepare(connection, quoted(main.spec.name), [source], options, ledger=False)
    # What the load would find out in its transaction, where it would fail.
    read_lookups(connection, made.spec, options)
    for key in made.spec.foreign_keys:
        policy = made.policies.get(key.name)
        if policy is OrphanPolicy.PLACEHOLDER:
            check_policy(key, policy, made.spec, read_spec(connection, key.parent))
    return replace(made, replaying=source.replaying, retry_of=main.load_id, told=told, warnings=())


def names_there(renamed: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    """Of source column -> target column, what is about these source columns."""
    there = {plain_name(name) for name in columns}
    return {old: new for old, new in renamed.items() if plain_name(old) in there}


def orphans_there(told: LoadOptions, spec: TableSpec) -> dict[str, OrphanPolicy]:
    """The rules for orphans, as far as the table still has what they are about."""
    columns = {name for key in spec.foreign_keys for name in key.columns}
    return {
        name: policy
        for name, policy in told.orphans.items()
        if name in told.lookups
        or (policy is not OrphanPolicy.UNKNOWN and name.rpartition(".")[2] in columns)
    }


def quoted(table: TableName) -> str:
    """A table's name as `load_table` takes it."""
    parts = (part.replace('"', '""') for part in (table.schema, table.table))
    return ".".join(f'"{part}"' for part in parts)
