from __future__ import annotations

import psycopg
import pytest

from tests.fixtures.postgres import Database
from tests.fixtures.proxy import FaultProxy


def _count(database: Database) -> int:
    row = database.connect().execute("SELECT count(*) FROM t").fetchone()
    assert row is not None
    return int(row[0])


def _copy_many(connection: psycopg.Connection) -> None:
    with connection.cursor().copy("COPY t FROM STDIN") as copy:
        for _ in range(100_000):
            copy.write("12345\n" * 100)


@pytest.fixture
def table(database: Database) -> Database:
    database.connect().execute("CREATE TABLE t (n int)")
    return database


def test_a_proxy_without_faults_is_transparent(table: Database, fault_proxy: FaultProxy) -> None:
    with psycopg.connect(fault_proxy.url) as connection:
        with connection.cursor().copy("COPY t FROM STDIN") as copy:
            for number in range(10_000):
                copy.write_row((number,))
        rows = connection.execute("SELECT n FROM t WHERE n = %s", (9_999,)).fetchall()
    assert rows == [(9_999,)]
    assert _count(table) == 10_000
    assert fault_proxy.connections == 1
    assert fault_proxy.client_bytes > 40_000
    assert not fault_proxy.fired


def test_cut_after_ends_a_copy_and_nothing_of_it_stays(
    table: Database, fault_proxy: FaultProxy
) -> None:
    with psycopg.connect(fault_proxy.url) as connection:
        connection.execute("SELECT 1")
        before = fault_proxy.client_bytes
        fault_proxy.cut_after(5_000, marker=b"copy t")
        with pytest.raises(psycopg.OperationalError):
            _copy_many(connection)
        assert connection.closed
    statement = len(b"Q....COPY t FROM STDIN\0")
    assert fault_proxy.client_bytes - before == statement + 5_000
    assert fault_proxy.fired == {"cut": 1}
    assert _count(table) == 0


def test_a_cut_waits_for_its_marker_and_fires_once(
    table: Database, fault_proxy: FaultProxy
) -> None:
    fault_proxy.cut_after(0, marker=b"no such words")
    with psycopg.connect(fault_proxy.url, autocommit=True) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        fault_proxy.cut_after(0, marker=b"VALUES (2)")
        # Parse and Bind of the extended protocol: the cut falls between them.
        with pytest.raises(psycopg.OperationalError):
            connection.execute("INSERT INTO t SELECT %s FROM (VALUES (2)) v", (2,))
    with psycopg.connect(fault_proxy.url, autocommit=True) as connection:
        connection.execute("INSERT INTO t SELECT %s FROM (VALUES (2)) v", (2,))
    assert fault_proxy.fired == {"cut": 1}
    assert _count(table) == 2


def test_a_swallowed_commit_is_done_though_the_client_never_hears_of_it(
    table: Database, fault_proxy: FaultProxy
) -> None:
    fault_proxy.swallow_reply_to(b"COMMIT")
    with psycopg.connect(fault_proxy.url) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
        assert connection.closed
    assert fault_proxy.fired == {"swallow": 1}
    assert _count(table) == 1


def test_a_swallowed_reply_of_the_extended_protocol_is_done_too(
    table: Database, fault_proxy: FaultProxy
) -> None:
    fault_proxy.swallow_reply_to(b"insert into t")
    with (
        psycopg.connect(fault_proxy.url, autocommit=True) as connection,
        pytest.raises(psycopg.OperationalError),
    ):
        connection.execute("INSERT INTO t VALUES (%s)", (1,))
    assert fault_proxy.fired == {"swallow": 1}
    assert _count(table) == 1


def test_reset_ends_every_open_connection(database: Database, fault_proxy: FaultProxy) -> None:
    with psycopg.connect(fault_proxy.url) as one, psycopg.connect(fault_proxy.url) as two:
        for connection in (one, two):
            connection.execute("SELECT 1")
        fault_proxy.reset()
        for connection in (one, two):
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
    assert fault_proxy.fired == {"reset": 2}
    with psycopg.connect(fault_proxy.url) as again:
        assert again.execute("SELECT 1").fetchone() == (1,)


def test_a_request_to_cancel_goes_through(database: Database, fault_proxy: FaultProxy) -> None:
    with psycopg.connect(fault_proxy.url) as connection:
        # Nothing runs: the server ignores the request, but it must arrive and be closed.
        connection.cancel_safe(timeout=10)
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert fault_proxy.connections == 2
