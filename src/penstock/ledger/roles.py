"""Gives the ledger an owner of its own, and loaders and readers no more than they need.

Not for: rights on the tables that are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from penstock.errors import UsageError
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "roles.sql")

#: The role that owns the ledger where nothing else is said.
OWNER = "penstock_owner"
_WRITTEN = ("SELECT", "INSERT", "UPDATE")
#: What a loader may do with each relation; of others it may only read.
LOADER_RIGHTS: Mapping[str, tuple[str, ...]] = {
    "runs": _WRITTEN,
    "loads": _WRITTEN,
    "rejects": _WRITTEN,
    "files": _WRITTEN,
    "jobs": _WRITTEN,
    "cursors": _WRITTEN,
    "flow_locks": _WRITTEN,
    "outbox": _WRITTEN,
    "incidents": _WRITTEN,
    "fetched": _WRITTEN,
    "sent": _WRITTEN,
    "schedules": _WRITTEN,
    "checks": ("SELECT", "INSERT"),
}
#: What a worker of event pipelines may do beyond that.
WORKER_RIGHTS: Mapping[str, tuple[str, ...]] = {
    **LOADER_RIGHTS,
    "batches": _WRITTEN,
    "event_states": _WRITTEN,
    "event_targets": ("SELECT", "INSERT"),
    "event_keys": _WRITTEN,
    "archive_files": _WRITTEN,
    "archived": ("SELECT", "INSERT"),
    "events": ("SELECT", "INSERT"),  # what comes back from the archive
}
#: What the intake of events may do, and nothing else: it adds to staging.
INGEST_RIGHTS: Mapping[str, tuple[str, ...]] = {
    "alembic_version": ("SELECT",),
    "sources": ("SELECT", "INSERT"),
    "chunks": ("SELECT", "INSERT"),
    "events": ("SELECT", "INSERT"),
    "event_ids": ("SELECT", "INSERT"),
    "batches": ("SELECT",),
    "drops": _WRITTEN,
    "drop_names": _WRITTEN,
    "cursors": _WRITTEN,
    "runs": ("SELECT",),
}
#: What it may do with some columns only. A batch that it could make look as if a worker had it
#: would let the next worker end the session that it names.
_BATCH = ("pipeline", "source_id", "chunk", "pos_from", "pos_to", "received_at")
_INGEST_COLUMNS = (("INSERT", "batches", _BATCH), ("UPDATE", "sources", ("version_path",)))
_READ = ("SELECT",)
#: What nobody needs but who runs the console, as the owner or a member of it.
_PRIVATE = frozenset({"users", "sessions", "sign_ins"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Who is to own, write and read the ledger.

    Attributes:
        owner: Is made, without log-in, where it does not exist.
        loaders: Write it, and delete nothing.
        readers: Read it.
        workers: Work on events: loaders, and what the queue needs.
        ingesters: Add events to staging, and do nothing else.
    """

    owner: str = OWNER
    loaders: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    ingesters: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """All but the owner."""
        return (*self.loaders, *self.readers, *self.workers, *self.ingesters)


def statements(connection: psycopg.Connection[Any], roles: Roles) -> list[sql.Composed]:
    """What is to be run, in order; running it twice does no harm.

    Rights that the named roles have on the ledger beyond these are taken away.

    Args:
        connection: To a database with the ledger.
        roles: Who.

    Raises:
        UsageError: A loader or reader does not exist, or one role is named for two purposes.
    """
    _told_apart(roles)
    for name in roles.named:
        if _role(connection, name) is None:
            raise UsageError(
                f"There is no role {name}. Make it first: "
                f"CREATE ROLE {_quoted(connection, name)} LOGIN PASSWORD '...'",
                code="42704",
            )
    relations = connection.execute(_SQL["relations"]).fetchall()
    names = [row[0] for row in relations if not row[1] and row[0] not in _PRIVATE]
    owners = {row[0]: row[2] for row in relations}
    staging = list(INGEST_RIGHTS)
    return [
        *_owner(connection, roles.owner),
        *_moved(connection, roles.owner, owners),
        sql.SQL("revoke all on schema penstock from public").format(),
        *(one for name in roles.loaders for one in _granted(name, names, LOADER_RIGHTS)),
        *(one for name in roles.readers for one in _granted(name, names, {})),
        *(one for name in roles.workers for one in _granted(name, names, WORKER_RIGHTS)),
        *(one for name in roles.workers for one in _staging(name)),
        *(one for name in roles.workers for one in _restoring(name)),
        *(one for name in roles.ingesters for one in _granted(name, staging, INGEST_RIGHTS)),
        *(one for name in roles.ingesters for one in _staging(name)),
        *(one for name in roles.ingesters for one in _by_column(name)),
    ]


def apply(connection: psycopg.Connection[Any], roles: Roles) -> list[sql.Composed]:
    """Run the statements in one transaction; gives them.

    Raises:
        UsageError: As `statements`.
        psycopg.errors.InsufficientPrivilege: This role may not do that.
    """
    with connection.transaction():
        made = statements(connection, roles)
        for statement in made:
            connection.execute(statement)
    return made


def owners(connection: psycopg.Connection[Any]) -> tuple[str, bool]:
    """The owner of the schema, and whether the role of this connection is it or a member of it."""
    row = connection.execute(_SQL["schema_owner"]).fetchone()
    owner = "" if row is None else str(row[0])
    found = _role(connection, owner)
    return owner, bool(found and found["is_mine"])


def _told_apart(roles: Roles) -> None:
    named = [roles.owner, *roles.named]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise UsageError(
            f"{', '.join(twice)} is named twice: an owner, a loader and a reader have different "
            "rights, so they are different roles."
        )


def _owner(connection: psycopg.Connection[Any], owner: str) -> Iterator[sql.Composed]:
    """The owner exists, and who asks may act for it."""
    found = _role(connection, owner)
    if found is None:
        yield sql.SQL("create role {} nologin").format(sql.Identifier(owner))
    with connection.cursor(row_factory=dict_row) as cursor:
        asks = cursor.execute(_SQL["self"]).fetchone()
    assert asks is not None  # noqa: S101  a SELECT without FROM gives one row
    if asks["superuser"]:
        return
    # To hand something over, one must be a member of the new owner, and that must have CREATE
    # where it lies (PostgreSQL, ALTER SCHEMA). A superuser needs neither.
    if found is None or not found["is_mine"]:
        grant = sql.SQL("grant {} to {}")
        yield grant.format(sql.Identifier(owner), sql.Identifier(asks["name"]))
    if found is None or not found["may_create"]:
        grant = sql.SQL("grant create on database {} to {}")
        yield grant.format(sql.Identifier(asks["database"]), sql.Identifier(owner))


def _moved(
    connection: psycopg.Connection[Any], owner: str, owners: Mapping[str, str]
) -> Iterator[sql.Composed]:
    row = connection.execute(_SQL["schema_owner"]).fetchone()
    if row is not None and row[0] != owner:
        yield sql.SQL("alter schema penstock owner to {}").format(sql.Identifier(owner))
    for name, held in owners.items():
        if held != owner:
            yield sql.SQL("alter table {} owner to {}").format(
                sql.Identifier("penstock", name), sql.Identifier(owner)
            )

    for name, held in connection.execute(_SQL["functions"]):
        if held != owner:
            # As PostgreSQL itself writes it: quoted, with the types of its arguments.
            yield sql.SQL("alter function {} owner to {}").format(
                sql.SQL(name), sql.Identifier(owner)
            )


def _staging(role: str) -> Iterator[sql.Composed]:
    """Numbers of commits, and the days ahead, which the owner makes on behalf of others."""
    to = sql.Identifier(role)
    yield sql.SQL("grant usage on sequence penstock.chunks_chunk_seq to {}").format(to)
    yield sql.SQL("grant execute on function penstock.provide_event_days(int) to {}").format(to)


def _by_column(role: str) -> Iterator[sql.Composed]:
    for right, relation, columns in _INGEST_COLUMNS:
        yield sql.SQL("grant {} ({}) on {} to {}").format(
            _RIGHTS[right],
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.Identifier("penstock", relation),
            sql.Identifier(role),
        )


def _restoring(role: str) -> Iterator[sql.Composed]:
    """Days that were dropped, for what comes back from the archive."""
    to = sql.Identifier(role)
    yield sql.SQL("grant execute on function penstock.restore_event_day(date) to {}").format(to)


def _granted(
    role: str, relations: Sequence[str], rights: Mapping[str, Sequence[str]]
) -> Iterator[sql.Composed]:
    to = sql.Identifier(role)
    yield sql.SQL("revoke all on all tables in schema penstock from {}").format(to)
    yield sql.SQL("revoke all on schema penstock from {}").format(to)
    yield sql.SQL("grant usage on schema penstock to {}").format(to)
    for name in relations:
        yield sql.SQL("grant {} on {} to {}").format(
            sql.SQL(", ").join(_RIGHTS[right] for right in rights.get(name, _READ)),
            sql.Identifier("penstock", name),
            to,
        )


_RIGHTS = {
    "SELECT": sql.SQL("select"),
    "INSERT": sql.SQL("insert"),
    "UPDATE": sql.SQL("update"),
}


def _role(connection: psycopg.Connection[Any], name: str) -> dict[str, Any] | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL["role"], {"role": name}).fetchone()


def _quoted(connection: psycopg.Connection[Any], name: str) -> str:
    return sql.Identifier(name).as_string(connection)
