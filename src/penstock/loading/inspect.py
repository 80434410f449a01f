"""`inspect`: what is in an input, and the command that loads it. Not for: loading anything."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from penstock.errors import SourceError, TargetError, TryAgain, UsageError
from penstock.loading.change import column_names, possible_keys
from penstock.loading.columns import Matching, match
from penstock.loading.inputs import FrameInput, Input
from penstock.loading.inputs.kinds import format_of
from penstock.loading.inputs.stored import JsonInput
from penstock.loading.inspection import InspectedColumn, Inspection
from penstock.loading.load import options_from, table_named_by
from penstock.loading.profile.decide import Decision, Written, decide, how_written
from penstock.loading.profile.types import column_of_type
from penstock.loading.proposal import command_words
from penstock.loading.settle import Settled, settle
from penstock.loading.trial import Trial, tried
from penstock.loading.types.texts import TEXT_BASES
from penstock.model.options import LoadMode, LoadOptions
from penstock.model.table import TableSpec
from penstock.postgres.catalog import find_table, read_spec
from penstock.postgres.connection import set_locally, target_of, translated

if TYPE_CHECKING:
    import sqlalchemy

    Where = str | sqlalchemy.Engine | sqlalchemy.Connection

_MOMENTS = {"date", "timestamp", "timestamptz"}
#: Readings that a column of this type can use (`profile.facts.Reading.kind`).
_KINDS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("int2", "int4", "int8", "numeric"), frozenset({"number"})),
    **dict.fromkeys(("float4", "float8", "money"), frozenset({"number"})),
    **dict.fromkeys(_MOMENTS, frozenset(_MOMENTS)),
    **dict.fromkeys(TEXT_BASES, frozenset[str]()),
}


@dataclass(frozen=True, slots=True)
class _Place:
    """The table that is meant, as far as it can be seen."""

    table: str
    label: str = ""
    spec: TableSpec | None = None
    note: str = ""


def inspect(
    source: Any, table: str | None = None, where: Where | None = None, **options: Any
) -> Inspection:
    """Look at an input from its first to its last row, and propose how to load it.

    Nothing is changed, in no database.

    Args:
        source: As for `load_table`.
        table: The table that is meant; default: the name of the file.
        where: As for `load_table`; None: no database is asked.
        **options: What is declared of the input, as for `load_table`; the rest is found out.

    Raises:
        UsageError: The call is wrong.
        SourceError: The input cannot be read.
    """
    return inspected(source, table, where, options_from(**options))


def inspected(
    source: Any, table: str | None, where: Where | None, options: LoadOptions
) -> Inspection:
    """`inspect` with options made already."""
    place = _place(table or table_named_by(source), where)
    spec = place.spec
    known = [] if spec is None else [*(c.name for c in spec.columns), *options.columns]
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        settled = settle(source, options, lambda: Path(folder), known)
        problems = list(settled.problems)
        matching = None if spec is None else _matching(settled, spec, problems)
        written = _written(settled, matching)
        grammar = written.grammar
        decisions = [decide(one, grammar) for one in settled.profile.columns]
        pairs = _new_pairs(settled, decisions) if matching is None else matching.pairs
        trial = tried(settled.inputs, pairs, grammar, whole=matching is not None)
    final = replace(settled.options, grammar=grammar)
    extra = () if matching is None else matching.extra
    if extra and not options.ignore_extra:
        final = replace(final, ignore_extra=True)
    command = command_words(
        _files(source, settled.inputs), place.table, final, create=matching is None
    )
    problems += written.open
    problems += _too_many(trial, settled, options)
    return Inspection(
        sources=settled.profile.names,
        table=place.table,
        target=place.label,
        exists=spec is not None,
        format=_format(settled.inputs[0], options),
        encoding=settled.encoding,
        encoding_because=settled.encoding_because,
        delimiter=settled.delimiter,
        delimiter_because=settled.delimiter_because,
        records=settled.profile.records,
        rows=settled.profile.rows,
        filtered=settled.profile.filtered,
        columns=_columns(settled, decisions, matching),
        written=written.because,
        refused=trial.refused if matching is not None else None,
        reasons=trial.reasons,
        first_rows=trial.first_rows,
        command=tuple(command),
        problems=tuple(problems),
        notes=tuple(_notes(place, settled, written, matching)),
    )


def _place(table: str, where: Where | None) -> _Place:
    """The table, if there is a database that answers."""
    if where is None:
        return _Place(table)
    try:
        with target_of(where) as target:
            connection = target.connection
            try:
                if not target.joined:
                    set_locally(connection, "public")
                name = find_table(connection, table)
                spec = None if name is None else read_spec(connection, name)
            finally:
                if not target.joined:
                    connection.rollback()
    except psycopg.Error as error:
        return _Place(table, note=str(translated(error, f"look at {table}")))
    except (TryAgain, TargetError) as error:
        return _Place(table, note=f"no database was asked: {error}")
    return _Place(table, target.label, spec)


def _matching(settled: Settled, spec: TableSpec, problems: list[str]) -> Matching | None:
    """How the columns match; what does not is a problem, and left out. None: nothing matches."""
    name, options = settled.inputs[0].name, settled.options
    try:
        return match(settled.names, spec, options, name)
    except (SourceError, UsageError) as error:
        if str(error) not in problems:
            problems.append(str(error))
    # Only the other modes need no column: what is missing was said.
    lenient = replace(options, ignore_extra=True, mode=LoadMode.UPSERT)
    try:
        return match(settled.names, spec, lenient, name)
    except (SourceError, UsageError):
        return None


def _written(settled: Settled, matching: Matching | None) -> Written:
    """How values are written; the columns of a table say which of them matter."""
    wanted = None
    if matching is not None:
        wanted = {
            name: _KINDS.get(column.base, frozenset({"other"})) for name, column in matching.pairs
        }
    found = how_written(settled.profile, settled.options.grammar, wanted)
    if any(isinstance(one, JsonInput) for one in settled.inputs):  # it refuses the option
        grammar = replace(found.grammar, numbers=settled.options.grammar.numbers)
        because = {option: why for option, why in found.because.items() if option != "numbers"}
        return Written(grammar=grammar, because=because, open=found.open)
    return found


def _new_pairs(settled: Settled, decisions: Sequence[Decision]) -> tuple[tuple[str, Any], ...]:
    """The columns as they would be in a new table."""
    try:
        names = column_names(settled.names)
    except UsageError:  # a name is too long; the load says so
        names = {name: name for name in settled.names}
    return tuple(
        (one.name, column_of_type(names[one.name], number, decision.type))
        for number, (one, decision) in enumerate(
            zip(settled.profile.columns, decisions, strict=True), 1
        )
    )


def _columns(
    settled: Settled, decisions: Sequence[Decision], matching: Matching | None
) -> tuple[InspectedColumn, ...]:
    targets = {} if matching is None else dict(matching.pairs)
    found = []
    for one, decision in zip(settled.profile.columns, decisions, strict=True):
        target = targets.get(one.name)
        found.append(
            InspectedColumn(
                name=one.name,
                type=decision.type,
                because=str(decision),
                note=decision.note,
                nulls=one.nulls,
                words={text: word.rows for text, word in one.words.items()},
                distinct=one.distinct,
                unique=one.unique,
                target="" if target is None else target.name,
                target_type="" if target is None else target.type,
            )
        )
    return tuple(found)


def _too_many(trial: Trial, settled: Settled, options: LoadOptions) -> list[str]:
    records = settled.profile.records
    if options.budget.allows(trial.refused, records):
        return []
    return [
        f"{trial.refused:,} of {records:,} rows would be refused, and a load allows "
        f"{options.budget}: correct them, or see --max-rejects"
    ]


def _notes(
    place: _Place, settled: Settled, written: Written, matching: Matching | None
) -> list[str]:
    notes = [place.note] if place.note else []
    if matching is not None and matching.extra:
        left = ", ".join(matching.extra)
        notes.append(f"--ignore-extra leaves out: {left}. To add instead: --alter add")
    missing = () if matching is None else [c.name for c in matching.missing if not c.generated]
    if missing:
        notes.append(f"not in the input, left to NULL or default: {', '.join(missing)}")
    nulls = set(written.grammar.null) - set(settled.options.grammar.null)
    for one in settled.profile.columns:
        also = sorted(nulls & set(one.words))
        if also and decide(one, written.grammar).type == "text":
            notes.append(f"--null {also[0]} makes it NULL in {one.name} too")
    if matching is None:
        columns = settled.profile.columns
        keys = possible_keys(columns, [decide(one, written.grammar) for one in columns])
        named = list(column_names(keys).values())
        if named:
            shown = ", ".join(named)
            notes.append(f"each value once, could be the key: {shown} (--key {named[0]})")
    return notes


def _format(one: Input, options: LoadOptions) -> str:
    return "frame" if isinstance(one, FrameInput) else format_of(one.name, options).value


def _files(source: Any, inputs: Sequence[Input]) -> list[str]:
    if isinstance(source, (str, Path)):
        return [str(source)]
    if isinstance(source, (list, tuple)) and all(isinstance(s, (str, Path)) for s in source):
        return [str(one) for one in source]
    return [one.name for one in inputs]
