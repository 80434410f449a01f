"""Deliveries are staged alike, whether they come one by one or as a frame."""

from __future__ import annotations

from typing import Any

import polars as pl
import psycopg
import pytest

from penstock.events.staging import Delivery, Staged, provide_days, source_id, stage
from tests.fixtures.postgres import Database

#: Ids that sort otherwise by locale, by letters and by bytes; one comes twice.
CAME = [("é", b"1"), ("z", b"\x00\xff"), ("Z", b""), ("z", b"2"), ("\U0001f600", b"3"), ("�", b"4")]


def staged(
    connection: psycopg.Connection[Any], number: int, came: list[tuple[str, bytes]], *, frame: bool
) -> Staged:
    with connection.transaction():
        if frame:
            schema = {"delivery_id": pl.String(), "raw": pl.Binary()}
            return stage(connection, number, pl.DataFrame(came, schema=schema, orient="row"))
        return stage(connection, number, [Delivery(*one) for one in came])


@pytest.mark.parametrize("first_as_frame", [True, False])
@pytest.mark.parametrize("then_as_frame", [True, False])
def test_they_are_staged_alike(
    ledger_database: Database, *, first_as_frame: bool, then_as_frame: bool
) -> None:
    with ledger_database.connect() as connection:
        provide_days(connection)
        number = source_id(connection, "shop", "partner")
        first = staged(connection, number, CAME[:3], frame=first_as_frame)
        then = staged(connection, number, CAME, frame=then_as_frame)
        assert (first.staged, first.repeated) == (3, 0)
        assert (then.staged, then.repeated) == (2, 4)
        assert staged(connection, number, CAME, frame=then_as_frame) == Staged(0, 6, None)
        assert staged(connection, number, [], frame=then_as_frame) == Staged(0, 0, None)
        found = connection.execute(
            "select e.delivery_id, e.raw, e.pos, i.pos from penstock.events e "
            "join penstock.event_ids i using (source_id, delivery_id, chunk) order by chunk, e.pos"
        ).fetchall()
    assert found == [
        ("é", b"1", 0, 0),
        ("z", b"\x00\xff", 1, 1),
        ("Z", b"", 2, 2),
        ("\U0001f600", b"3", 0, 0),
        ("�", b"4", 1, 1),
    ]
