"""Rejects that wait for their parents, and are tried again by later loads."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATEMENTS = [
    "alter table penstock.rejects add column awaits_parent boolean not null default false",
    # Few rows, asked for by every load: it must not look at all that waits of its table.
    "create index awaiting on penstock.rejects (schema_name, table_name) "
    "where status = 'waiting' and awaits_parent",
    # `rejects list` counts them from the index alone.
    "drop index penstock.patterns",
    "create index patterns on penstock.rejects (schema_name, table_name, status, pattern) "
    "include (reject_id, first_seen, last_seen, awaits_parent)",
]


def upgrade() -> None:
    """Mark what waits for its parents; no row so far does."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """The ledger is an audit trail: it is not taken back by a downgrade.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError("The ledger cannot be downgraded: restore a backup instead")
