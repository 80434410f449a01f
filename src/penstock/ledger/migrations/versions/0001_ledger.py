"""Runs, loads, rejects and files, and the view that shows each load's equation."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_RUNS = """
create table penstock.runs (
    run_id uuid primary key,
    kind text not null,
    command text not null default '',
    status text not null default 'running'
        check (status in ('running', 'succeeded', 'failed', 'interrupted', 'dry_run')),
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    target text not null default '',
    host text not null default '',
    process int,
    backend_pid int,
    backend_start timestamptz,
    version text not null default '',
    error text
)
"""
# `options` is how the values were written, so that a replay of a reject reads it in the same way;
# json, as jsonb cannot hold every text in every encoding.
_LOADS = """
create table penstock.loads (
    load_id uuid primary key,
    run_id uuid not null references penstock.runs,
    schema_name text not null,
    table_name text not null,
    mode text not null,
    status text not null default 'running'
        check (status in ('running', 'succeeded', 'failed', 'interrupted', 'dry_run', 'anew')),
    sources text[] not null default '{}',
    options json not null default '{}',
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    seconds double precision,
    read bigint not null default 0,
    inserted bigint not null default 0,
    updated bigint not null default 0,
    unchanged bigint not null default 0,
    deleted bigint not null default 0,
    inferred bigint not null default 0,
    ignored bigint not null default 0,
    filtered bigint not null default 0,
    quarantined bigint not null default 0,
    changes jsonb not null default '{}',
    skipped text[] not null default '{}',
    strategy text not null default '',
    error text,
    constraint balanced check (status <> 'succeeded' or
        read = inserted + updated + unchanged + ignored + filtered + quarantined)
)
"""
# `raw_values` is json, not jsonb: it keeps the order of the source's columns, and any text.
# `pattern` names the combination of columns and codes in eight bytes, so that the index `patterns`
# answers what waits, and why, without the rows: 0.1 s for a million of them.
_REJECTS = """
create table penstock.rejects (
    reject_id bigint generated always as identity primary key,
    load_id uuid not null references penstock.loads,
    schema_name text not null,
    table_name text not null,
    fingerprint bytea not null,
    source text not null,
    record bigint not null,
    line bigint not null,
    raw bytea not null,
    raw_values json,
    columns text[] not null,
    codes text[] not null,
    reasons text[] not null,
    bad_values text[] not null,
    key text[],
    status text not null default 'waiting'
        check (status in ('waiting', 'replayed', 'resolved', 'discarded', 'void')),
    times int not null default 1,
    first_seen timestamptz not null default clock_timestamp(),
    last_seen timestamptz not null default clock_timestamp(),
    last_load uuid not null,
    closed_at timestamptz,
    closed_by uuid,
    discarded_by text,
    note text,
    pattern bigint generated always as
        (hash_array_extended(columns, hash_array_extended(codes, 0))) stored
)
"""
_FILES = """
create table penstock.files (
    schema_name text not null,
    table_name text not null,
    sha256 bytea not null,
    bytes bigint not null,
    name text not null,
    load_id uuid not null references penstock.loads,
    loaded_at timestamptz not null default clock_timestamp(),
    current boolean not null default true,
    primary key (schema_name, table_name, sha256)
)
"""
_BALANCE = """
create view penstock.balance as
select l.load_id, l.run_id, l.schema_name, l.table_name, l.mode, l.finished_at,
       l.read, l.inserted, l.updated, l.unchanged, l.ignored, l.filtered, l.quarantined,
       l.deleted, l.inferred,
       l.read = l.inserted + l.updated + l.unchanged + l.ignored + l.filtered + l.quarantined
         as balanced
from penstock.loads l
where l.status = 'succeeded'
"""
_INDEXES = [
    "create index on penstock.runs (started_at desc)",
    "create index on penstock.runs (run_id) where status = 'running'",
    "create index on penstock.loads (run_id)",
    "create index on penstock.loads (schema_name, table_name, started_at desc)",
    "create unique index waiting on penstock.rejects (schema_name, table_name, fingerprint) "
    "where status = 'waiting'",
    "create index patterns on penstock.rejects (schema_name, table_name, status, pattern) "
    "include (reject_id, first_seen, last_seen)",
    "create index on penstock.rejects (load_id)",
    "create index on penstock.rejects (last_load)",
    "create index closed on penstock.rejects ((coalesce(closed_at, last_seen))) "
    "where status <> 'waiting'",
]


def upgrade() -> None:
    """Make the tables; the schema itself is there already, it holds Alembic's version table."""
    for statement in (_RUNS, _LOADS, _REJECTS, _FILES, _BALANCE, *_INDEXES):
        op.execute(statement)
    op.execute("comment on schema penstock is 'The ledger of Penstock: what every load did'")


def downgrade() -> None:
    """The ledger is an audit trail: it is not taken away by a downgrade.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError("The ledger cannot be downgraded: restore a backup instead")
