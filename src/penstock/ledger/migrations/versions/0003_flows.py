"""Flows: their jobs, cursors, locks, mails that wait to be sent, and what was sent elsewhere."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATEMENTS = [
    # The run of the flow that a load or an event belongs to, and the job within it.
    "alter table penstock.runs add column part_of uuid references penstock.runs, "
    "add column job text not null default ''",
    "create index on penstock.runs (part_of) where part_of is not null",
    """
    create table penstock.jobs (
        run_id uuid not null references penstock.runs,
        number int not null,
        job text not null,
        status text not null default 'running'
            check (status in ('running', 'succeeded', 'failed', 'skipped', 'interrupted')),
        attempts int not null default 1,
        started_at timestamptz not null default clock_timestamp(),
        finished_at timestamptz,
        extracted bigint not null default 0,
        loaded bigint not null default 0,
        rejected bigint not null default 0,
        dropped bigint not null default 0,
        details json not null default '{}',
        error text,
        primary key (run_id, number)
    )
    """,
    """
    create table penstock.cursors (
        flow text not null,
        name text not null,
        value json not null,
        moved_at timestamptz not null default clock_timestamp(),
        run_id uuid not null,
        primary key (flow, name)
    )
    """,
    # A lease, not a session's lock: it holds through a pooler, and is known by whom.
    """
    create table penstock.flow_locks (
        flow text primary key,
        run_id uuid,
        host text not null default '',
        process int,
        since timestamptz not null default clock_timestamp(),
        beat timestamptz not null default clock_timestamp()
    )
    """,
    """
    create table penstock.outbox (
        mail_id uuid primary key,
        run_id uuid references penstock.runs,
        kind text not null,
        subject text not null,
        recipients text[] not null,
        message bytea not null,
        created_at timestamptz not null default clock_timestamp(),
        attempts int not null default 0,
        next_try timestamptz not null default clock_timestamp(),
        sent_at timestamptz,
        error text
    )
    """,
    "create index on penstock.outbox (next_try) where sent_at is null",
    # One problem, however often it comes: told once, then at most daily, and when it is over.
    """
    create table penstock.incidents (
        incident_id bigint generated always as identity primary key,
        flow text not null,
        fingerprint text not null,
        opened_at timestamptz not null default clock_timestamp(),
        told_at timestamptz,
        times int not null default 1,
        last_run uuid,
        closed_at timestamptz
    )
    """,
    "create unique index open on penstock.incidents (flow, fingerprint) where closed_at is null",
    # When a reject was mailed, and to whom: who was told once is told again.
    "alter table penstock.rejects add column mailed_at timestamptz, add column mailed_to text[]",
    # The columns beside the key that the row would have filled: other columns leave it be.
    "alter table penstock.rejects add column supplied text[]",
    # Which contents a flow has brought from where: each comes once.
    """
    create table penstock.fetched (
        flow text not null,
        source text not null,
        sha256 text not null,
        name text not null,
        bytes bigint not null,
        modified timestamptz,
        version text not null,
        local text not null,
        run_id uuid not null references penstock.runs,
        fetched_at timestamptz not null default clock_timestamp(),
        primary key (flow, source, sha256, name)
    )
    """,
    # What other systems have taken. `pending` is the content of a record that was sent and not
    # answered yet: after a kill it is known what may have arrived.
    """
    create table penstock.sent (
        flow text not null,
        target text not null,
        module text not null,
        kind text not null check (kind in ('record', 'link')),
        key text not null,
        hash bytea,
        target_id text not null default '',
        sent_at timestamptz,
        load_id uuid not null,
        pending bytea,
        primary key (flow, target, module, kind, key)
    )
    """,
    # One row for each start that was due: who inserts it has it, so two schedulers start once.
    """
    create table penstock.schedules (
        flow text not null,
        due_at timestamptz not null,
        status text not null
            check (status in ('watched', 'claimed', 'running', 'ended', 'skipped', 'lost')),
        missed int not null default 0,
        claim uuid,
        host text not null default '',
        process int,
        beat timestamptz not null default clock_timestamp(),
        run_id uuid,
        started_at timestamptz,
        finished_at timestamptz,
        exit_code int,
        note text,
        primary key (flow, due_at)
    )
    """,
    "create index on penstock.schedules (beat) where status in ('claimed', 'running')",
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
