"""Which database keeps the books of a project. Not for: the books (`ledger`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.connectors.postgres import Postgres
from penstock.connectors.protocol import Connector
from penstock.errors import UsageError


def ledger_of(env: Mapping[str, Any], connectors: Mapping[str, Connector]) -> Postgres:
    """The database of the ledger: `env["ledger"]`, else the only PostgreSQL connector.

    Args:
        env: The settings of the environment.
        connectors: Those of it, by name.

    Raises:
        UsageError: There is none, or more than one to choose from.
    """
    found = [one for one in connectors.values() if isinstance(one, Postgres)]
    named = env.get("ledger")
    if isinstance(named, str):
        found = [one for one in found if one.name == named]
    elif "ledger" in connectors:
        found = [one for one in found if one.name == "ledger"]
    if len(found) != 1:
        raise UsageError(
            'env["ledger"] must name the PostgreSQL connector that keeps the books: there are '
            f"{len(found)} to choose from"
        )
    return found[0]
