"""Event pipelines against plain SQL and dlt, and their queue alone. Not for: the receiver."""

from __future__ import annotations

import base64
import json
import random
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.contestants import Contestant, script
from bench.server import HERE, OWNER, Server

#: Events that dlt is given: ten times as many take ten times as long.
DLT_EVENTS = 100_000
_TARGET = "shop_events"
#: No-op events and jobs of the queues.
_JOBS, _OTHERS = 100_000, 5_000
#: Signed bodies that are posted: as quickly as they are taken, and 500 a second.
_HOOKS, _STEADY = 10_000, 5_000
#: Events that are watched until they are in the target.
_SEEN = 3_000
#: Events of one claim where the queue alone is measured.
_FEW = 500
_KINDS = ("page_view", "product_view", "add_to_cart", "purchase")
_CONFIG = """
import os

env = {
    "warehouse": {"kind": "postgres", "url": os.environ["PENSTOCK_DSN"]},
    "partner": {"secret": "whsec_%s"}, "dev": {},
}
"""
_PIPELINE = """
import polars as pl

from penstock.events.pipeline import Pipeline
from penstock.events.sources import FileSource, WebhookSource

SHAPE = pl.Struct({
    "id": pl.String, "type": pl.String, "timestamp": pl.String,
    "user": pl.Struct({"id": pl.String}), "session_id": pl.String,
    "properties": pl.Struct(
        {"url": pl.String, "sku": pl.String, "price": pl.Float64, "qty": pl.Int64}
    ),
})


def many(events):
    one = events.select("_row", one=pl.col("raw").str.json_decode(SHAPE)).unnest("one")
    return one.unnest("properties").select(
        "_row", "session_id", "url", "sku", "price", "qty", event_id="id", event_type="type",
        user_id=pl.col("user").struct["id"], occurred_at="timestamp",
    )


def single(event):
    more = event["properties"]
    return {
        "event_id": event["id"], "user_id": event["user"]["id"], "event_type": event["type"],
        "occurred_at": event["timestamp"], "session_id": event["session_id"],
        "url": more["url"], "sku": more["sku"], "price": more["price"], "qty": more["qty"],
    }


def nothing(events):
    return events.select("_row").clear()


def declared(name, **how):
    source = FileSource(files="%(file)s", immutable=True)
    return Pipeline(name=name, target="shop_events", key="event_id", time="occurred_at",
                    sources=[source], **how)


frame = declared("frame", frame=many)
dicts = declared("dicts", transform=single)


def posted(event):
    at = "2026-01-05T00:00:00Z"
    return {"event_id": event["id"], "event_type": event["kind"], "occurred_at": at}


hooks = Pipeline(name="hooks", target="shop_events", key="event_id", time="occurred_at",
                 transform=posted,
                 sources=[WebhookSource(name="partner", secret="partner.secret")])
noop = declared("noop", frame=nothing, batch=%(few)s)
"""


def events(server: Server, folder: Path, rows: int) -> list[Contestant]:
    """The contestants of the group.

    Args:
        server: In whose folder the project is made.
        folder: Of the generated files.
        rows: Events.
    """
    file, small = events_file(folder, rows), events_file(folder, min(rows, DLT_EVENTS))
    made = project(server.folder / "events", file)
    plain = f"{shlex.quote(server.psql)} -X -q -v ON_ERROR_STOP=1 -f {HERE / 'plain_events.sql'}"

    def work(pipeline: str, what: str) -> tuple[str, ...]:
        return script("with_events", str(made), pipeline, what)

    stage = script("stage_events", str(made), "noop", str(_FEW), str(_JOBS))
    return [
        _one("events-sql", "plain SQL", ("/bin/sh", "-c", f"{plain} < {file}"), rows),
        _one(
            "events-frame", "file, staging, target: frame transform", work("frame", "ingest"), rows
        ),
        _one("events-dict", "the same, a transform of one event", work("dicts", "ingest"), rows),
        _one(
            "events-replay",
            "replay of all, nothing changed",
            work("frame", "replay"),
            rows,
            setup=work("frame", "ingest"),
        ),
        _one(
            "events-dlt",
            "dlt: merge by id, 100,000 events",
            script("dlt_events", str(small)),
            0,
            needs="dlt",
        ),
        _one(
            "events-queue",
            f"the queue alone: {_JOBS:,} no-op events, {_FEW} at once, two workers",
            work("noop", "work"),
            0,
            setup=stage,
        ),
        _one(
            "events-jobs",
            f"procrastinate: {_OTHERS:,} no-op jobs, 20 at once, without its start",
            script("with_procrastinate", str(_OTHERS)),
            0,
            needs="procrastinate",
            says_seconds=True,
        ),
        _one(
            "events-hooks",
            f"`penstock serve`: {_HOOKS:,} signed bodies of 1 KB, 32 connections",
            script("hooks_load", "penstock", str(made), str(_HOOKS), "32"),
            0,
            says_seconds=True,
        ),
        _one(
            "events-hooks-hand",
            "the same, one INSERT and commit a request, 8 connections to the database",
            script("hooks_load", "hand", str(made), str(_HOOKS), "32"),
            0,
            says_seconds=True,
        ),
        _one(
            "events-hooks-late",
            "`penstock serve` at 500 a second: 99 of 100 are answered within",
            script("hooks_load", "penstock", str(made), str(_STEADY), "32", "500"),
            0,
            says_seconds=True,
        ),
        _one(
            "events-visible",
            "accepted by `penstock serve` until seen in the target, 200 a second: 99 of 100 within",
            script("visible", str(made), str(_SEEN), "200"),
            0,
            says_seconds=True,
        ),
    ]


def project(folder: Path, file: Path) -> Path:
    """Make the project of the measurements; gives its folder.

    Args:
        folder: It is made.
        file: Of events, for the pipelines that read one.
    """
    (folder / "pipelines").mkdir(parents=True)
    secret = base64.b64encode(b"bench" * 8).decode()
    (folder / "config.py").write_text(_CONFIG % secret, encoding="utf-8")
    declared = _PIPELINE % {"file": file, "few": _FEW}
    (folder / "pipelines" / "shop.py").write_text(declared, encoding="utf-8")
    return folder


def events_file(folder: Path, rows: int) -> Path:
    """Where a file of so many events is; `generate_events` makes it."""
    return folder / f"events_{rows}.ndjson"


def generate_events(folder: Path, rows: int) -> None:
    """Write it, where it is not there: about 220 bytes an event, over 31 days."""
    path = events_file(folder, rows)
    if path.exists():
        return
    chance, begin = random.Random(7), datetime(2026, 1, 1, tzinfo=UTC)
    made = path.with_suffix(".part")
    with made.open("w", encoding="utf-8") as file:
        for number in range(rows):
            kind = chance.choice(_KINDS)
            moment = begin + timedelta(seconds=chance.randrange(31 * 86_400))
            one = {
                "id": f"evt_{number:012}",
                "type": kind,
                "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "user": {"id": f"user_{chance.randrange(50_000):06}"},
                "session_id": f"session_{number // 10:08}",
                "properties": {
                    "url": f"/products/{chance.randrange(1_000):04}",
                    "sku": f"SKU-{chance.randrange(1_000):05}",
                    "price": chance.randrange(100, 50_000) / 100,
                    "qty": chance.randrange(1, 5),
                },
            }
            file.write(json.dumps(one, separators=(",", ":")) + "\n")
    made.rename(path)


def _one(
    name: str,
    says: str,
    command: tuple[str, ...],
    rows: int,
    *,
    setup: tuple[str, ...] = (),
    needs: str = "",
    says_seconds: bool = False,
) -> Contestant:
    return Contestant(
        name=name,
        group="events",
        says=says,
        command=command,
        role=OWNER,
        rows=rows,
        table=_TARGET if rows else "",
        lands=rows,
        needs=needs,
        setup=setup,
        says_seconds=says_seconds,
    )
