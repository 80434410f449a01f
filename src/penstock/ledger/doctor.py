"""Looks at a database as a load would meet it, and says what is wrong. Not for: mending it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.rows import dict_row

from penstock.ledger import history, install, quarantine, roles
from penstock.model.table import TableSpec
from penstock.postgres.catalog import read_table
from penstock.postgres.constraints.plan import read_plan
from penstock.postgres.queries import queries

_SQL = queries("penstock.ledger.sql", "doctor.sql")

#: The versions of PostgreSQL that Penstock is tested with.
SUPPORTED = range(15, 19)
#: Seconds after which an open transaction would outlast the wait of a load for its locks.
_LONG = 30.0
_DURABLE = {
    "fsync": "a crash of the machine can destroy the database",
    "full_page_writes": "a crash in the middle of a write can destroy pages",
    "synchronous_commit": "the last commits before a crash can be lost after they were confirmed",
}


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: How bad it is.
        subject: `server`, `ledger`, `locks`, or the table.
        text: What was found.
        advice: What to do about it; empty where nothing is to be done.
    """

    level: Level
    subject: str
    text: str
    advice: str = ""


def examine(connection: psycopg.Connection[Any], tables: Sequence[str] = ()) -> list[Finding]:
    """Look at the server, the ledger, the named tables, and who is in the way.

    Args:
        connection: In autocommit, as the role that loads.
        tables: Names of tables.

    Raises:
        UsageError: There is no such table.
    """
    specs = [read_table(connection, name) for name in tables]
    found = [*_server(connection), *_ledger(connection)]
    for spec in specs:
        found += _table(connection, spec)
    found += _locks(connection, specs)
    return found


def _row(connection: psycopg.Connection[Any], name: str, of: dict[str, Any]) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_SQL[name], of).fetchone()
    assert row is not None  # noqa: S101  asked of what exists
    return row


def _server(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    row = _row(connection, "server", {})
    major = row["number"] // 10000
    known = f"{SUPPORTED[0]} to {SUPPORTED[-1]}"
    if major in SUPPORTED:
        yield Finding(Level.OK, "server", f"PostgreSQL {row['version']}")
    elif major < SUPPORTED[0]:
        advice = f"Upgrade the server: Penstock works with PostgreSQL {known}."
        yield Finding(Level.FAIL, "server", f"PostgreSQL {row['version']} is too old", advice)
    else:
        advice = f"Penstock was tested with PostgreSQL {known}: look for a newer Penstock."
        yield Finding(Level.WARN, "server", f"PostgreSQL {row['version']} is newer", advice)
    if row["in_recovery"] or row["read_only"] == "on":
        why = "a standby" if row["in_recovery"] else "set to read-only transactions"
        yield Finding(Level.FAIL, "server", f"it is {why}", "Load into the primary server.")
    off = [name for name in _DURABLE if row[name] == "off"]
    for name in off:
        yield Finding(Level.WARN, "server", f"{name} is off: {_DURABLE[name]}", f"Set {name} = on.")
    if not off:
        yield Finding(Level.OK, "server", "fsync, full_page_writes, synchronous_commit are on")
    yield _tls(row)
    if row["superuser"]:
        yield Finding(
            Level.WARN,
            "server",
            f"this role ({row['role']}) is a superuser: it may also delete its audit trail",
            "Load as a role of its own: penstock roles --loader ROLE.",
        )
    if not row["temp"]:
        yield Finding(
            Level.FAIL,
            "server",
            "this role may not make temporary tables",
            "GRANT TEMPORARY ON DATABASE ... TO the role.",
        )


def _tls(row: dict[str, Any]) -> Finding:
    if row["tls"]:
        return Finding(Level.OK, "server", f"the connection is encrypted ({row['tls_version']})")
    if row["by_socket"] or row["from_here"]:
        return Finding(Level.OK, "server", "the connection stays on the server's machine, plain")
    return Finding(
        Level.WARN,
        "server",
        "the connection crosses a network unencrypted",
        "Use sslmode=verify-full, and TLS on the server.",
    )


def _ledger(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    try:
        state = install.revision(connection)
    except psycopg.errors.InsufficientPrivilege:
        yield Finding(
            Level.FAIL,
            "ledger",
            "this role may not read the penstock schema",
            "penstock roles --loader ROLE, as its owner.",
        )
        return
    if not state["there"]:
        yield Finding(
            Level.WARN,
            "ledger",
            "not installed",
            "The first load installs it where the role may create schemas; or: penstock migrate.",
        )
        return
    yield from _revision(connection, state["revision"])
    missing = install.missing_rights(connection)
    if missing:
        advice = "penstock roles --loader ROLE, as the ledger's owner."
        yield Finding(Level.FAIL, "ledger", f"this role lacks {', '.join(missing)}", advice)
        return
    waiting = quarantine.counts(connection, ["waiting"])
    for table, by_status in waiting.items():
        rows = by_status["waiting"]
        text = f"1 row of {table} waits" if rows == 1 else f"{rows:,} rows of {table} wait"
        advice = f"penstock rejects list {table}"
        yield Finding(Level.WARN, "ledger", f"{text} in quarantine", advice)
    if not waiting:
        yield Finding(Level.OK, "ledger", "no rows wait in quarantine")
    for run_id, kind, started in history.interrupted(connection):
        yield Finding(
            Level.WARN,
            "ledger",
            f"run {run_id[:8]} ({kind}, {started:%Y-%m-%d %H:%M}) was cut off; it changed nothing",
            "Run it again. The next load marks it as interrupted.",
        )


def _revision(connection: psycopg.Connection[Any], revision: str | None) -> Iterator[Finding]:
    owner, mine = roles.owners(connection)
    if revision is None or revision < install.HEAD:
        advice = f'penstock migrate, as "{owner}" or a member of it.'
        text = f"revision {revision}, and this Penstock needs {install.HEAD}"
        yield Finding(Level.WARN if mine else Level.FAIL, "ledger", text, advice)
    else:
        newer = " (of a newer Penstock)" if revision > install.HEAD else ""
        yield Finding(Level.OK, "ledger", f"revision {revision}{newer}, owned by {owner}")
    # Of a superuser this is said once, with the server.
    if mine and connection.info.parameter_status("is_superuser") != "on":
        yield Finding(
            Level.WARN,
            "ledger",
            "this role may change and delete its own audit trail",
            "In production give the ledger an owner: penstock roles --loader ROLE.",
        )


def _table(connection: psycopg.Connection[Any], spec: TableSpec) -> Iterator[Finding]:
    name = str(spec.name)
    row = _row(connection, "table", {"oid": spec.oid})
    if spec.kind not in ("r", "p"):
        yield Finding(Level.FAIL, name, "it is no table", "Load the table behind it.")
        return
    lacking = [right for right in ("SELECT", "INSERT") if right not in spec.rights]
    whose = "owned by this role" if spec.owned else f"owned by {row['owner']}"
    if lacking:
        advice = f"GRANT {', '.join(lacking)} ON {name} TO the role."
        yield Finding(Level.FAIL, name, f"{whose}; no {' and no '.join(lacking)}", advice)
    else:
        order = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
        rights = ", ".join(right for right in order if right in spec.rights)
        without = "" if "TRUNCATE" in spec.rights else " (without TRUNCATE: mode append only)"
        yield Finding(Level.OK, name, f"{whose}; may {rights}{without}")
    if spec.row_security:
        yield Finding(
            Level.WARN,
            name,
            "row security applies to this role: rows are staged, mode truncate is refused",
            "Load as the owner, or as a role with BYPASSRLS, if all rows are meant.",
        )
    if row["persistence"] == "u":
        advice = f"ALTER TABLE {name} SET LOGGED."
        yield Finding(Level.WARN, name, "it is unlogged: a crash of the server empties it", advice)
    yield from _plan(connection, spec)


def _plan(connection: psycopg.Connection[Any], spec: TableSpec) -> Iterator[Finding]:
    """What a load into the empty table would take off and put back."""
    name = str(spec.name)
    plan = read_plan(connection, spec.oid)
    off = [part.name for part in plan.foreign_keys] + [part.name for part in plan.indexes]
    if off:
        text = f"a big load into the empty table re-creates {', '.join(off)}"
        yield Finding(Level.OK, name, text)
    suffices = not spec.owned and {"SELECT", "INSERT"} <= spec.rights
    for why in plan.refusals:
        if suffices:
            yield Finding(Level.OK, name, f"all constraints stay on, also in big loads: {why}")
        else:
            text = f"all constraints are kept, so big loads are slow: {why}"
            yield Finding(Level.WARN, name, text, _speed(spec))
    for part, why in plan.kept:
        yield Finding(Level.OK, name, f"{part} is kept: {why}")
    with connection.cursor(row_factory=dict_row) as cursor:
        parents = cursor.execute(_SQL["parents"], {"oid": spec.oid}).fetchall()
    for row in parents:
        # Without owning the table nothing is re-created; then only reading the parents matters.
        needed = [right for right in row["missing"] if spec.owned or right == "SELECT"]
        if needed:
            parent = f"{row['schema']}.{row['table']}"
            yield Finding(
                Level.WARN,
                name,
                f"no {', '.join(needed)} on {parent}, so {row['name']} is checked row by row",
                f"GRANT {', '.join(needed)} ON {parent} TO the role.",
            )


def _speed(spec: TableSpec) -> str:
    return "" if spec.owned else "GRANT the table's owner to the role, if speed matters."


def _locks(connection: psycopg.Connection[Any], specs: Sequence[TableSpec]) -> Iterator[Finding]:
    oids = [spec.oid for spec in specs] or None
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            _SQL["open_transactions"], {"oids": oids, "seconds": _LONG}
        ).fetchall()
    for row in rows:
        since = "for an unknown time"
        if row["seconds"] is not None:
            since = f"for {row['seconds']:,.0f} s"
        who = f"{row['role']}, pid {row['pid']}, {row['application'] or 'unnamed'}"
        yield Finding(
            Level.WARN,
            "locks",
            f"a transaction ({who}; {row['state'] or 'state not shown'}) is open {since} and "
            f"holds locks on {', '.join(row['tables'])}",
            f"Let it end, or: select pg_terminate_backend({row['pid']})",
        )
    if not rows:
        what = "these tables" if specs else "tables"
        text = f"no transaction older than {_LONG:.0f} s holds locks on {what}"
        yield Finding(Level.OK, "locks", text)
