"""Runs the revisions on the connection that `ledger.install` hands over. Not for: offline SQL.

The application's logging is not touched: no `fileConfig` here.
"""

from __future__ import annotations

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table="alembic_version",
    version_table_schema="penstock",
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
