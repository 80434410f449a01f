"""The disk under the table is full: no row is blamed, nothing changes, and it goes on afterwards.

Needs root, for a small file system of its own.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from penstock import TryAgain, load_table
from tests.faults.shop import REFUSED, SALES, SCHEMA, contents, nothing_left_behind, write_files
from tests.fixtures.postgres import OwnCluster

pytestmark = pytest.mark.system
#: Holds the empty tables, and some tens of thousands of rows less than the load brings.
SIZE = "1m"


@pytest.fixture
def small_disk(own_cluster: OwnCluster, session_folder: Path) -> Iterator[Path]:
    place = session_folder / "small-disk"
    place.mkdir()
    mount = [str(shutil.which("mount")), "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    subprocess.run(mount, check=True)
    try:
        space = place / "space"
        space.mkdir(mode=0o700)
        owner = own_cluster.cluster.status().data
        assert owner is not None
        shutil.chown(space, owner.stat().st_uid, owner.stat().st_gid)
        yield space
    finally:
        own_cluster.stop("immediate")
        subprocess.run([str(shutil.which("umount")), str(place)], check=True)
        own_cluster.cluster.remove()  # the next one who needs it makes it anew: a disk is missing


def test_a_full_disk_refuses_no_row_and_the_next_load_goes_on(
    own_cluster: OwnCluster, small_disk: Path, tmp_path: Path
) -> None:
    url = own_cluster.url
    write_files(tmp_path, checked=False)
    with psycopg.connect(url, autocommit=True) as connection:
        make = sql.SQL("create tablespace small location {}")
        connection.execute(make.format(sql.Literal(str(small_disk))))
        connection.execute(SCHEMA)
        connection.execute("insert into products select n, 'old' from generate_series(1, 20) n")
        connection.execute("alter table sales set tablespace small")
    with pytest.raises(TryAgain, match="No space left on device") as caught:
        load_table(url, tmp_path / "sales.csv", "sales", max_rejects=5)
    assert caught.value.code == "53100"
    assert contents(url)[:2] == (20, 0)
    nothing_left_behind(url)
    with psycopg.connect(url, autocommit=True) as connection:
        kept = connection.execute(
            "select (select count(*) from penstock.rejects), "
            "(select status from penstock.runs order by started_at desc limit 1)"
        ).fetchone()
        # What was refused before the disk was full is kept void; no other row is blamed.
        assert kept is not None
        assert kept[0] <= REFUSED
        assert kept[1] == "failed"
        connection.execute("alter table sales set tablespace pg_default")
    again = load_table(url, tmp_path / "sales.csv", "sales", max_rejects=5)
    assert (again.inserted, again.quarantined) == (SALES - REFUSED, REFUSED)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("drop tablespace small")
