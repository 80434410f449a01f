"""More workers than there are connections (53300); and workers with too little memory.

Connections are limited by the role, which the server refuses as it does above `max_connections`.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from penstock.errors import TryAgain
from penstock.events import letters
from penstock.events.crew import Crew, Order
from penstock.events.worker import Worker
from penstock.postgres.connection import connect
from tests.faults.event_driver import PIPELINE
from tests.faults.test_workers import CONFIG, LEFT, MANY, POISON, check, events, held
from tests.fixtures.flows import until
from tests.fixtures.postgres import Database
from tests.integration.events.conftest import Shop

#: Connections of the role; a worker needs two, and a third one while it works.
CONNECTIONS = 5
WORKERS = 8


def test_workers_that_get_no_connection_wait_and_burn_no_attempt(
    ledger_database: Database,
) -> None:
    shop = Shop(ledger_database.url)
    role = ledger_database.role("crowd")
    with ledger_database.connect() as connection:
        name = psycopg.sql.Identifier(role.name)
        for statement in (
            "alter role {} connection limit " + str(CONNECTIONS),
            "grant all on schema penstock, public to {}",
            "grant all on all tables in schema penstock, public to {}",
            "grant all on all sequences in schema penstock, public to {}",
            "grant execute on all functions in schema penstock to {}",
        ):
            connection.execute(psycopg.sql.SQL(statement).format(name))
    offered: list[dict[str, Any]] = []
    for turn in range(12):
        more = events(turn)
        offered += more
        shop.stage(*more)
    stop, refused = threading.Event(), list[str]()
    pipeline = replace(PIPELINE, batch=MANY)
    workers = [Worker(pipeline, role.url, stop=stop) for _ in range(WORKERS)]

    def work(one: Worker) -> None:
        while not stop.is_set():
            try:
                one.run()
            except TryAgain as error:  # at its beginning: whoever started it waits, and tries again
                refused.append(error.message)
                stop.wait(0.2)

    threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in workers]
    for thread in threads:
        thread.start()
    until(lambda: shop.rows(LEFT) == [(0,)], "all is done")
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    told = [*refused, *(said for one in workers for said in one.worked.troubles)]
    assert any("too many connections for role" in said for said in told)
    assert len(told) < 40 * WORKERS, "they do not storm the server"
    check(shop, offered)
    assert shop.rows("select max(attempts), max(status) from penstock.batches") == [
        (1, "succeeded")
    ]


HUNGRY = POISON.replace("import os\n", "import os, resource\nfrom pathlib import Path\n").replace(
    "        os._exit(139)\n",
    "        used = int(Path('/proc/self/statm').read_text().split()[0]) * 4096\n"
    "        resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))\n"
    "        Path('fired').touch()\n"
    "        try:\n"
    "            bytearray(1 << 30)\n"
    "        finally:\n"
    "            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)\n",
)


def worked_on(database: Database, folder: Path, pipelines: str) -> tuple[Shop, Crew]:
    """40 events, of which the one at 11 is more than a worker can hold: all others are held."""
    shop = Shop(database.url)
    (folder / "pipelines").mkdir()
    (folder / "config.py").write_text(CONFIG.format(url=shop.url), "utf-8")
    (folder / "pipelines" / "shop.py").write_text(pipelines, "utf-8")
    offered = events(0, 40)
    offered[11]["kind"] = "poison"
    shop.stage(*offered)
    crew = Crew(
        Order(folder=folder, env=None, pipelines={"shop": shop.url}, processes=1, once=True)
    )
    crew.run()
    assert crew.error is None
    sound = [one for one in offered if one["kind"] != "poison"]
    assert held(shop) == sorted((one["id"], one["qty"]) for one in sound if one["qty"] != "many")
    assert shop.balance() == {"files": (40, 0, 0, 38, 0, 2, 0)}
    return shop, crew


def test_an_event_for_which_there_is_no_memory_fails_alone(
    ledger_database: Database, tmp_path: Path
) -> None:
    shop, crew = worked_on(ledger_database, tmp_path, HUNGRY)
    assert crew.restarts == 0
    assert (tmp_path / "fired").exists()
    with connect(shop.url) as connection:
        (letter,) = letters.letters(connection, code="transform")
    assert letter.place == "1/11"
    assert letter.reason.startswith("MemoryError")


HUGE = (
    POISON.replace("import os\n", "import os, resource\n")
    .replace(
        "def row_of(one):\n",
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 30, resource.RLIM_INFINITY))\n\n\n"
        "def row_of(one):\n",
    )
    .replace("        os._exit(139)\n", "        one['id'] += 'x' * (4 << 30)\n")
)


def test_workers_of_little_memory_lose_only_what_does_not_fit(
    ledger_database: Database, tmp_path: Path
) -> None:
    worked_on(ledger_database, tmp_path, HUGE)
