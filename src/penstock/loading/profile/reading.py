"""Reads a whole input once and says what its columns hold. Not for: choosing types (`decide`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from penstock.errors import SourceError
from penstock.loading.inputs import Input
from penstock.loading.profile.column import ColumnReader
from penstock.loading.profile.facts import Profile
from penstock.loading.profile.readings import number_readings, readings
from penstock.model.batch import Malformed
from penstock.model.options import Grammar


def profile(
    inputs: Sequence[Input],
    grammar: Grammar,
    *,
    known: Collection[str] = (),
    only: Collection[str] | None = None,
) -> Profile:
    """Look at every row of the inputs, in flat memory.

    Args:
        inputs: With the same columns.
        grammar: Its `null` texts are NULL; its `dates` and `numbers` are tried with the usual.
        known: Column names of the target, which prove a delimiter.
        only: Columns to look at; default: all.

    Raises:
        SourceError: An input cannot be read, or has other columns than the first.
    """
    names = inputs[0].columns(known)
    for one in inputs[1:]:
        if set(one.columns(known)) != set(names):
            odd = ", ".join(sorted(set(names) ^ set(one.columns(known))))
            raise SourceError(
                f"{one.name} does not have the same columns as {inputs[0].name}: {odd}. "
                "Look at them apart.",
                code="columns",
            )
    tried, numbers = readings(grammar), number_readings(grammar)
    typed = frozenset[str]().union(*(one.typed for one in inputs))
    columns = [
        ColumnReader(name, tried, numbers, grammar.null, typed=name in typed)
        for name in names
        if only is None or name in only
    ]
    records = rows = filtered = 0
    malformed: dict[str, tuple[int, str]] = {}
    for one in inputs:
        for batch in one.batches():
            records += batch.records
            rows += batch.frame.height
            filtered += batch.filtered
            _count(malformed, batch.malformed, one.name)
            if batch.frame.height:
                for column in columns:
                    column.read(batch.frame, one.name if len(inputs) > 1 else "")
    return Profile(
        names=tuple(one.name for one in inputs),
        columns=tuple(column.finish() for column in columns),
        records=records,
        rows=rows,
        filtered=filtered,
        malformed=malformed,
    )


def _count(counts: dict[str, tuple[int, str]], found: Sequence[Malformed], file: str) -> None:
    for one in found:
        times, first = counts.get(one.code, (0, ""))
        where = f"{file} line {one.line:,}" if one.line else file
        counts[one.code] = times + 1, first or f"{where}: {one.reason}"
