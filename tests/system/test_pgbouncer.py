"""Workers, intake and replays behind PgBouncer in transaction mode, with fewer sessions than asked.

Debian's PgBouncer 1.18 knows no prepared statements of the protocol: none may be used, and no
session's state relied on.
"""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
import pytest

from penstock import load_table
from penstock.events import replay
from penstock.events.replay import Span
from penstock.events.worker import Worker, drain, loading_engine
from penstock.postgres.connection import connect
from tests.faults.event_driver import PIPELINE
from tests.fixtures.flows import until
from tests.fixtures.postgres import Database
from tests.integration.events.conftest import Shop

pytestmark = pytest.mark.system
PROGRAM = "/usr/sbin/pgbouncer"
SETTINGS = """
[databases]
{database} = host={host} port={server} dbname={database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = 2
max_client_conn = 50
logfile = {folder}/log.txt
pidfile = {folder}/pid
"""


@pytest.fixture
def shop(ledger_database: Database) -> Shop:
    return Shop(ledger_database.url)


@pytest.fixture
def pooled(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The database's URL, through the pooler."""
    parts = urlsplit(shop.url)
    folder = tmp_path_factory.mktemp("pgbouncer")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    database = parts.path.lstrip("/")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    (folder / "users.txt").write_text(f'"{user}" "{password}"\n')
    (folder / "settings.ini").write_text(
        SETTINGS.format(
            database=database,
            host=parts.hostname,
            server=parts.port,
            port=port,
            folder=folder,
        )
    )
    account = None
    if os.getuid() == 0:  # it refuses to run as root
        account = pwd.getpwnam("nobody").pw_uid
        for one in (folder, *folder.iterdir()):
            os.chown(one, account, -1)
        for one in folder.parents:
            if one == Path("/tmp"):  # noqa: S108  pytest's own folders are below
                break
            one.chmod(one.stat().st_mode | 0o011)
    process = subprocess.Popen([PROGRAM, "-q", str(folder / "settings.ini")], user=account)
    url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[0] + f"@127.0.0.1:{port}"))
    try:
        until(lambda: _answers(url), "PgBouncer answers")
        yield url
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def events(many: int) -> list[dict[str, object]]:
    return [
        {"id": f"e{n}", "kind": "view", "at": f"2026-01-{1 + n % 28:02}T00:00:00Z", "qty": n}
        for n in range(many)
    ]


def test_workers_share_two_sessions_and_do_everything_once(shop: Shop, pooled: str) -> None:
    with connect(pooled) as connection:  # the sessions are really shared
        row = connection.execute("select pg_backend_pid()").fetchone()
        assert row != (connection.info.backend_pid,)
    offered = events(60)
    offered[7]["qty"] = "many"
    for one in offered:
        shop.stage(one)
    done = [Worker(PIPELINE, pooled).run(once=True) for _ in range(2)]
    assert sum(one.events for one in done) == 60
    assert not any(one.troubles for one in done)
    assert sorted(row[2] for row in shop.held()) == [n for n in range(60) if n != 7]
    assert shop.balance() == {"files": (60, 0, 0, 59, 0, 1, 0)}
    before = shop.held("*, xmin")
    with connect(pooled) as control, loading_engine(pooled) as engine:
        would = replay.difference(control, engine, PIPELINE, Span())
        assert (would.unchanged, would.added, would.changed) == (59, 0, 0)
        assert replay.enqueue(control, PIPELINE, Span()) == 60
    assert drain(PIPELINE, pooled).loaded == 0
    assert shop.held("*, xmin") == before


def test_loads_go_through_the_pooler_too(shop: Shop, pooled: str, tmp_path: Path) -> None:
    shop.rows("create table goods (code text primary key, price numeric(8, 2))")
    path = tmp_path / "goods.csv"
    path.write_text("code,price\nA,1.50\nB,2\nC,x\n")
    first = load_table(pooled, path, max_rejects="all")
    assert (first.inserted, first.quarantined) == (2, 1)
    again = load_table(pooled, path, mode="upsert", max_rejects="all")
    assert (again.unchanged, again.quarantined) == (2, 1)
