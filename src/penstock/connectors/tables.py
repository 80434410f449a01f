"""Which database holds a project's own tables. Not for: its revisions (`postgres.revisions`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.connectors.ledgers import ledger_of
from penstock.connectors.postgres import Postgres
from penstock.connectors.protocol import Connector
from penstock.errors import UsageError
from penstock.postgres.revisions.offline import SCHEMA

#: What `env["migrations"]` may say.
_KEYS = ("connector", "schema")
_LEDGER = "penstock"


def tables_of(env: Mapping[str, Any], connectors: Mapping[str, Connector]) -> tuple[Postgres, str]:
    """The database of a project's tables, and the schema of their version table.

    `env["migrations"] = {"connector": "warehouse", "schema": "shop"}`; both may be left out: then
    it is the database of the ledger, and `public`.

    Args:
        env: The settings of the environment.
        connectors: Those of it, by name.

    Raises:
        UsageError: It names no PostgreSQL connector, or the ledger's schema; or nothing is named
            and the ledger cannot be told.
    """
    schema = schema_of(env)
    name = env.get("migrations", {}).get("connector")
    if name is None:
        return ledger_of(env, connectors), schema
    found = connectors.get(str(name))
    if not isinstance(found, Postgres):
        known = [one.name for one in connectors.values() if isinstance(one, Postgres)]
        raise UsageError(
            f'env["migrations"]["connector"]: {name} is no PostgreSQL connector; there are '
            f"{', '.join(known) or 'none'}"
        )
    return found, schema


def schema_of(env: Mapping[str, Any]) -> str:
    """The schema of the version table alone, where the database is said otherwise.

    Raises:
        UsageError: `env["migrations"]` has other keys, or names the ledger's schema.
    """
    said = env.get("migrations", {})
    if not isinstance(said, Mapping) or not set(said) <= set(_KEYS):
        raise UsageError('env["migrations"] may have the keys connector and schema')
    schema = str(said.get("schema", SCHEMA))
    if schema == _LEDGER:
        raise UsageError(
            f'env["migrations"]["schema"]: {_LEDGER} is the ledger\'s; name another one'
        )
    return schema
