"""The page for the morning: what is broken, what runs, what came of each flow and pipeline.

Not for: details, which have pages of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from starlette.responses import Response

from penstock.console.guarding import Asked
from penstock.console.rendering import bars, link
from penstock.events import letters
from penstock.ledger import quarantine
from penstock.model.checked import FAILED, WARNED
from penstock.model.table import TableName
from penstock.postgres.queries import queries

_SQL = queries("penstock.console.sql", "pages.sql")
_BAD = ("failed", "interrupted")


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that somebody should look at.

    Attributes:
        severity: `failed` or `warned`.
        what: In one line.
        where: The page with the details.
        since: When it was seen last; None: not known.
    """

    severity: str
    what: str
    where: str
    since: datetime | None = None


def home(asked: Asked) -> Response:
    """The page."""
    connection = asked.connection
    with connection.cursor(row_factory=dict_row) as cursor:
        flows = cursor.execute(_SQL["flows"]).fetchall()
        pipelines = cursor.execute(_SQL["pipelines"]).fetchall()
        running = cursor.execute(_SQL["running"]).fetchall()
    balances = letters.balances(connection)
    broken = [*_flows(flows), *_events(balances), *_checks(connection), *_rejects(connection)]
    series = [_series("flow", one) for one in flows]
    series += [_series("pipeline", one) for one in pipelines]
    return asked.page(
        "home.html",
        broken=sorted(broken, key=lambda one: one.severity != "failed"),
        running=running,
        series=series,
    )


def _series(kind: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """A flow's or a pipeline's line: its bars, and when it succeeded last."""
    outcomes = one["outcomes"]
    return {
        "kind": kind,
        "name": one["name"],
        "bars": bars(outcomes),
        "last": outcomes[0]["status"] if outcomes else "",
        "succeeded_at": one["succeeded_at"],
    }


def _flows(flows: list[dict[str, Any]]) -> Iterator[Broken]:
    for flow in flows:
        last = flow["outcomes"][0]
        if last["status"] in _BAD:
            said = (last["error"] or last["status"]).splitlines()[0]
            at = datetime.fromisoformat(last["started_at"])
            yield Broken("failed", f"{flow['name']}: {said}", link(f"/runs/{last['run_id']}"), at)


def _events(balances: list[letters.SourceBalance]) -> Iterator[Broken]:
    for one in balances:
        where = link("/events", pipeline=one.pipeline)
        lost = one.failed + one.dead
        if lost:
            events = "event" if lost == 1 else "events"
            said = f"{one.pipeline}/{one.source}: {lost:,} {events} not in the table"
            yield Broken("warned" if not one.dead else "failed", said, where)
        if not one.balanced:
            said = f"{one.pipeline}/{one.source}: the balance does not hold"
            yield Broken("failed", said, where)


def _checks(connection: psycopg.Connection[Any]) -> Iterator[Broken]:
    for _, table, name, outcome, figure, bound, at in connection.execute(_SQL["failed_checks"]):
        if outcome in (FAILED, WARNED):
            said = f"{table}: {name} {outcome}"
            told = f" ({figure:g}, bound {bound})" if figure is not None and bound else ""
            yield Broken(outcome, said + told, link("/quarantine", table=table), at)


def _rejects(connection: psycopg.Connection[Any]) -> Iterator[Broken]:
    told = {TableName(*row) for row in connection.execute(_SQL["of_pipelines"])}
    for table, found in quarantine.counts(connection, ("waiting",)).items():
        rows = sum(found.values())
        if rows and table not in told:
            noun = "row waits" if rows == 1 else "rows wait"
            said = f"{table}: {rows:,} {noun} in quarantine"
            yield Broken("warned", said, link("/quarantine", table=str(table)))
