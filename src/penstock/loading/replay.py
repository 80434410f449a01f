"""`replay_rejects`: loads refused rows again, as they came or corrected. Not for: exporting them.

A replay is a load like any other, of rows that the ledger knows: in its transaction they are
locked, loaded and closed, so that no row is loaded twice, whoever replays it at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from penstock.errors import SourceError, UsageError
from penstock.ledger import replays
from penstock.ledger.history import require_ledger
from penstock.ledger.quarantine import Selection
from penstock.ledger.replays import Replayable
from penstock.ledger.runs import RunRecord
from penstock.loading.apart import apart
from penstock.loading.columns import match
from penstock.loading.corrected import CorrectedFile, Correction
from penstock.loading.export import mark_of
from penstock.loading.load import carry_out, options_from
from penstock.loading.prepare import Prepared, prepare
from penstock.loading.replaying import RejectsInput
from penstock.loading.star import StarFile, in_order
from penstock.loading.waited import names_there, orphans_there, quoted
from penstock.model.naming import is_link_label
from penstock.model.options import TYPED, Budget, LoadMode, LoadOptions
from penstock.model.result import REJECTS, ReplayResult
from penstock.model.table import TableName
from penstock.postgres.catalog import find_table, read_spec
from penstock.postgres.connection import Target, target_of, translated

if TYPE_CHECKING:
    from penstock.loading.load import Where

#: Modes that do nothing to the rows that are not in the input.
MODES = (LoadMode.APPEND, LoadMode.INSERT_NEW, LoadMode.UPSERT)
#: What a row's own load did -> what the replay of the row does; every other load appends.
_LIKE_ITS_LOAD = {
    LoadMode.UPSERT: LoadMode.UPSERT,
    LoadMode.SYNC: LoadMode.UPSERT,
    LoadMode.INSERT_NEW: LoadMode.INSERT_NEW,
}
#: One row of an input: reject, record, line, texts.
_Row = tuple[int, int, int, Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Rejects that can be loaded together."""

    table: TableName
    columns: tuple[str, ...]
    options: str
    mode: LoadMode
    key: tuple[str, ...]

    @property
    def looks_up(self) -> bool:
        """Whether its rows refer to others by natural key."""
        return "lookups" in json.loads(self.options)


def replay_rejects(
    where: Where,
    file: str | Path | None = None,
    *,
    ids: Iterable[int] | None = None,
    table: str | None = None,
    column: str | None = None,
    code: str | None = None,
    **options: Any,
) -> ReplayResult:
    """Load refused rows again, through all checks of today, in one transaction.

    Rows that are loaded now are closed (`replayed`); rows that are refused again wait on, with
    the new reason. Rejects that do not wait are left as they are, so that the same call again loads
    no row twice.

    Args:
        where: As for `load_table`; its database must have a ledger.
        file: An exported file, corrected; its column `_id` says which rejects its rows are. A
            reject that is not in the file is not touched.
        ids: Without a file: these rejects, as they came.
        table: Without a file: what waits of this table, as it came.
        column: Of these, what this column refused.
        code: Of these, what was refused with this code.
        **options: As for `load_table`; `mode` is "append", "insert_new" or "upsert", and
            `max_rejects` "all" by default. How values are written is, where it is not said, what
            the load said that refused them.

    Raises:
        UsageError: Neither or both of a file and a choice of rejects, or a wrong option.
        SourceError: The file cannot be read.
        TargetError: There is no ledger, or the table or the role cannot take the rows.
        LoadError: The replay was rolled back.
        TryAgain: Locked, busy or cut off; nothing changed.
    """
    chosen = None if ids is None else tuple(ids)

    def select(connection: psycopg.Connection[Any]) -> Selection:
        named = None if table is None else _named(connection, table)
        return Selection(
            ids=chosen,
            table=named,
            column=column,
            code=code,
            statuses=("waiting",) if chosen is None else None,
        )

    if (file is None) == (chosen is None and table is None):
        raise UsageError("Say what to replay: a file, or else ids or a table")
    if file is not None and (column is not None or code is not None):
        raise UsageError("A file says itself what is replayed: leave out column and code")
    return run_replay(where, None if file is None else Path(file), select, options)


def _named(connection: psycopg.Connection[Any], table: str) -> TableName:
    found = find_table(connection, table)
    if found is None:
        raise UsageError(f"There is no table {table} here.", code="42P01")
    return found


def run_replay(
    where: Where,
    file: Path | None,
    select: Callable[[psycopg.Connection[Any]], Selection],
    options: Mapping[str, Any],
    *,
    command: str = "",
    like_its_load: bool = False,
) -> ReplayResult:
    """`replay_rejects` with the choice of rejects made by the caller.

    Args:
        where: As for `replay_rejects`.
        file: A corrected file; then `select` is not asked.
        select: Which rejects, as they came.
        options: As for `replay_rejects`, by name; what is not said is not in it.
        command: For the ledger.
        like_its_load: True: `mode` and `key` are those of the load that refused the row, as far as
            a replay has that mode; rows of loads with others are loaded beside them.
    """
    base = options_from(**{"max_rejects": Budget(share=None), **options})
    _check(base)
    corrected = None if file is None else CorrectedFile(file, base.csv, base.grammar)
    with target_of(where) as target:
        plan = _Plan(target, corrected, select, options, like_its_load=like_its_load)
        try:
            require_ledger(target.connection)
            loads = carry_out(target, plan.tables, base, RunRecord("replay", command))
        except psycopg.Error as error:
            raise translated(error, "replay the rejects") from None
    return ReplayResult(
        target=target.label,
        loads=tuple(loads),
        replayed=sum(one.replaying.closed for one in plan.inputs),
        waiting=sum(load.quarantined for load in loads),
        skipped=dict(sorted(plan.skipped.items()))
        | {gone: "closed" for one in plan.inputs for gone in one.replaying.gone},
    )


def _check_of(corrected: CorrectedFile, found: Sequence[Replayable]) -> None:
    """Refuse a file of another ledger: the numbers of its rejects are those of other rows here.

    Raises:
        SourceError: What a row says in `_of` does not fit the reject.
    """
    here = {one.reject_id: one for one in found}
    odd: list[Correction] = []
    for row in corrected.rows.values():
        one = here.get(row.reject_id)
        stored, mark = (None, "") if one is None else (one.values, mark_of(one.load_id))
        if not corrected.is_of(row, stored, mark):
            odd.append(row)
    if odd:
        first = odd[0]
        said = "another row" if first.reject_id in here else "no row"
        raise SourceError(
            f"{corrected.name} line {first.line}: reject {first.reject_id} of this database is "
            f"{said}, by what the file says in _of ({len(odd):,} of {len(corrected.rows):,} rows). "
            "The file was exported from another database, such as that of another environment: "
            "replay it there, or export the rejects of this one anew.",
            code="columns",
        )


def _check(options: LoadOptions) -> None:
    if options.mode not in MODES:
        raise UsageError(
            f"A replay has only some of a table's rows: its mode is {', '.join(MODES)}, not "
            f"{options.mode.value}"
        )
    if not options.ledger:
        raise UsageError("The rejects are in the ledger: a replay cannot do without it")
    if options.csv.columns is not None:
        raise UsageError("columns: give only renames (source=target); the rest is in the header")


class _Plan:
    """Which rejects become rows of which loads."""

    def __init__(
        self,
        target: Target,
        corrected: CorrectedFile | None,
        select: Callable[[psycopg.Connection[Any]], Selection],
        said: Mapping[str, Any],
        *,
        like_its_load: bool,
    ) -> None:
        self.inputs: list[RejectsInput] = []
        self.skipped: dict[int, str] = {}
        self._target = target
        self._corrected = corrected
        self._select = select
        # What the command line was not told it gives as empty.
        self._said = {name: value for name, value in said.items() if value not in ((), {})}
        self._like_its_load = like_its_load
        self._name = REJECTS if corrected is None else corrected.name

    def tables(self, base: LoadOptions, folder: Callable[[], Path]) -> list[Prepared]:
        """The loads, parents before their children."""
        del folder
        connection = self._target.connection
        kinds = self._kinds(base)
        places = [StarFile(quoted(table), table, []) for table in {kind.table for kind in kinds}]
        order = [one.name for one in in_order(connection, places)] if len(places) > 1 else None
        planned = []
        # Rows that refer to others by natural key, as those of links, find what came beside them.
        first = {kind: min(row[0] for row in rows) for kind, rows in kinds.items()}
        for kind in sorted(kinds, key=lambda one: (one.looks_up, first[one])):
            rows = kinds[kind]
            planned.append((kind, self._prepared(kind, rows, base)))
        if order is not None:
            planned.sort(key=lambda one: order.index(one[0].table))
        found = [prepared for _, prepared in planned]
        self._find_apart(found, {row[0] for rows in kinds.values() for row in rows})
        return found

    def _find_apart(self, planned: Sequence[Prepared], replayed: Collection[int]) -> None:
        """Groups of which other rows wait are refused: none of them is loaded in part."""
        by_name: dict[str, list[Prepared]] = {}
        for prepared in planned:
            if prepared.group is not None:
                by_name.setdefault(prepared.group.name, []).append(prepared)
        for name, those in by_name.items():
            tables = {prepared.spec.name for prepared in those}
            found = apart(self._target.connection, name, replayed, tables)
            for prepared in those:
                if prepared.replaying is not None:
                    prepared.replaying.apart |= found

    def _kinds(self, base: LoadOptions) -> dict[_Kind, list[_Row]]:
        connection, corrected = self._target.connection, self._corrected
        if corrected is None:
            what = self._select(connection)
            wanted = set(what.ids or ())
        else:
            wanted = set(corrected.rows)
            what = Selection(ids=tuple(wanted), statuses=None)
        kinds: dict[_Kind, list[_Row]] = {}
        found = replays.replayable(connection, what)
        if corrected is not None:
            _check_of(corrected, found)
        grammars = {self._read(text)[0].grammar for text in {one.options for one in found}}
        if corrected is not None and len(grammars) == 1:
            self._corrected = corrected.as_written(grammars.pop())
        for one in found:
            wanted.discard(one.reject_id)
            values = self._values(one)
            if one.status != "waiting" or values is None:
                self.skipped[one.reject_id] = "unsplit" if one.status == "waiting" else one.status
                continue
            kind = self._kind(one, tuple(values), base)
            kinds.setdefault(kind, []).append(self._row(one.reject_id, list(values.values())))
        self.skipped |= dict.fromkeys(wanted, "unknown")
        return {kind: sorted(rows, key=lambda row: row[1]) for kind, rows in kinds.items()}

    def _kind(self, one: Replayable, columns: tuple[str, ...], base: LoadOptions) -> _Kind:
        # What was sent to another system has a mode of its own, and no table here.
        before = next((mode for mode in LoadMode if mode == one.mode), LoadMode.APPEND)
        mode = _LIKE_ITS_LOAD.get(before, LoadMode.APPEND) if self._like_its_load else base.mode
        key = json.loads(one.options).get("key", ()) if before in _LIKE_ITS_LOAD else ()
        return _Kind(one.table, columns, one.options, mode, tuple(key))

    def _values(self, one: Replayable) -> Mapping[str, str | None] | None:
        if self._corrected is None:
            return one.values
        values = self._corrected.values(self._corrected.rows[one.reject_id], one.values)
        if values is None:
            return None
        # What a link has for people is no field of the rows beside it.
        own = one.values or {}
        return {
            name: cell
            for name, cell in values.items()
            if name in own or not is_link_label(name, one.table)
        }

    def _row(self, reject: int, texts: Sequence[str | None]) -> _Row:
        if self._corrected is None:
            return reject, reject, 0, texts
        row = self._corrected.rows[reject]
        return reject, row.record, row.line, texts

    def _read(self, text: str) -> tuple[LoadOptions, Sequence[str]]:
        """Options of the ledger under those that are said now, and which columns came typed."""
        stored: dict[str, Any] = json.loads(text)
        typed = stored.pop(TYPED, ())
        return options_from(**{**stored, **self._said}), typed

    def _key(self, kind: _Kind, own: LoadOptions) -> tuple[str, ...]:
        """The key that is said now, where the rows have it; else that of the load before."""
        if kind.mode is LoadMode.APPEND or not kind.key or set(own.key) == set(kind.key):
            return own.key
        spec = read_spec(self._target.connection, kind.table)
        there = {one.name for one in match(kind.columns, spec, own, self._name).columns}
        return own.key if own.key and there.issuperset(own.key) else kind.key

    def _prepared(self, kind: _Kind, rows: Sequence[_Row], base: LoadOptions) -> Prepared:
        options, typed = self._read(kind.options)
        orphans = options.orphans
        if not self._said.get("orphans"):  # that rows wait for their parents holds on
            orphans = orphans_there(options, read_spec(self._target.connection, kind.table))
        own = replace(
            base,
            grammar=options.grammar,
            columns=names_there(options.columns, kind.columns),
            orphans=orphans,
            lookups=options.lookups,
            ignore_extra=options.ignore_extra,
            group=options.group,
            mode=kind.mode,
        )
        own = replace(own, key=self._key(kind, own))
        name = self._name
        note = "replayed as it came" if self._corrected is None else f"replayed from {name}"
        source = RejectsInput(name, rows, kind.columns, typed=typed, note=note)
        self.inputs.append(source)
        prepared = prepare(
            self._target.connection, quoted(kind.table), [source], own, ledger=own.ledger
        )
        return replace(prepared, replaying=source.replaying)
