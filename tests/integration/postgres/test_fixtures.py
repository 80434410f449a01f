"""The fixtures themselves: what other tests rely on without saying so."""

from __future__ import annotations

import psycopg
import pytest
import sqlalchemy

from tests.fixtures.postgres import Database, OwnCluster
from tests.fixtures.server import Server


def _one(connection: psycopg.Connection, query: psycopg.abc.Query) -> object:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_gets_an_empty_database(database: Database, turn: int) -> None:
    connection = database.connect()
    made_here = "SELECT count(*) FROM pg_class WHERE oid >= 16384"
    assert _one(connection, made_here) == 0
    connection.execute("CREATE TABLE left_behind (n int)")


def test_a_database_is_dropped_with_its_roles(
    postgres_server: Server,
) -> None:
    database = Database(postgres_server)
    role = database.role("Reader", DateStyle="German, DMY")
    with database.engine(role).connect() as connection:
        shown = connection.execute(sqlalchemy.text("SELECT current_user, DATE '2024-02-01'::text"))
        assert shown.one() == (role.name, "01.02.2024")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        database.connect(role).execute("CREATE TABLE public.mine (n int)")
    database.drop()
    with psycopg.connect(postgres_server.url) as maintenance:
        left = maintenance.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s"
            " UNION ALL SELECT 1 FROM pg_roles WHERE rolname = %s",
            (database.name, role.name),
        )
        assert left.fetchall() == []


def test_the_own_cluster_is_safe_and_survives_a_kill(own_cluster: OwnCluster) -> None:
    with psycopg.connect(own_cluster.url, autocommit=True) as connection:
        assert _one(connection, "SHOW fsync") == "on"
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    own_cluster.kill_postmaster()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(own_cluster.url)
    own_cluster.start()
    own_cluster.stop("immediate")
    own_cluster.start()
    with psycopg.connect(own_cluster.url) as connection:
        assert _one(connection, "SELECT n FROM kept") == 1
