"""The plans of docs/howto/query-plans.md are made again: the same nodes, partitions, conditions.

Times, rows and pages are not compared. `PENSTOCK_WRITE_DOCS=1` writes the plans into the page.
"""

from __future__ import annotations

import os
import re
import time
from itertools import pairwise

import psycopg

from tests.docs.test_pages import ROOT, blocks
from tests.fixtures.postgres import Database

PAGE = ROOT / "docs" / "howto" / "query-plans.md"
#: What a shown plan has of EXPLAIN's lines; the others differ between versions or say nothing here.
_KEPT = re.compile(
    r"->|^\w|Index Cond|Recheck Cond|Filter:|Rows Removed|Heap Fetches|Subplans Removed|Sort Key"
    r"|Buffers"
)
_COST = re.compile(r"  ?\(cost=\S+ rows=\d+ width=\d+\)")
_NUMBERS = re.compile(r"(?<![\w'-])[\d.]+(?![\w'-])|shared .*| \((never executed|actual[^)]*)\)")


def shortened(plan: list[str]) -> list[str]:
    """A plan as the page shows it: without costs, planning, and the pages of inner nodes."""
    lines, pages = [], False
    for line in plan:
        if line.startswith("Planning"):
            break
        if not _KEPT.search(line) or ("Buffers" in line and pages):
            continue
        pages = pages or "Buffers" in line
        lines.append(_COST.sub("", line).replace(" loops=1)", ")").rstrip())
    took = next(line for line in plan if line.startswith("Execution Time"))
    return [*lines, took]


def shape(lines: list[str]) -> list[str]:
    """What must be the same each time; whether a node was executed is part of it."""
    found = []
    for line in lines:
        executed = "" if "never executed" not in line else " never"
        found.append(_NUMBERS.sub("", line).rstrip() + executed)
    return found


#: Pages that a vacuum could not mark, as an autovacuum looked at them at the same time.
_UNMARKED = """
select count(*) from pg_class where relname like 'events_w_' and relallvisible < relpages
"""


def plan_of(database: Database, sql: str) -> list[str]:
    """Run a block in a session of its own; gives what EXPLAIN says, if it has one."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        result = connection.execute(sql.encode())
        while result.nextset():
            pass
        if sql.startswith("vacuum"):
            deadline = time.monotonic() + 30
            while connection.execute(_UNMARKED).fetchone() != (0,):
                assert time.monotonic() < deadline
                connection.execute("vacuum analyze events")
        return [row[0] for row in result] if "explain" in sql else []


def test_the_plans_of_the_page_are_those_of_the_server(database: Database) -> None:
    text = written = PAGE.read_text(encoding="utf-8")
    place, waiting = 0, list[str]()
    for block in blocks(PAGE):
        if block["kind"] == "sql":
            waiting = plan_of(database, block["text"])
        elif not block["kind"]:
            made, shown = shortened(waiting), block["text"].splitlines()
            if shape(made) != shape(shown):
                assert os.environ.get("PENSTOCK_WRITE_DOCS"), "\n".join(made)
                place = written.index(block[0], place)
                new = "\n".join(["```", *made, "```"])
                written = written[:place] + new + written[place + len(block[0]) :]
    if written != text:
        PAGE.write_text(written, encoding="utf-8")


def test_a_question_has_its_plan_behind_it() -> None:
    kinds = [
        "plan" if not block["kind"] else "explain" if "explain" in block["text"] else "other"
        for block in blocks(PAGE)
    ]
    explained = [after for one, after in pairwise(kinds) if one == "explain"]
    assert len(explained) >= 11
    assert set(explained) == {"plan"}
