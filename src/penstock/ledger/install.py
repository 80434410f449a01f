"""Installs the ledger and brings it to the newest revision. Not for: writing into it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import psycopg

from penstock.errors import TargetError
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "ledger.sql")

#: The newest revision; a test holds it against Alembic's own head, so that a load need not
#: import Alembic to know that there is nothing to do.
HEAD = "0005"
#: Key of the advisory lock under which the ledger is installed: two first loads may race.
_LOCK = 7021886120452169325


def ensure(connection: psycopg.Connection[Any], conninfo: str) -> bool:
    """Make sure that the ledger is there and current.

    Args:
        connection: In autocommit.
        conninfo: Opens the connection that installs.

    Returns:
        True where it was installed or brought up to date now.

    Raises:
        TargetError: It is not there and the role may not make it, or a right on it is missing.
    """
    state = connection.execute(_SQL["state"]).fetchone()
    assert state is not None  # noqa: S101  a SELECT without FROM gives one row
    there, has_schema, may_create, owned = state
    if there:
        try:
            row = connection.execute(_SQL["revision"]).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            raise TargetError(
                "This role may not read the penstock schema. Grant it the loader's rights: "
                "penstock roles --loader ROLE, or load with --no-ledger.",
                code="42501",
            ) from None
        if row is not None and row[0] >= HEAD:
            missing = missing_rights(connection)
            if missing:
                raise TargetError(
                    f"This role lacks rights on the penstock schema ({', '.join(missing)}). Grant "
                    "them with: penstock roles --loader ROLE, or load with --no-ledger.",
                    code="42501",
                )
            return False
    if (has_schema and not owned) or (not has_schema and not may_create):
        raise TargetError(
            "The penstock schema (the ledger) is not there or not current, and this role may not "
            "make it. Let the database's owner run: penstock migrate, then penstock roles "
            "--loader ROLE; or load with --no-ledger.",
            code="42501",
        )
    upgrade(conninfo)
    return True


def require_current(found: Mapping[str, Any]) -> None:
    """Refuse to go on with a ledger of an older Penstock, where nothing can be installed now.

    Args:
        found: As `revision` gives it.

    Raises:
        TargetError: Its revision is older than this Penstock needs.
    """
    if found["there"] and found["revision"] is not None and found["revision"] < HEAD:
        raise TargetError(
            f"The ledger (schema penstock) is at revision {found['revision']}, and this Penstock "
            f"needs {HEAD}. Bring it up to date with: penstock migrate",
            code="3F000",
        )


def missing_rights(connection: psycopg.Connection[Any]) -> list[str]:
    """What a loader needs and this role does not have, such as `runs: INSERT`."""
    return [row[0] for row in connection.execute(_SQL["rights"])]


def upgrade(conninfo: str) -> None:
    """Run the missing revisions, under an advisory lock, in one transaction.

    Raises:
        psycopg.Error: The server refused.
    """
    import alembic.command
    import alembic.config
    import sqlalchemy

    folder = resources.files("penstock.ledger") / "migrations"
    config = alembic.config.Config(attributes={})
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo, prepare_threshold=None),
        poolclass=sqlalchemy.NullPool,
    )
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("select pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.exec_driver_sql("create schema if not exists penstock")
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
    except sqlalchemy.exc.DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise error.orig from None
        raise
    finally:
        engine.dispose()


def revision(connection: psycopg.Connection[Any]) -> Mapping[str, Any]:
    """What is installed: `there` (bool), `revision` (text or None) and `head`."""
    state = connection.execute(_SQL["state"]).fetchone()
    there = bool(state and state[0])
    found = None
    if there:
        row = connection.execute(_SQL["revision"]).fetchone()
        found = None if row is None else row[0]
    return {"there": there, "revision": found, "head": HEAD}
