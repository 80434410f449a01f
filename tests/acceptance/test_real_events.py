"""Real events by file and by API, twice each, where the data lies beside the repository.

The counts are those of EXPECTED.md beside the data.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from penstock.connectors.registry import connectors
from penstock.events.drops import take_files
from penstock.events.pipeline import Pipeline
from penstock.events.polling import take_pages
from penstock.events.sources import FileSource, HttpSource
from penstock.events.worker import drain
from tests.fixtures.api import Api, Asked
from tests.fixtures.postgres import Database
from tests.integration.events.conftest import Shop

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real data is not on this machine")
HOUR = DATA / "events_gharchive_hour" / "2015-01-01-12.json.gz"
TYPES = {
    "PushEvent": 4284, "WatchEvent": 994, "CreateEvent": 981, "IssueCommentEvent": 574,
    "PullRequestEvent": 367, "IssuesEvent": 361, "ForkEvent": 285, "DeleteEvent": 156,
    "GollumEvent": 123, "PullRequestReviewCommentEvent": 50, "CommitCommentEvent": 41,
    "ReleaseEvent": 30, "MemberEvent": 17, "PublicEvent": 10,
}  # fmt: skip


def github(event: dict[str, Any]) -> dict[str, Any]:
    """The transform of an event of GitHub."""
    return {
        "event_id": event["id"],
        "kind": event["type"],
        "occurred_at": event["created_at"],
    }


def test_an_hour_of_github_through_a_pipeline_twice(
    ledger_database: Database, tmp_path: Path
) -> None:
    shop = Shop(ledger_database.url)
    source = FileSource(files="in/*", options={"format": "ndjson"}, immutable=True)
    one = Pipeline(
        name="shop",
        target="events",
        key="event_id",
        time="occurred_at",
        transform=github,
        sources=[source],
    )
    shop.rows(
        "create table events_2015 partition of events for values from ('2015-01-01') "
        "to ('2016-01-01')"
    )
    content = HOUR.read_bytes()
    # The second file is another content, with the same events.
    files = {"a.json.gz": content, "b.json.gz": content + gzip.compress(b"\n")}
    for name, held in files.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(held)
        os.utime(path, (1, 1))
        taken = take_files(shop.url, one, source, {}, tmp_path)
        assert (taken.received, taken.problems) == (8273, [])
        assert taken.staged == (8273 if name == "a.json.gz" else 0)
        drain(one, shop.url)
        assert dict(shop.rows("select kind, count(*) from events group by 1")) == TYPES
    assert shop.balance() == {"files": (2 * 8273, 8273, 0, 8273, 0, 0, 0)}
    staged = [bytes(raw) for (raw,) in shop.rows("select raw from penstock.events order by pos")]
    assert staged == gzip.decompress(content).splitlines()


def test_objects_of_stripe_page_through_an_api_twice(
    ledger_database: Database, api: Api, tmp_path: Path
) -> None:
    shop = Shop(ledger_database.url)
    fixtures = json.loads((DATA / "events_stripe_fixtures" / "fixtures3.json").read_bytes())
    by_id: dict[str, Any] = {}
    for one in fixtures["resources"].values():
        if "id" in one:
            by_id.setdefault(one["id"], one)
    assert len(by_id) == 114
    objects = list(by_id.values())

    @api.on("GET", "/v1/objects")
    def listed(asked: Asked) -> Any:
        after = asked.params.get("starting_after")
        begin = list(by_id).index(after) + 1 if after else 0
        end = begin + int(asked.params["limit"])
        return {"object": "list", "data": objects[begin:end], "has_more": end < len(objects)}

    page = {
        "kind": "cursor", "param": "starting_after", "next": "data.-1.id", "more": "has_more",
        "size_param": "limit", "size": 10,
    }  # fmt: skip
    module = {"path": "/v1/objects", "records": "data", "page": page}
    env = {"stripe": {"kind": "rest", "base_url": api.url, "modules": {"objects": module}}}
    source = HttpSource(connector="stripe", module="objects")
    pipeline = Pipeline(
        name="shop", target="events", key="event_id", transform=github, sources=[source]
    )
    for staged in (114, 0):
        taken = take_pages(shop.url, pipeline, source, connectors(env, tmp_path))
        assert (taken.received, taken.staged, taken.problems) == (114, staged, [])
        assert taken.pages == 12
    raws = shop.rows("select raw from penstock.events order by chunk, pos")
    assert [json.loads(bytes(raw)) for (raw,) in raws] == objects
