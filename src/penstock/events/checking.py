"""Tries the checks that pipelines declare on their targets. Not for: the checks (`quality`)."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import psycopg

from penstock.errors import PenstockError, UsageError
from penstock.events.pipeline import Pipeline
from penstock.ledger import checks, runs
from penstock.ledger.runs import RunRecord
from penstock.model.checked import FAILED, CheckResult
from penstock.postgres.catalog import find_table, nearest, split_name
from penstock.postgres.connection import connect, label_of, translated
from penstock.quality.judging import advice, figure_of
from penstock.quality.tables import tried


@dataclass(frozen=True, slots=True)
class Tried:
    """A check that was tried.

    Attributes:
        result: What it found.
        figure: Its figure as people read it.
        advice: What to do about it; empty where there is nothing to do.
    """

    result: CheckResult
    figure: str
    advice: str


def declared(
    pipelines: Mapping[str, Pipeline], names: Sequence[str], table: str | None
) -> list[Pipeline]:
    """The pipelines whose checks are meant.

    Args:
        pipelines: Those of the project.
        names: Of pipelines; none: all that declare checks.
        table: Those with this target only, whatever its schema where none is said.

    Raises:
        UsageError: There is none of that name or target, or it declares no checks.
    """
    for name in names:
        if name not in pipelines:
            raise UsageError(f"There is no pipeline {name}.{nearest(name, list(pipelines))}")
        if not pipelines[name].checks:
            raise UsageError(f"Pipeline {name} declares no checks: checks=[quality.not_null(...)]")
    found = [one for name, one in pipelines.items() if one.checks and (not names or name in names)]
    if table is not None:
        found = [one for one in found if _same(one.target, table)]
    if not found:
        targets = [one.target for one in pipelines.values() if one.checks]
        if table is not None:
            raise UsageError(
                f"No pipeline with checks has the target {table}.{nearest(table, targets)}"
            )
        raise UsageError("No pipeline of this project declares checks (checks=).")
    return found


def check(dsn: str, pipeline: Pipeline) -> Generator[Tried, None, None]:
    """Try a pipeline's checks on its target, and keep what they find in the ledger.

    Args:
        dsn: The database of the ledger and the target.
        pipeline: The declaration.

    Yields:
        Each result as soon as it is known.

    Raises:
        UsageError: A check does not fit the target.
        TargetError: The role may not read the target.
        TryAgain: The server does not answer.
    """
    try:
        with connect(dsn) as connection:
            yield from _checked(connection, pipeline)
    except psycopg.Error as error:
        raise translated(error, "check the data") from None


def _checked(connection: psycopg.Connection[Any], pipeline: Pipeline) -> Iterator[Tried]:
    run = RunRecord("check", f"penstock check {pipeline.name}", pipeline=pipeline.name)
    runs.begin_run(connection, run, label_of(connection))
    results: list[CheckResult] = []
    try:
        with closing(tried(connection, pipeline.target, pipeline.checks)) as trial:
            for one, found in zip(pipeline.checks, trial, strict=True):
                results.append(found)
                yield Tried(found, figure_of(one, found), advice(one, found))
    except (PenstockError, psycopg.Error) as error:
        with suppress(psycopg.Error):  # it must not hide the error that it records
            runs.finish_run(connection, run, "failed", str(error))
        raise
    table = find_table(connection, pipeline.target)
    if table is None:
        raise UsageError(f"The table {pipeline.target} is not there any more", code="42P01")
    failed = [one.name for one in results if one.outcome == FAILED]
    with connection.transaction():
        checks.write(connection, run, table, results)
        said = f"{pipeline.target}: {', '.join(failed)} failed" if failed else None
        runs.finish_run(connection, run, "failed" if failed else "succeeded", said)


def _same(target: str, table: str) -> bool:
    (schema, name), (wanted, named) = split_name(target), split_name(table)
    return name == named and (wanted is None or wanted == (schema or "public"))
