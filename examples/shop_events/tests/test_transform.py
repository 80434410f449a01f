"""How a transform is tested: events in, rows out; no database, no server."""

# ruff: noqa: D103, S101  tests assert, and their names say what

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from penstock.events.testing import check_pure

sys.path.insert(0, str(Path(__file__).parents[1]))
from pipelines.shop_events import row

PURCHASE = {"id": "e1", "type": "purchase", "at": "2026-01-05T10:00:00Z", "quantity": 2}


def test_a_purchase_is_one_row_of_version_1() -> None:
    (made,) = check_pure(row, [PURCHASE])
    assert (made["event_id"], made["version"], made["quantity"]) == ("e1", 1, 2)


def test_what_the_partner_wraps_is_the_same_row() -> None:
    plain, wrapped = check_pure(row, [PURCHASE, {"type": "event.created", "data": PURCHASE}])
    assert wrapped == plain


def test_a_heartbeat_is_no_row() -> None:
    assert check_pure(row, [{"type": "heartbeat", "id": "h1"}]) == []


def test_an_unknown_type_is_an_error_of_its_event() -> None:
    with pytest.raises(ValueError, match="'refund' is no type of event"):
        row({"id": "e2", "type": "refund"})
