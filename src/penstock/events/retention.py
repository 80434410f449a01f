"""Drops days of staging that nobody needs any more. Not for: the archive (`archive`).

A part of staging holds a day of all pipelines: it goes when all of them agree. What says which
events there were stays: their ids, commits and counts, and what became of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg

from penstock.errors import TargetError
from penstock.events.pipeline import Pipeline
from penstock.postgres.connection import connect, translated
from penstock.postgres.queries import queries

_SQL = queries("penstock.events.sql", "retention.sql")


@dataclass(slots=True)
class Day:
    """A day of staging.

    Attributes:
        day: In UTC.
        events: That were staged on it.
        due: Some pipeline does not keep it any longer.
        dropped: It is gone from staging.
        held: Why it is not, for each source that keeps it.
    """

    day: date
    events: int = 0
    due: bool = False
    dropped: bool = False
    held: list[str] = field(default_factory=list)


def purge(
    dsn: str,
    pipelines: Mapping[str, Pipeline],
    *,
    only: str | None = None,
    days: int | None = None,
) -> list[Day]:
    """Drop the days of a database's staging that all of its pipelines agree on.

    A pipeline agrees when a day is older than its `days`, its events are in its archive (where it
    has one), and none of them waits for a worker or has failed without being discarded.

    Args:
        dsn: The database with the ledger.
        pipelines: Those that are declared with it, by name.
        only: Only days that have events of this pipeline.
        days: Instead of what that pipeline, or all of them, declare.

    Returns:
        The days that are over, the oldest first.

    Raises:
        TargetError: The role may not drop days: only the ledger's owner, or who is granted it.
        TryAgain: The database does not answer, or somebody reads a day for long.
    """
    limits = {
        name: one.days if days is None or only not in (None, name) else days
        for name, one in pipelines.items()
    }
    try:
        with connect(dsn) as connection:
            _must_be_allowed(connection)
            found = []
            for day, age in connection.execute(_SQL["days"]).fetchall():
                sources = connection.execute(_SQL["sources_of"], {"day": day}).fetchall()
                if only is not None and only not in (name for name, *_ in sources):
                    continue
                one = Day(day)
                for name, *counted in sources:
                    _ask(one, age, pipelines.get(name), limits.get(name), (name, *counted))
                _drop(connection, one)
                found.append(one)
            return found
    except psycopg.Error as error:
        raise translated(error, "purge events") from None


def _ask(
    one: Day, age: int, pipeline: Pipeline | None, limit: int | None, source: tuple[Any, ...]
) -> None:
    """Whether a source still needs a day that was so many days ago."""
    name, called, events, missing = source
    one.events += int(events)
    if pipeline is None:
        one.held.append(f"{name}/{called}: the project declares no such pipeline")
    elif limit is None:
        one.held.append(f"{name}/{called}: kept for ever")
    elif age <= limit:
        one.held.append(f"{name}/{called}: kept for {limit} {'day' if limit == 1 else 'days'}")
    else:
        one.due = True
        if pipeline.archive is not None and missing:
            one.held.append(
                f"{name}/{called}: {missing:,} events are not archived "
                f"(penstock archive write {name})"
            )


def _drop(connection: psycopg.Connection[Any], one: Day) -> None:
    """Drop a day, unless a source needs it, or events of it wait."""
    of = {"day": one.day}
    for name, source, waiting, undecided in connection.execute(_SQL["open_of"], of).fetchall():
        if waiting:
            one.held.append(f"{name}/{source}: {waiting:,} events wait (penstock work {name})")
        if undecided:
            one.held.append(
                f"{name}/{source}: {undecided:,} events failed: requeue or discard them "
                f"(penstock events list {name})"
            )
    if not one.held:
        row = connection.execute(_SQL["drop_day"], of).fetchone()
        one.dropped = row is not None and bool(row[0])


def _must_be_allowed(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute(_SQL["may_drop"]).fetchone()
    if row is not None and not row[0]:
        raise TargetError(
            f'This role may not drop days of staging. Purge as "{row[1]}", which owns them, or as '
            "a member of it; or let it grant execute on function "
            "penstock.drop_event_day(date).",
            code="42501",
        )
