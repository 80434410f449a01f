"""No room on the server's disk, for events on their way: none is refused or has to answer for it.

A trigger raises what PostgreSQL raises then (53100), or lets it really run into a limit of
temporary files (53400): what is shown is how Penstock takes these errors. A disk that is really
full is in `tests/system/test_disk_full.py`, as a small file system needs root.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest

from penstock.events.worker import Worker
from tests.faults.event_driver import PIPELINE
from tests.faults.test_webhook_receiver import send_all
from tests.faults.test_workers import LEFT, MANY, check, events
from tests.fixtures.flows import until
from tests.fixtures.postgres import Database
from tests.fixtures.webhooks import receiving
from tests.integration.events.conftest import Shop

ROOM = """
create schema disk;
create sequence disk.fired;
create table disk.room (left_over boolean);
insert into disk.room values (false);
create function disk.full() returns trigger language plpgsql
set work_mem = '64kB' set temp_file_limit = '64kB' as $$
begin
    if not (select left_over from disk.room) then
        perform nextval('disk.fired');
        {fault};
    end if;
    return new;
end $$;
create trigger a_full_disk before insert on {table} for each row execute function disk.full();
"""
FAULTS = {
    "disk": "raise exception 'could not extend file: No space left on device' "
    "using errcode = '53100'",
    "temporary files": "perform count(*) from "
    "(select n from generate_series(1, 50000) n order by -n offset 10) one",
}
FIRED = "select case when is_called then last_value else 0 end from disk.fired"


def make_full(shop: Shop, table: str, fault: str) -> None:
    shop.rows(ROOM.format(fault=FAULTS[fault], table=table))


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("events", "disk"),
        ("events", "temporary files"),
        ("penstock.event_keys", "disk"),
        ("penstock.rejects", "disk"),
    ],
)
def test_a_worker_without_room_blames_no_event_and_goes_on_by_itself(
    ledger_database: Database, table: str, fault: str
) -> None:
    shop = Shop(ledger_database.url)
    offered: list[dict[str, Any]] = []
    for turn in range(3):
        more = events(turn)
        offered += more
        shop.stage(*more)
    make_full(shop, table, fault)
    stop = threading.Event()
    worker = Worker(replace(PIPELINE, batch=MANY), shop.url, stop=stop)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    until(partial(_troubles, worker, 2), "it has tried more than once")
    assert shop.rows(FIRED)[0][0] >= 2
    wanted = "No space left on device" if fault == "disk" else "temporary file size exceeds"
    assert all(wanted in said for said in worker.worked.troubles)
    assert shop.balance() == {"files": (len(offered), 0, len(offered), 0, 0, 0, 0)}
    assert shop.held() == []
    assert shop.rows("select count(*) from penstock.rejects where status <> 'void'") == [(0,)]
    shop.rows("update disk.room set left_over = true")
    until(lambda: shop.rows(LEFT) == [(0,)], "all is done")
    stop.set()
    thread.join()
    check(shop, offered)
    assert shop.rows("select max(attempts), max(status) from penstock.batches") == [
        (1, "succeeded")
    ]


def _troubles(worker: Worker, least: int) -> bool:
    return len(worker.worked.troubles) >= least


@pytest.mark.parametrize("table", ["penstock.events", "penstock.event_ids"])
def test_what_staging_has_no_room_for_is_not_accepted(
    ledger_database: Database, table: str
) -> None:
    shop = Shop(ledger_database.url)
    offered = events(0)
    shop.stage(*offered[:10])
    make_full(shop, table, "disk")
    with pytest.raises(psycopg.errors.DiskFull):
        shop.stage(*offered)
    with receiving(shop.url) as hooks:
        numbers = range(12)
        assert set(send_all(hooks.port, numbers).values()) == {503}
        assert shop.rows(FIRED)[0][0] >= 2
        assert len(hooks.said) == 1, "it is told once"
        assert "No space left on device" in hooks.said[0]
        assert shop.rows("select count(*) from penstock.events") == [(10,)]
        shop.rows("update disk.room set left_over = true")
        assert set(send_all(hooks.port, numbers).values()) == {200}
    staged = shop.stage(*offered)
    assert (staged.staged, staged.repeated) == (len(offered) - 10, 10)
    assert shop.balance() == {"files": (len(offered) + 10, 10, len(offered), 0, 0, 0, 0)}
    assert shop.rows(
        "select received, waiting from penstock.event_balance where source = 'partner'"
    ) == [(12, 12)]
