"""The tutorial `events`, word for word: what is in the table at the end, and in the books.

`tests/docs` compares what its commands print; here the rows are compared with the events that the
page's own files hold, read by Python's json.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.postgres.embedded import Cluster
from tests.docs.test_pages import ROOT, Terminal, blocks
from tests.integration.cli.program import penstock

PAGE = ROOT / "docs" / "tutorial" / "events.md"
#: What the page makes of the kinds of events.
KINDS = {"page_view": "view", "product_view": "view", "purchase": "purchase"}


@pytest.fixture
def folder(session_folder: Path, tmp_path: Path) -> Iterator[Path]:
    made = session_folder / f"events-{tmp_path.name}"
    made.mkdir()
    yield made
    if (made / "shop").is_dir():
        penstock(made / "shop", "pg", "stop")
        Cluster.of_project(made / "shop").remove()


def told() -> list[dict[str, Any]]:
    """The events of the page's files and of its partner, in order, but for what is no JSON."""
    lines: list[str] = []
    for block in blocks(PAGE):
        if (block["name"] or "").startswith("share/"):
            lines += block["text"].splitlines()
        elif block["name"] == "partner.py":
            body = re.search(r"^BODY = (b'.*')$", block["text"], re.M)
            assert body is not None
            lines.append(ast.literal_eval(body[1]).decode())
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            assert line.startswith('{"id": "e6"')
    return found


def test_each_event_of_the_page_is_in_the_table_as_it_was_last_told(folder: Path) -> None:
    terminal = Terminal(folder, own_server=True, url="postgresql://unused@localhost:1/unused")
    shown = [one for block in blocks(PAGE) for one in terminal.add(block)]
    assert shown[-1].command == "penstock pg stop"
    assert len(list(terminal.run())) == len(shown)

    events = told()
    assert len(events) == 8
    last = {one["id"]: one for one in events}
    penstock(folder / "shop", "pg", "start")
    with psycopg.connect(str(Cluster.of_project(folder / "shop").url)) as connection:
        rows = connection.execute(
            "select event_id, type, occurred_at, user_id, quantity, source from events"
        ).fetchall()
        books = connection.execute(
            "select source, received, repeated, waiting, loaded, dropped, failed, dead"
            " from penstock.event_balance order by source"
        ).fetchall()
    assert sorted(rows) == sorted(
        (
            one["id"],
            KINDS[one["type"]],
            datetime.fromisoformat(one["at"]),
            (one["user"] or {"id": None})["id"],
            one.get("quantity"),
            "partner" if one["id"] == "p1" else "drops",
        )
        for one in last.values()
    )
    assert books == [("drops", 8, 0, 0, 6, 2, 0, 0), ("partner", 2, 1, 0, 1, 0, 0, 0)]
