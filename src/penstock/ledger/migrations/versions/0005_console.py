"""Who may use the console, and what was done there."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STATEMENTS = [
    """
    create table penstock.users (
        user_name text primary key,
        role text not null check (role in ('viewer', 'operator', 'admin')),
        password_hash text not null,
        made_at timestamptz not null default clock_timestamp(),
        changed_at timestamptz not null default clock_timestamp(),
        disabled_at timestamptz
    )
    """,
    # The cookie's hash: who reads the table cannot sign in with it.
    """
    create table penstock.sessions (
        token_sha256 bytea primary key,
        user_name text not null references penstock.users on delete cascade,
        csrf text not null,
        began_at timestamptz not null default clock_timestamp(),
        seen_at timestamptz not null default clock_timestamp(),
        address text not null default ''
    )
    """,
    # What was tried of late, so that nobody can guess for long.
    """
    create table penstock.sign_ins (
        tried_at timestamptz not null default clock_timestamp(),
        user_name text not null,
        address text not null,
        succeeded boolean not null
    )
    """,
    "create index on penstock.sign_ins (tried_at)",
    """
    create table penstock.audit (
        audit_id bigint generated always as identity primary key,
        at timestamptz not null default clock_timestamp(),
        user_name text not null,
        address text not null default '',
        action text not null,
        details jsonb not null default '{}'
    )
    """,
    "create index on penstock.audit (at desc)",
    # For the last outcomes of each flow, among any number of runs.
    "create index by_name on penstock.runs (kind, command, started_at desc) where part_of is null",
]


def upgrade() -> None:
    """Add them; what is there stays as it is."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """The ledger is an audit trail: it is not taken back by a downgrade.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError("The ledger cannot be downgraded: restore a backup instead")
