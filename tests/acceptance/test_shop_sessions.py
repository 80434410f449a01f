"""The daily flow of `examples/shop_events`: sessions by gaps, funnels, first purchases, returns."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.ledger import install
from penstock.postgres.embedded import Cluster
from tests.acceptance.examples import copied, rows, run

_COLUMNS = (
    "day::text, user_id, to_char(started_at at time zone 'UTC', 'HH24:MI:SS'), events, "
    "purchases, funnel, returning_user, first_purchase"
)

#: What the intake needs, and this flow does not.
_UNUSED = """
API_URL=https://localhost
API_TOKEN=none
S3_URL=http://localhost
PARTNER_SECRET=whsec_bm9uZQ==
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The example with its tables, and no events."""
    with copied("shop_events", tmp_path_factory.mktemp("shop")) as copy:
        (copy / ".env").write_text(_UNUSED, encoding="utf-8")
        words = [sys.executable, "-m", "penstock", "pg", "start"]
        subprocess.run(words, cwd=copy, check=True, capture_output=True)
        url = str(Cluster.of_project(copy).url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute((copy / "sql" / "create_tables.sql").read_bytes())
            install.ensure(connection, url)
        yield copy


def happened(project: Path, *events: tuple[str, str, str], ago: timedelta = timedelta()) -> None:
    """Events of users: user, time in January, type; worked on so long ago."""
    done = datetime.now(UTC) - ago
    with psycopg.connect(str(Cluster.of_project(project).url)) as connection:
        for number, (user, at, kind) in enumerate(events):
            count, price = (2, "10.00") if kind == "purchase" else (None, None)
            connection.execute(
                "insert into events values (%s, 1, %s, %s, %s, null, %s, %s, 'test', now(), %s, "
                "gen_random_uuid())",
                [f"{user}{at}{number}", kind, f"2026-01-{at}Z", user, count, price, done],
            )


def sessions(project: Path) -> list[Any]:
    return rows(project, f"select {_COLUMNS} from user_sessions order by started_at, user_id")


def test_sessions_end_by_gaps_go_on_past_midnight_and_are_made_anew_by_late_events(
    project: Path,
) -> None:
    happened(
        project,
        ("ann", "05T10:00:00", "page_view"),
        ("ann", "05T10:29:59", "product_view"),
        ("ann", "05T10:59:59", "cart_add"),  # half an hour later: another session
        ("bob", "05T23:50:00", "product_view"),
        ("bob", "06T00:10:00", "cart_add"),
        ("bob", "06T00:30:00", "purchase"),
        ("bob", "06T09:00:00", "page_view"),
        ("bob", "07T09:00:00", "purchase"),
        ago=timedelta(hours=5),
    )
    run(project, "main.py")
    expected = [
        ("2026-01-05", "ann", "10:00:00", 2, 0, "product", False, False),
        ("2026-01-05", "ann", "10:59:59", 1, 0, "cart", True, False),
        ("2026-01-05", "bob", "23:50:00", 3, 1, "purchase", False, True),
        ("2026-01-06", "bob", "09:00:00", 1, 0, "visit", True, False),
        ("2026-01-07", "bob", "09:00:00", 1, 1, "purchase", True, False),
    ]
    assert sessions(project) == expected
    made = rows(project, "select max(xmin::text::bigint) from user_sessions")
    run(project, "main.py")
    assert sessions(project) == expected
    assert rows(project, "select max(xmin::text::bigint) from user_sessions") != made, (
        "what came in the last hour before is looked at again"
    )
    happened(
        project,
        ("bob", "04T08:00:00", "purchase"),  # so that the one of the 5th is not his first
        ("cat", "07T12:00:00", "page_view"),
    )
    run(project, "main.py")
    found = {(row[1], row[0], row[2]): row[3:] for row in sessions(project)}
    assert found["bob", "2026-01-04", "08:00:00"] == (1, 1, "purchase", False, True)
    assert found["bob", "2026-01-05", "23:50:00"] == (3, 1, "purchase", True, False)
    assert found["cat", "2026-01-07", "12:00:00"] == (1, 0, "visit", False, False)
    assert found["ann", "2026-01-05", "10:00:00"] == (2, 0, "product", False, False)
    assert len(found) == 7
    assert rows(project, "select sum(amount) from user_sessions")[0][0] == 60
    assert rows(project, "select bool_and(balanced) from penstock.balance") == [(True,)]
