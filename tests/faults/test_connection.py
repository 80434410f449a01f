"""The server or the line to it fails in the middle: nothing changes, and nobody guesses."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

from penstock import TryAgain, load_table
from penstock.errors import PenstockError
from tests.faults.shop import REFUSED, SALES, SCHEMA, contents, nothing_left_behind, write_files
from tests.fixtures.postgres import Database, OwnCluster
from tests.fixtures.proxy import FaultProxy

LANDED = SALES - REFUSED


def prepare(url: str, folder: Path) -> Path:
    write_files(folder, checked=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA)
        connection.execute("insert into products select n, 'old' from generate_series(1, 20) n")
    return folder / "sales.csv"


def statuses(url: str) -> list[tuple[str]]:
    with psycopg.connect(url) as connection:
        return connection.execute("select status from penstock.runs order by started_at").fetchall()


@pytest.mark.parametrize("cut_after", [0, 1_000, 300_000, 900_000])
def test_a_connection_cut_within_copy_changes_nothing(
    database: Database, fault_proxy: FaultProxy, tmp_path: Path, cut_after: int
) -> None:
    path = prepare(database.url, tmp_path)
    fault_proxy.cut_after(cut_after, marker=b'COPY "public"."sales"')
    with pytest.raises(TryAgain, match="Nothing was changed"):
        load_table(fault_proxy.url, path, "sales", max_rejects=5)
    assert fault_proxy.fired["cut"] == 1
    assert fault_proxy.client_bytes > cut_after
    assert contents(database.url)[:2] == (20, 0)
    nothing_left_behind(database.url)
    again = load_table(fault_proxy.url, path, "sales", max_rejects=5)
    assert (again.inserted, again.quarantined) == (LANDED, REFUSED)
    # The first run could not write its end; the second one found that out, or it was told.
    assert [status for (status,) in statuses(database.url)][1] == "succeeded"
    assert ("running",) not in statuses(database.url)


def test_a_lost_reply_to_commit_is_looked_up_and_not_repeated(
    database: Database, fault_proxy: FaultProxy, tmp_path: Path
) -> None:
    path = prepare(database.url, tmp_path)
    # Of the COMMITs before it only that of the data comes after the COPY.
    armed = threading.Event()

    def on_step(step: str) -> None:
        if step == "commit":
            fault_proxy.swallow_reply_to(b"COMMIT")
            armed.set()

    result = load_table(fault_proxy.url, path, "sales", max_rejects=5, on_step=on_step)
    assert armed.is_set()
    assert fault_proxy.fired["swallow"] == 1
    assert result.inserted == LANDED
    assert contents(database.url)[1] == LANDED
    assert statuses(database.url) == [("succeeded",)]


def test_a_lost_reply_to_commit_without_a_ledger_is_said_to_be_unknown(
    database: Database, fault_proxy: FaultProxy, tmp_path: Path
) -> None:
    path = prepare(database.url, tmp_path)

    def on_step(step: str) -> None:
        if step == "commit":
            fault_proxy.swallow_reply_to(b"COMMIT")

    with pytest.raises(TryAgain, match="not known whether"):
        load_table(fault_proxy.url, path, "sales", max_rejects=5, ledger=False, on_step=on_step)
    assert fault_proxy.fired["swallow"] == 1
    assert contents(database.url)[1] == LANDED


@pytest.mark.parametrize("step", ["copy", "put back constraints", "rejects", "books"])
def test_a_terminated_backend_changes_nothing(
    database: Database, tmp_path: Path, step: str
) -> None:
    path = prepare(database.url, tmp_path)
    killed: list[int] = []

    def on_step(name: str) -> None:
        if name == step and not killed:
            with psycopg.connect(database.url, autocommit=True) as connection:
                rows = connection.execute(
                    "select pid, pg_terminate_backend(pid) from pg_stat_activity "
                    "where application_name = 'penstock' and datname = current_database()"
                ).fetchall()
            killed.extend(pid for pid, done in rows if done)

    with pytest.raises(TryAgain):
        load_table(database.url, path, "sales", max_rejects=5, on_step=on_step)
    assert killed, "the fault fired"
    assert contents(database.url)[:2] == (20, 0)
    nothing_left_behind(database.url)
    assert load_table(database.url, path, "sales", max_rejects=5).inserted == LANDED


def test_a_server_that_stops_at_once_within_copy_changes_nothing(
    own_cluster: OwnCluster, tmp_path: Path
) -> None:
    path = prepare(own_cluster.url, tmp_path)
    stopped: list[str] = []

    def on_step(name: str) -> None:
        if name == "copy":
            own_cluster.stop("immediate")
            stopped.append(name)

    with pytest.raises(PenstockError) as caught:
        load_table(own_cluster.url, path, "sales", max_rejects=5, on_step=on_step)
    assert stopped == ["copy"], "the fault fired"
    assert caught.value.exit_code == 75
    own_cluster.start()
    assert contents(own_cluster.url)[:2] == (20, 0)
    assert load_table(own_cluster.url, path, "sales", max_rejects=5).inserted == LANDED
    assert statuses(own_cluster.url) == [("interrupted",), ("succeeded",)]
