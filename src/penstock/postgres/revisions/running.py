"""Runs the revisions that a database lacks, so that nobody waits for long. Not for: judging them.

Each is a transaction of its own, with a short `lock_timeout`, and tried again: a statement that
waits for its lock stops everybody who comes after it. One process at a time: an advisory lock is
held by a connection of its own, in a transaction without a snapshot, so that it holds behind
poolers, during CREATE INDEX CONCURRENTLY, and ends with the process.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import sqlalchemy
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory

from penstock.errors import PenstockError, TargetError, TryAgain
from penstock.postgres.connection import connect, translated
from penstock.postgres.locks import holders_of
from penstock.postgres.queries import queries
from penstock.postgres.revisions.folder import Folder, Revision, told
from penstock.postgres.revisions.offline import SCHEMA, VERSIONS
from penstock.postgres.revisions.steps import steps_of
from penstock.postgres.revisions.words import statements

#: Keys of the advisory locks: of the one who works, and of each of his transactions, which may
#: outlive him by the statement that it is at when he is killed.
_WORKING, _TRANSACTION = 7021886120452169326, 7021886120452169327
#: Seconds that a statement waits for a lock, and others behind it.
ONE_TRY = 1.0
#: Seconds between two tries, so that those who wait get through.
_PAUSE = (0.2, 0.8)
#: Seconds in which a revision has to get its locks, if nothing else is said.
PATIENCE = 60.0

_SQL = queries("penstock.postgres.sql", "revisions.sql")
_WAITED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a project's tables are.

    Attributes:
        conninfo: Opens a connection; may hold a password.
        schema: Of the version table. Another one than `public` is made, and comes first in the
            search path of the revisions.
        patience: Seconds in which each revision has to get its locks.
    """

    conninfo: str = field(repr=False)
    schema: str = SCHEMA
    patience: float = PATIENCE


def current(connection: psycopg.Connection[Any], schema: str = SCHEMA) -> str | None:
    """The revision that a database is at; None where it has none yet.

    Args:
        connection: In autocommit.
        schema: Of the version table.

    Raises:
        TargetError: The version table has several rows.
        psycopg.Error: It cannot be read.
    """
    table = psycopg.sql.Identifier(schema, VERSIONS)
    there = connection.execute(_SQL["exists"], [table.as_string(connection)]).fetchone()
    if there != (True,):
        return None
    select = psycopg.sql.SQL("select version_num from {}").format(table)
    rows = connection.execute(select).fetchall()
    if len(rows) > 1:
        raise TargetError(
            f"{schema}.{VERSIONS} names {len(rows)} revisions: write one that follows them all "
            "(down_revision = (first, second)), and delete the rows but one."
        )
    return str(rows[0][0]) if rows else None


def upgrade(place: Place, folder: Folder, done: Callable[[Revision], None]) -> list[Revision]:
    """Run the revisions that the database lacks, one after the other.

    Args:
        place: The database.
        folder: The revisions.
        done: Is told of each that is committed.

    Returns:
        Those that were run.

    Raises:
        UsageError: The database is at a revision that the folder does not have, or a file raises an
            error as it is imported.
        TryAgain: A lock could not be had within the time, or another process is at it for as long;
            what was told to `done` stays.
        TargetError: A revision failed; it was rolled back, what was told to `done` stays.
    """
    scripts = folder.scripts()
    with _alone(place):
        try:
            with connect(place.conninfo) as connection:
                _make_schema(connection, place.schema)
                pending = folder.pending(current(connection, place.schema))
        except psycopg.Error as error:
            raise translated(error, "look for what was run already") from None
        with _engine(place) as engine:
            for one in pending:
                _Run(engine, place, folder, scripts).run(one)
                done(one)
    return list(pending)


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Until its end no other process is in it."""
    with connect(place.conninfo, autocommit=False) as connection:
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.execute("set local idle_in_transaction_session_timeout = 0")
        connection.execute(
            "select set_config('lock_timeout', %s, true)", [f"{int(1000 * place.patience)}ms"]
        )
        if connection.info.server_version >= 170000:
            connection.execute("set local transaction_timeout = 0")
        try:
            # Without parameters: those would leave a portal, and its snapshot, until the end, and
            # CREATE INDEX CONCURRENTLY waits for the end of every older snapshot.
            lock = psycopg.sql.SQL("select pg_advisory_xact_lock({})")
            connection.execute(lock.format(psycopg.sql.Literal(_WORKING)))
        except psycopg.errors.LockNotAvailable:
            raise TryAgain(
                f"Another penstock migrate has been at work here for {place.patience:g} s. Nothing "
                "was changed; try again.",
                code="55P03",
            ) from None
        try:
            yield
        finally:
            if not connection.closed:
                connection.rollback()


def _make_schema(connection: psycopg.Connection[Any], schema: str) -> None:
    if connection.execute(_SQL["schema"], [schema]).fetchone() != (True,):
        made = psycopg.sql.SQL("create schema if not exists {}")
        connection.execute(made.format(psycopg.sql.Identifier(schema)))


@contextmanager
def _engine(place: Place) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(place.conninfo, autocommit=False),
        poolclass=sqlalchemy.NullPool,
    )

    @sqlalchemy.event.listens_for(engine, "begin")
    def _(connection: sqlalchemy.Connection) -> None:
        driver: Any = connection.connection.driver_connection
        if driver.autocommit:  # within autocommit_block: CONCURRENTLY waits, and nobody behind it
            return
        with driver.cursor() as cursor:
            timeout = f"{int(1000 * ONE_TRY)}ms"
            cursor.execute("select set_config('lock_timeout', %s, true)", [timeout])
            cursor.execute("select pg_advisory_xact_lock(%s)", [_TRANSACTION])
            if place.schema != SCHEMA:
                path = psycopg.sql.SQL("{}, public").format(psycopg.sql.Identifier(place.schema))
                text = path.as_string(driver)
                cursor.execute("select set_config('search_path', %s, true)", [text])

    try:
        yield engine
    finally:
        engine.dispose()


@dataclass(slots=True)
class _Run:
    """One revision, tried until it has its locks."""

    engine: sqlalchemy.Engine
    place: Place
    folder: Folder
    scripts: ScriptDirectory
    commits: int = 0  # before the end of the revision: what was committed stays
    ended: bool = False

    def run(self, one: Revision) -> None:
        end = time.monotonic() + self.place.patience
        while True:
            try:
                self._once(one)
                return
            except Exception as error:
                # A revision may raise anything: it was rolled back. Only a wait for a lock is tried
                # again; all else goes on, told with what stays.
                driver = getattr(error, "orig", error)
                waited = isinstance(driver, _WAITED) and not self.commits
                if not waited or time.monotonic() + _PAUSE[1] >= end:
                    raise self._told(one, error) from error
            time.sleep(random.uniform(*_PAUSE))  # noqa: S311  jitter, not a secret

    def _once(self, one: Revision) -> None:
        script = self.folder.script(self.scripts, one)
        step = MigrationStep.upgrade_from_script(self.scripts.revision_map, script)

        def steps(rev: object, context: MigrationContext) -> Iterator[MigrationStep]:
            del rev, context
            self.commits, self.ended = 0, False
            yield step

        with self.engine.connect() as connection:
            context = EnvironmentContext(Config(), self.scripts, fn=steps)
            with context as env:
                env.configure(
                    connection=connection,
                    transaction_per_migration=True,
                    version_table=VERSIONS,
                    version_table_schema=self.place.schema,
                    on_version_apply=self._end,
                )
                sqlalchemy.event.listen(connection, "commit", self._count)
                with env.begin_transaction():
                    env.run_migrations()

    def _count(self, connection: sqlalchemy.Connection) -> None:
        del connection
        self.commits += not self.ended

    def _end(self, *_: object, **__: object) -> None:
        self.ended = True

    def _told(self, one: Revision, error: Exception) -> PenstockError:
        """Why a revision failed, where, and what stays."""
        if isinstance(error, PenstockError):
            return error
        driver = getattr(error, "orig", error)
        stays = "It was rolled back as a whole"
        if self.commits:
            stays = "What it did before and within autocommit_block stays: see to it by hand"
        if isinstance(driver, _WAITED) and not self.commits:
            held = self._holders(getattr(error, "statement", None) or "")
            return TryAgain(
                f"{one.path.name} did not get its lock within {self.place.patience:g} s{held}. "
                "It was rolled back as a whole; try again later.",
                code="55P03",
            )
        if isinstance(driver, psycopg.Error):
            said = translated(driver, f"run {one.path.name}")
            where = told(error, self.folder.path).partition(": ")[0]
            words = " ".join(str(driver.diag.message_primary or driver).split())
            place = where if where.startswith(one.path.name) else one.path.name
            hint = f" {driver.diag.message_hint}" if driver.diag.message_hint else ""
            kind = TryAgain if said.retryable else TargetError
            return kind(f"{place}: {words}.{hint} {stays}.", code=said.code)
        return TargetError(f"{told(error, self.folder.path)}. {stays}.", code="revision")

    def _holders(self, statement: str) -> str:
        """Who holds the tables of a statement."""
        tables = {step.table for one in statements(statement) for step in steps_of(one)}
        with connect(self.place.conninfo) as connection:
            names = [psycopg.sql.Identifier(*name).as_string(connection) for name in tables if name]
            try:
                return holders_of(connection, names)
            except psycopg.Error:  # a table that only the revision has made
                return ""
