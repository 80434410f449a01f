"""One PostgreSQL server that belongs to a folder: made at the first start, kept until removed.

It outlives the process that starts it, listens on 127.0.0.1 and on a unix socket only, asks for
a password (SCRAM), and keeps data checksums. Not for production data, and not for a PostgreSQL
that is already there: that one is reached by its DSN.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shlex
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

import psycopg
from psycopg import sql

from penstock.errors import TargetError, TryAgain, UsageError
from penstock.postgres.embedded.account import (
    Account,
    can_enter,
    leave_to_owner,
    run,
    server_account,
)
from penstock.postgres.embedded.binaries import Binaries, find_binaries
from penstock.postgres.embedded.data import SUPERUSER, make_data
from penstock.postgres.embedded.listening import HOST, answers, free_port, is_free, listen_options
from penstock.postgres.embedded.memory import Memory, not_ours, read_memory, write_memory
from penstock.postgres.embedded.places import check_place, own_folder, private_place, socket_folder
from penstock.postgres.embedded.postmaster import Postmaster, find_postmaster, is_alive
from penstock.postgres.embedded.status import Status

DATABASE = "penstock"

StopMode = Literal["smart", "fast", "immediate"]
# https://www.postgresql.org/docs/current/server-shutdown.html
_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_WAIT_SECONDS = 60.0
# A killed server stays a zombie for up to 1.5 s, its orphaned backends a little longer; until
# then a new one refuses to start.
_RETRY_SECONDS = 10.0
_PASSING = ("already exists", "still in use", "already in use", "could not create any TCP/IP")
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class Cluster:
    """The embedded PostgreSQL of one folder; the database is `penstock`, the superuser `postgres`.

    The folder holds `cluster.json` (0600: password, port), `server.log` and normally the data.
    Making the object touches nothing.

    Args:
        folder: The folder of the cluster itself; see `of_project`.
        major: The PostgreSQL version of a cluster that is yet to be made; default the newest.
    """

    def __init__(self, folder: Path, *, major: int | None = None) -> None:
        self.folder = folder.absolute()
        self._major = major

    def __repr__(self) -> str:
        return f"Cluster({str(self.folder)!r})"

    @classmethod
    def of_project(cls, project: Path) -> Cluster:
        """The cluster of a project folder: `<project>/.penstock/pg`."""
        return cls(project / ".penstock" / "pg")

    @property
    def port(self) -> int:
        """The port on 127.0.0.1. A start changes it when another program has taken it."""
        return self._memory().port

    @property
    def socket_dir(self) -> Path:
        """The folder of the unix socket; only the server's account and root can enter it."""
        return self._sockets(self._memory())

    @property
    def log(self) -> Path:
        """The server's log since its last start (`server.log.1` is the one before)."""
        return self.folder / "server.log"

    @property
    def url(self) -> str:
        """The URL of database `penstock` as superuser, with the password: do not print it."""
        return self.dsn()

    def dsn(
        self,
        database: str = DATABASE,
        *,
        user: str = SUPERUSER,
        password: str | None = None,
        by_socket: bool = False,
    ) -> str:
        """A URL for psycopg (and, after `postgresql+psycopg`, for SQLAlchemy).

        Args:
            database: Which database.
            user: Which role.
            password: Its password; default the superuser's.
            by_socket: Through the unix socket instead of TCP.

        Raises:
            TargetError: There is no cluster in the folder yet.
        """
        memory = self._memory()
        secret = quote(memory.password if password is None else password, safe="")
        start = f"postgresql://{quote(user, safe='')}:{secret}@"
        name = quote(database, safe="")
        if by_socket:
            host = quote(str(self._sockets(memory)), safe="")
            return f"{start}/{name}?host={host}&port={memory.port}"
        return f"{start}{HOST}:{memory.port}/{name}"

    def psql_environment(self) -> dict[str, str]:
        """The variables by which psql and other programs of PostgreSQL reach this server."""
        memory = self._memory()
        return {
            "PGHOST": HOST,
            "PGPORT": str(memory.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": memory.password,
            "PGDATABASE": DATABASE,
        }

    def exists(self) -> bool:
        """Whether a cluster was made in this folder."""
        return read_memory(self.folder) is not None

    def binaries(self) -> Binaries:
        """The programs that fit the data here.

        Raises:
            TargetError: None are installed.
            UsageError: PENSTOCK_PG_BIN names none, or those of another version.
        """
        memory = read_memory(self.folder)
        made_by = self._data(memory) / "PG_VERSION" if memory else None
        if made_by is not None and made_by.exists():
            return find_binaries(int(made_by.read_text(encoding="utf-8")))
        return find_binaries(self._major)

    def status(self) -> Status:
        """What the server is doing, judged by its process.

        Raises:
            TargetError: The cluster belongs to another account.
        """
        memory = read_memory(self.folder)
        if memory is None:
            return Status("absent")
        found = self._postmaster(memory)
        return Status(
            "stopped" if found is None else "running" if found.ready else "starting",
            pid=None if found is None else found.pid,
            port=memory.port,
            sockets=self._sockets(memory),
            data=self._data(memory),
            server=memory.server,
        )

    def start(self, settings: Mapping[str, str] = _NO_SETTINGS) -> bool:
        """Start the server, after making the cluster if need be, and wait until it answers.

        Safe to call from several processes at once, and when it runs already (then the settings
        do not count).

        Args:
            settings: Settings of the server for this run, such as `{"fsync": "off"}`.

        Returns:
            True when this call started it, False when it was running.

        Raises:
            TargetError: It does not start; the message ends with what the server said.
            TryAgain: It is still recovering after a minute.
            UsageError: PENSTOCK_PG_BIN or PENSTOCK_PG_OSUSER is wrong.
        """
        own_folder(self.folder)
        with self._locked():
            known = read_memory(self.folder)
            if known is not None and self._is_up(known):
                return False
            memory, programs, account = self._prepare(known)
            self._launch(memory, programs, account, settings)
            return True

    def stop(self, mode: StopMode = "fast") -> bool:
        """Stop the server and wait until it is gone; needs no binaries.

        Args:
            mode: `smart` waits for sessions to end, `fast` (default) ends them, `immediate` also
                skips the final checkpoint: the next start recovers.

        Returns:
            True when it was running.

        Raises:
            TryAgain: It is still stopping after a minute.
        """
        if not self.exists():
            return False
        with self._locked():
            memory = self._memory()
            found = self._postmaster(memory)
            if found is None:
                return False
            data = self._data(memory)
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, _SIGNALS[mode])
            deadline = time.monotonic() + _WAIT_SECONDS
            while is_alive(found.pid, data):
                if time.monotonic() > deadline:
                    raise TryAgain(
                        f"The embedded PostgreSQL in {self.folder} is still stopping after "
                        f"{_WAIT_SECONDS:.0f} seconds; see {self.log}."
                    )
                time.sleep(0.02)
            return True

    def remove(self) -> None:
        """Stop the server and delete the folder with all data, also what was put elsewhere."""
        self.stop("immediate")
        memory = read_memory(self.folder)
        if memory is not None:
            for elsewhere in (memory.place, memory.sockets):
                if elsewhere is not None:
                    shutil.rmtree(elsewhere, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create a database as a copy of `template`; answers its URL.

        Raises:
            UsageError: There is one of that name.
            TargetError: There is no cluster in the folder yet.
        """
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            try:
                connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
            except psycopg.errors.DuplicateDatabase:
                raise UsageError(f"There is a database {name!r} already.", code="42P04") from None
        return self.dsn(name)

    # What is known

    def _memory(self) -> Memory:
        memory = read_memory(self.folder)
        if memory is None:
            raise TargetError(
                f"There is no embedded PostgreSQL in {self.folder}. "
                "Make and start one: penstock pg start",
                code="no_cluster",
            )
        return memory

    def _data(self, memory: Memory) -> Path:
        return Path(memory.data) if memory.data else self.folder / "data"

    def _sockets(self, memory: Memory) -> Path:
        return Path(memory.sockets) if memory.sockets else self.folder / "socket"

    def _postmaster(self, memory: Memory) -> Postmaster | None:
        try:
            return find_postmaster(self._data(memory))
        except PermissionError:
            raise not_ours(self.folder) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One start or stop at a time, across processes."""
        try:
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError:
            raise not_ours(self.folder) from None
        try:
            leave_to_owner(handle, self.folder)
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    # Making and launching

    def _prepare(self, known: Memory | None) -> tuple[Memory, Binaries, Account]:
        """Everything that must be there before a launch; remembers what it decides."""
        memory = known or Memory(secrets.token_urlsafe(24), free_port())
        if memory.place is not None:
            check_place(Path(memory.place))
        programs = self.binaries()
        account = server_account(self._data(memory))
        hidden = not self._data(memory).exists() and not can_enter(self.folder, account)
        stuck = not programs.usable_by(account)
        if hidden or stuck:
            place = Path(memory.place) if memory.place else private_place(self.folder)
            data = str(place / "data") if hidden else memory.data
            memory = replace(memory, place=str(place), data=data)
            write_memory(self.folder, memory)
            if stuck:
                programs = programs.copy_to(place)
        if not is_free(memory.port):
            memory = replace(memory, port=free_port())
        own = self._data(memory).parent / "socket"
        sockets = socket_folder(own, memory.sockets, account)
        at_home = sockets == self.folder / "socket"
        memory = replace(
            memory,
            sockets=None if at_home else str(sockets),
            server=f"{programs.version} ({programs.source})",
        )
        write_memory(self.folder, memory)
        if not self._data(memory).exists():
            make_data(self._data(memory), memory.password, programs, account)
        return memory, programs, account

    def _launch(
        self, memory: Memory, programs: Binaries, account: Account, settings: Mapping[str, str]
    ) -> None:
        data = self._data(memory)
        deadline = time.monotonic() + _RETRY_SECONDS
        with contextlib.suppress(FileNotFoundError):
            self.log.replace(self.log.with_name("server.log.1"))
        while True:
            options = shlex.join(listen_options(memory.port, self._sockets(memory), settings))
            waiting = ["--silent", "--wait", "-t", f"{_WAIT_SECONDS:.0f}"]
            command = [str(programs.tool("pg_ctl")), "start", *waiting, "-o", options]
            with self.log.open("ab") as log:
                os.fchmod(log.fileno(), 0o600)
                leave_to_owner(log.fileno(), self.folder)
                begin = log.tell()
                # PGDATA instead of -D: pg_ctl would put the path through a shell in double quotes.
                ended = run(account, command, log=log.fileno(), data=data)
            if ended.returncode == 0:
                return
            if self._postmaster(memory) is not None:
                raise self._still_starting()
            said = _tail(self.log, begin)
            if time.monotonic() > deadline or not any(each in said for each in _PASSING):
                raise TargetError(
                    f"The embedded PostgreSQL in {self.folder} did not start. It said:\n{said}"
                )
            time.sleep(0.2)
            if not is_free(memory.port):
                memory = replace(memory, port=free_port())
                write_memory(self.folder, memory)

    def _is_up(self, memory: Memory) -> bool:
        """Whether the server lives and answers; waits for one that is starting or recovering."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while (found := self._postmaster(memory)) is not None:
            # A server that was killed a moment ago still looks alive; it no longer answers.
            if found.ready and answers(memory.port):
                return True
            if time.monotonic() > deadline:
                raise self._still_starting()
            time.sleep(0.05)
        return False

    def _still_starting(self) -> TryAgain:
        return TryAgain(
            f"The embedded PostgreSQL in {self.folder} does not answer yet: it is recovering or "
            f"stopping; see {self.log}."
        )


def _tail(log: Path, begin: int) -> str:
    """What was logged since `begin`: the last 20 lines."""
    with log.open("rb") as stream:
        stream.seek(begin)
        lines = stream.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-20:])
