"""Databases here have the ledger already: how it comes there is tested in `integration/ledger`."""

from __future__ import annotations

import pytest

from tests.fixtures.postgres import Database


@pytest.fixture
def database(ledger_database: Database) -> Database:
    """A database of this test alone, empty but for the ledger."""
    return ledger_database
