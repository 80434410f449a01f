"""What is known of one table's load before its transaction begins. Not for: changing anything."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg

from penstock.errors import SourceError, TargetError, UsageError
from penstock.ledger import files
from penstock.loading.columns import Matching, match
from penstock.loading.group import group_of
from penstock.loading.inputs import Input
from penstock.loading.keys import KEYED, history_key, key_of, scope_of, winner_of
from penstock.loading.parents import policies
from penstock.loading.replaying import Replaying
from penstock.loading.types.registry import refuse_unjudged
from penstock.model.batch import file_of, record_of
from penstock.model.options import LoadMode, LoadOptions, OrphanPolicy
from penstock.model.table import Column, Key, TableSpec
from penstock.postgres.catalog import read_table
from penstock.postgres.rows import has_rows
from penstock.postgres.scope import Scope
from penstock.postgres.versions import CURRENT, FROM, TO
from penstock.quality.values import check_fit

if TYPE_CHECKING:
    from penstock.loading.change import TableChange

#: How much larger a compressed file is taken to be when it is unpacked.
_COMPRESSED = 5
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


#: Rights that a mode needs, besides INSERT and SELECT.
_RIGHTS = {
    LoadMode.TRUNCATE: ("TRUNCATE",),
    LoadMode.UPSERT: ("UPDATE",),
    LoadMode.SYNC: ("UPDATE",),
    LoadMode.SCD2: ("UPDATE",),
    LoadMode.REPLACE_RANGE: ("DELETE",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One table's load, checked as far as it can be without touching a row.

    Attributes:
        spec: The target.
        inputs: Each input with its matching; empty where all files were loaded before.
        skipped: Files whose content is in the table already.
        policies: Foreign key name -> policy, where it is not quarantine.
        load_id: The load's id.
        names: Names of all inputs by their number.
        origins: What each of them says of a record: the source's name and the record's number.
        warnings: What a person should know.
        gone: Loads whose rows are no longer in the table, as it is empty.
        key: By which rows are matched, in the modes that do.
        scope: The part of the table that the load is about.
        reading: Options that say how the inputs are read.
        replaying: The rejects that the input's rows are; None where they come from a source.
        change: What the load makes of the table before it fills it.
        group: The column whose values make groups of rows; None: each row stands for itself.
        retry_of: The load after which these rows, which waited for their parents, are tried
            again; empty for every other load.
        told: What `written` gives, where rows are tried again: as the ledger had it.
        replaces: Rejects that wait for their parents in a part of the table that the load fills
            anew.
    """

    spec: TableSpec
    inputs: tuple[tuple[Input, Matching], ...]
    skipped: tuple[str, ...] = ()
    policies: Mapping[str, OrphanPolicy] = field(default_factory=dict)
    load_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    names: tuple[str, ...] = ()
    origins: tuple[Callable[[int], tuple[str, int]], ...] = ()
    warnings: tuple[str, ...] = ()
    gone: frozenset[str] = frozenset()
    key: Key | None = None
    scope: Scope | None = None
    reading: LoadOptions = field(default_factory=LoadOptions)
    replaying: Replaying | None = None
    change: TableChange | None = None
    group: Column | None = None
    retry_of: str = ""
    told: Mapping[str, Any] | None = None
    replaces: tuple[int, ...] = ()

    def origin(self, row: int) -> tuple[str, int]:
        """The source's name and the record number of a `_row`."""
        if self.origins:
            return self.origins[file_of(row)](record_of(row))
        return self.names[file_of(row)], record_of(row)

    @property
    def awaited(self) -> frozenset[str]:
        """Columns, as reasons name them, whose missing parents are waited for."""
        said = self.reading.orphans
        looked_up = {name for name in self.reading.lookups if said.get(name) is OrphanPolicy.WAIT}
        keys = {key.name: ", ".join(key.columns) for key in self.spec.foreign_keys}
        waits = {name for name, policy in self.policies.items() if policy is OrphanPolicy.WAIT}
        return frozenset(looked_up | {keys[name] for name in waits})

    @property
    def supplied(self) -> list[str]:
        """The target's columns beside its primary key that the inputs fill."""
        own = self.spec.primary_key.columns if self.spec.primary_key is not None else ()
        found = {column.name for _, matching in self.inputs for column in matching.columns}
        return sorted(found.difference(own))

    @property
    def written(self) -> dict[str, Any]:
        """How the values are written, as options of `load_table`."""
        if self.told is not None:
            return dict(self.told)
        return self.reading.written({name for one, _ in self.inputs for name in one.typed})

    @property
    def ddl(self) -> str:
        """What the load makes of the table, for people; empty where it changes only rows."""
        if self.change is None or not (self.inputs or self.change.creates):
            return ""
        return self.change.statements.text

    @property
    def size(self) -> int:
        """Bytes of input, compressed files taken as unpacked."""
        return sum(
            one.size * (_COMPRESSED if one.name.endswith((".gz", ".zst")) else 1)
            for one, _ in self.inputs
        )


def check_target(spec: TableSpec, options: LoadOptions) -> None:
    """Can the role load this relation in this mode, and do the checks of its rows fit it?

    Raises:
        TargetError: It is a view, or a right is missing.
        UsageError: A quality check does not fit it.
    """
    check_fit(options.quality, spec)
    if spec.kind in _KINDS:
        raise TargetError(
            f"{spec.name} is {_KINDS[spec.kind]}: load the table behind it", code="42809"
        )
    if spec.has_insert_rules:
        raise TargetError(
            f"{spec.name} has a rule on INSERT, which COPY ignores and INSERT obeys: what became "
            "of a row would depend on the way it takes. Use a trigger instead of the rule.",
            code="42809",
        )
    needed = {"INSERT", "SELECT", *_RIGHTS.get(options.mode, ())}
    if options.mode is LoadMode.SYNC and not options.missing:
        needed.add("DELETE")
    missing = sorted(needed - spec.rights)
    if missing:
        raise TargetError(
            f"This role may not {' and '.join(missing)} on {spec.name}. Grant it: "
            f"GRANT {', '.join(missing)} ON {spec.name} TO the role.",
            code="42501",
        )
    if options.mode is LoadMode.TRUNCATE and spec.row_security:
        raise TargetError(
            f"Row security applies to this role on {spec.name}, and TRUNCATE would ignore it: "
            "rows that the role may not see would go. Load as the table's owner, or append.",
            code="42501",
        )


def prepare(
    connection: psycopg.Connection[Any],
    table: str,
    inputs: Sequence[Input],
    options: LoadOptions,
    *,
    ledger: bool,
) -> Prepared:
    """Read the target's spec and match the inputs' columns with it.

    Raises:
        UsageError: There is no such table, or an option names what is not there.
        SourceError: An input's columns do not fit.
        TargetError: The target cannot be loaded.
    """
    change = None
    if options.create or options.alter:
        from penstock.loading.change import planned  # the profile of inputs: few loads need it

        change = planned(connection, table, inputs, options)
    spec = read_table(connection, table) if change is None else change.spec
    check_target(spec, options)
    _check_wait(options)
    known = [column.name for column in spec.columns]
    names = tuple(one.name for one in inputs)
    kept: list[Input] = list(inputs)
    skipped: list[str] = []
    append = options.mode is LoadMode.APPEND
    gone = _loads_gone(connection, spec) if ledger and append else frozenset[str]()
    if append and not options.again:
        kept, skipped = not_loaded_before(connection, spec, inputs, gone if ledger else None)
    matched = []
    warnings: list[str] = []
    for one in kept:
        matching = match(one.columns([*known, *options.columns]), spec, options, one.name)
        refuse_unjudged(matching.columns)
        one.matched(matching.pairs)
        matched.append((one, matching))
        warnings += one.remarks()
    _same_columns(matched)
    if matched:
        warnings += _remarks(matched[0][1], options)
    group = group_of(spec, options, matched[0][1].columns) if matched else None
    return Prepared(
        spec=spec,
        inputs=tuple(matched),
        skipped=tuple(skipped),
        policies=policies(spec, options.orphans, options.lookups),
        names=names,
        origins=tuple(one.origin for one in inputs),
        warnings=tuple(dict.fromkeys([*warnings, *(change.notes if change else ())])),
        gone=gone,
        key=_key(spec, options, matched),
        reading=options if group is not None else replace(options, group=""),
        scope=scope_of(
            connection, spec, options, [one for _, pair in matched for one in pair.columns]
        ),
        change=change,
        group=group,
    )


def _check_wait(options: LoadOptions) -> None:
    """Can rows wait for their parents?

    Raises:
        UsageError: Not in this mode, or nowhere.
    """
    waits = [name for name, policy in options.orphans.items() if policy is OrphanPolicy.WAIT]
    if waits and not options.ledger:
        raise UsageError(
            f"--orphans {waits[0]}=wait: rows wait in the ledger, and this load has none"
        )
    if waits and options.group:
        raise UsageError(
            f"--group {options.group} and --orphans {waits[0]}=wait do not go together: a row that "
            "is tried again by itself would come without its group. Leave out one of them."
        )
    if waits and winner_of(options) != winner_of(replace(options, duplicates="")):
        raise UsageError(
            f"--duplicates {options.duplicates} and --orphans {waits[0]}=wait do not go together: "
            f"of a row that waits and others with its key, {options.mode.value} alone decides "
            "which counts. Leave out one of them."
        )
    if waits and options.mode is LoadMode.SCD2:
        raise UsageError(
            f"--orphans {waits[0]}=wait is not for the mode scd2: a row that comes late is a "
            "version of another day. Leave it out; what is refused waits to be loaded again."
        )


def _key(
    spec: TableSpec, options: LoadOptions, matched: Sequence[tuple[Input, Matching]]
) -> Key | None:
    supplied = [column.name for _, matching in matched for column in matching.columns]
    if options.mode in KEYED:
        return key_of(spec, options, supplied)
    if options.mode is LoadMode.SCD2:
        return history_key(spec, options, supplied)
    for name in ("key", "duplicates", "type1"):
        if getattr(options, name) and not (name == "key" and options.create):
            raise UsageError(f"--{name} is not for the mode {options.mode.value}")
    return None


def _same_columns(matched: Sequence[tuple[Input, Matching]]) -> None:
    for one, matching in matched[1:]:
        first = {column.name for column in matched[0][1].columns}
        mine = {column.name for column in matching.columns}
        if mine != first:
            odd = ", ".join(sorted(mine ^ first))
            raise SourceError(
                f"{one.name} does not supply the same columns as {matched[0][0].name}: {odd}. "
                "Load them apart.",
                code="columns",
            )


def _remarks(matching: Matching, options: LoadOptions) -> list[str]:
    mode = options.mode
    remarks = []
    if "_id" in matching.left_out and "_reason" in matching.left_out:
        remarks.append(
            "this is an export of refused rows: penstock rejects replay FILE would close them too"
        )
    if matching.left_out:
        remarks.append(f"left out of the input: {', '.join(matching.left_out)}")
    own = (FROM, TO, CURRENT) if mode is LoadMode.SCD2 else ()
    filled = [c.name for c in matching.missing if not (c.generated or c.name in own)]
    if filled:
        updates = mode in (LoadMode.UPSERT, LoadMode.SYNC)
        what = (
            "left as it is, NULL or default in new rows" if updates else "left to NULL or default"
        )
        remarks.append(f"not in the input, {what}: {', '.join(filled)}")
    if options.group in [column.name for column in matching.missing]:
        remarks.append(f"the input has no {options.group}: none of its rows belongs to a group")
    return remarks


def not_loaded_before(
    connection: psycopg.Connection[Any],
    spec: TableSpec,
    inputs: Sequence[Input],
    gone: Collection[str] | None = frozenset(),
) -> tuple[list[Input], list[str]]:
    """The inputs whose content is new, and a text about each of the others.

    Args:
        connection: Of the load.
        spec: The target.
        inputs: Of one load; a content that several of them have is kept once.
        gone: Loads whose rows are no longer in the table; None without a ledger.
    """
    sizes = [one.size for one in inputs if one.stored]
    known = {} if gone is None else files.known(connection, spec.name, sizes)
    there = {sha: file for sha, file in known.items() if file.load_id not in (gone or ())}
    hashed = {file.size for file in there.values()}
    hashed |= {size for size, times in Counter(sizes).items() if times > 1}
    first: dict[str, str] = {}
    kept: list[Input] = []
    skipped: list[str] = []
    for one in inputs:
        if one.size not in hashed or not one.stored:
            kept.append(one)
            continue
        digest = one.fingerprint()
        if digest in there:
            before = there[digest]
            other = f"as {before.name} " if before.name != one.name else ""
            skipped.append(f"{one.name} (loaded {other}on {before.loaded_at})")
        elif digest in first:
            skipped.append(f"{one.name} (the same content as {first[digest]})")
        else:
            first[digest] = one.name
            kept.append(one)
    return kept, skipped


def _loads_gone(connection: psycopg.Connection[Any], spec: TableSpec) -> frozenset[str]:
    """Loads whose files are on record and whose rows are not: the table was emptied otherwise."""
    if spec.row_security:
        return frozenset()  # it may have rows that this role does not see
    loads = files.loads(connection, spec.name)
    if not spec.oid:  # it is to be created: one of that name was dropped
        return loads
    return frozenset() if not loads or has_rows(connection, spec.name) else loads
