"""Runs: the list, and one of them with its jobs, loads and balances. Not for: starting them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import dict_row
from starlette.responses import Response

from penstock.console.guarding import Asked
from penstock.errors import UsageError
from penstock.ledger import history
from penstock.ledger.history import PastLoad, PastRun
from penstock.postgres.queries import queries

_SQL = queries("penstock.console.sql", "pages.sql")
#: Runs on one page.
_PAGE = 50
STATUSES = ("running", "succeeded", "failed", "interrupted", "dry_run")
#: Units of the timeline's width.
_WIDE = 1_000


def runs(asked: Asked) -> Response:
    """The list, filtered by status, kind and text; the newest first, page by page."""
    given = {name: asked.text(name) or None for name in ("status", "kind", "text")}
    if given["status"] not in (None, *STATUSES):
        raise UsageError(f"There is no status {given['status']}.")
    before = _moment(asked.text("before"))
    with asked.connection.cursor(row_factory=dict_row) as cursor:
        of = given | {"before": before, "limit": _PAGE + 1}
        found = cursor.execute(_SQL["runs"], of).fetchall()
    kinds = [name for (name,) in asked.connection.execute(_SQL["kinds"])]
    older = found[_PAGE - 1]["started_at"].isoformat() if len(found) > _PAGE else None
    return asked.page(
        "runs.html",
        runs=found[:_PAGE],
        older=older,
        kinds=kinds,
        statuses=STATUSES,
        given=given,
        before=before,
    )


def run(asked: Asked) -> Response:
    """One run: jobs as a timeline, loads with their balance, checks, what was refused and why."""
    past = history.run(asked.connection, asked.request.path_params["run_id"])
    loads = history.loads(asked.connection, past)
    with asked.connection.cursor(row_factory=dict_row) as cursor:
        of = {"run_id": past.run_id}
        jobs = cursor.execute(_SQL["jobs"], of).fetchall()
        checks = cursor.execute(_SQL["checks"], of).fetchall()
    return asked.page(
        "run.html",
        run=past,
        loads=loads,
        jobs=_placed(past, jobs),
        checks=checks,
        sums=_sums(loads),
    )


def _placed(past: PastRun, jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Jobs with their place on the timeline, in units of its width."""
    begin = past.started_at
    end = past.finished_at or datetime.now(UTC)
    whole = max((end - begin).total_seconds(), 0.001)
    made = []
    for job in jobs:
        start = max(0.0, (job["started_at"] - begin).total_seconds()) / whole
        wide = min(1.0 - start, job["seconds"] / whole)
        place = {"x": round(_WIDE * start, 1), "width": max(4.0, round(_WIDE * wide, 1))}
        made.append({**job, **place})
    return made


def _sums(loads: Sequence[PastLoad]) -> dict[str, int]:
    """What a run's loads did with their rows: the balance equation's terms; of those that held."""
    held = [one for one in loads if one.status == "succeeded"]
    names = ("read", "inserted", "updated", "unchanged", "ignored", "filtered", "quarantined")
    return {name: sum(one.counts.get(name, 0) for one in held) for name in names}


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f'"{text}" is no moment.') from None
