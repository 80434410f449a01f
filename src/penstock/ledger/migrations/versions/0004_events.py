"""Events: where they wait, which were received before, what the targets hold of them."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_STATEMENTS = [
    """
    create table penstock.sources (
        source_id int generated always as identity primary key,
        pipeline text not null,
        source text not null,
        unique (pipeline, source)
    )
    """,
    # One commit of intake. `origin` is where it came from: a file, a page, the receiver.
    """
    create table penstock.chunks (
        chunk bigint generated always as identity primary key,
        source_id int not null references penstock.sources,
        origin text not null default '',
        received int not null,
        staged int not null,
        repeated int not null,
        received_at timestamptz not null default now(),
        check (received = staged + repeated)
    )
    """,
    "create index on penstock.chunks (source_id, received_at)",
    # What was received, as it was received; never updated. `penstock.payload` reads it as jsonb.
    """
    create table penstock.events (
        chunk bigint not null,
        pos int not null,
        source_id int not null,
        delivery_id text collate "C" not null,
        received_at timestamptz not null default now(),
        raw bytea not null
    ) partition by range (received_at)
    """,
    "create index on penstock.events (chunk, pos)",
    # Which deliveries were received, without limit of time: it outlives the events.
    """
    create table penstock.event_ids (
        source_id int not null,
        delivery_id text collate "C" not null,
        chunk bigint not null,
        pos int not null,
        primary key (source_id, delivery_id)
    )
    """,
    # The only rows that change while events are worked on: ranges of a chunk.
    """
    create table penstock.batches (
        batch_id bigint generated always as identity primary key,
        kind text not null default 'new' check (kind in ('new', 'requeue', 'replay')),
        pipeline text not null,
        source_id int not null,
        chunk bigint not null,
        pos_from int not null,
        pos_to int not null,
        received_at timestamptz not null,
        status text not null default 'pending'
            check (status in ('pending', 'processing', 'succeeded', 'split', 'dead', 'gone')),
        attempts int not null default 0,
        token bigint not null default 0,
        worker text,
        backend_pid int,
        backend_start timestamptz,
        lease_until timestamptz,
        next_attempt_at timestamptz not null default clock_timestamp(),
        processed_at timestamptz,
        load_id uuid,
        dropped int not null default 0,
        failed int not null default 0,
        older int not null default 0,
        last_error text,
        check (pos_from < pos_to),
        check (dropped + failed <= pos_to - pos_from)
    ) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)
    """,
    "create index on penstock.batches (pipeline, next_attempt_at) "
    "where status in ('pending', 'processing')",
    "create index on penstock.batches (chunk, pos_from)",
    # Events that are not what their batch is.
    """
    create table penstock.event_states (
        chunk bigint not null,
        pos int not null,
        pipeline text not null,
        status text not null check (status in ('failed', 'dead', 'discarded')),
        attempts int not null default 1,
        code text not null,
        reason text not null,
        changed_at timestamptz not null default clock_timestamp(),
        note text,
        primary key (chunk, pos)
    )
    """,
    "create index on penstock.event_states (pipeline, status, changed_at)",
    # Which keys a target holds, since when and in which version: the unique key of tables that are
    # partitioned by time, and what keeps older versions from overwriting newer ones.
    """
    create table penstock.event_targets (
        target_id int generated always as identity primary key,
        schema_name text not null,
        table_name text not null,
        unique (schema_name, table_name)
    )
    """,
    """
    create table penstock.event_keys (
        target_id int not null,
        key text collate "C" not null,
        held_at timestamptz,
        version bigint,
        primary key (target_id, key)
    )
    """,
    # How far a file drop was read: a huge file goes on where it was cut off.
    """
    create table penstock.drops (
        source_id int not null references penstock.sources,
        sha256 bytea not null,
        name text not null,
        bytes bigint not null,
        records bigint not null default 0,
        finished_at timestamptz,
        primary key (source_id, sha256)
    )
    """,
    # What is JSON that jsonb holds without loss, as far as PostgreSQL can say; else null.
    """
    create function penstock.payload(raw bytea) returns jsonb
    language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
    begin
        return convert_from(raw, 'UTF8')::jsonb;
    exception when others then
        return null;
    end $$
    """,
    # Days of `events` ahead; run by the owner for those who may only insert.
    """
    create function penstock.provide_event_days(ahead int) returns int
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
    declare
        day date := (now() at time zone 'UTC')::date;
        made int := 0;
        name text;
    begin
        if ahead not between 0 and 31 then
            raise exception 'between 0 and 31 days ahead, not %', ahead;
        end if;
        for step in 0..ahead loop
            name := 'events_' || to_char(day + step, 'YYYYMMDD');
            if to_regclass('penstock.' || name) is null then
                perform pg_advisory_xact_lock(7021886120452169326);
                if to_regclass('penstock.' || name) is null then
                    execute format(
                        'create table penstock.%I partition of penstock.events '
                        'for values from (%L) to (%L)', name,
                        (day + step) || ' 00:00+00', (day + step + 1) || ' 00:00+00');
                    made := made + 1;
                end if;
            end if;
        end loop;
        return made;
    end $$
    """,
    "revoke all on function penstock.provide_event_days(int) from public",
    """
    create view penstock.event_status as
    select s.pipeline, s.source, e.chunk, e.pos, e.delivery_id, e.received_at,
           coalesce(x.status, b.status) as status, coalesce(x.attempts, b.attempts) as attempts,
           case when b.status = 'pending' then b.next_attempt_at end as next_attempt_at,
           b.processed_at, coalesce(x.reason, b.last_error) as last_error, b.batch_id, e.raw
    from penstock.events e
    join penstock.sources s using (source_id)
    join penstock.batches b
      on b.chunk = e.chunk and e.pos >= b.pos_from and e.pos < b.pos_to
     and b.kind = 'new' and b.status <> 'split'
    left join penstock.event_states x on x.chunk = e.chunk and x.pos = e.pos
    """,
    # Each source: what was received is repeated, waiting, in the target, dropped, failed or dead.
    """
    create view penstock.event_balance as
    with staged as (
        select source_id, sum(received) as received, sum(staged) as staged,
               sum(repeated) as repeated
        from penstock.chunks group by source_id),
    worked as (
        select source_id,
               sum(pos_to - pos_from) filter (where status in ('pending', 'processing')) as waiting,
               sum(pos_to - pos_from) filter (where status = 'succeeded') as done,
               sum(pos_to - pos_from) filter (where status = 'dead') as dead,
               sum(dropped) filter (where status = 'succeeded') as dropped,
               sum(failed) filter (where status = 'succeeded') as failed
        from penstock.batches where kind = 'new' and status <> 'split' group by source_id)
    select s.pipeline, s.source, coalesce(g.received, 0) as received,
           coalesce(g.repeated, 0) as repeated, coalesce(w.waiting, 0) as waiting,
           coalesce(w.done, 0) - coalesce(w.dropped, 0) - coalesce(w.failed, 0) as loaded,
           coalesce(w.dropped, 0) as dropped, coalesce(w.failed, 0) as failed,
           coalesce(w.dead, 0) as dead,
           coalesce(g.staged, 0) = coalesce(w.waiting, 0) + coalesce(w.done, 0)
             + coalesce(w.dead, 0) as balanced
    from penstock.sources s
    left join staged g using (source_id) left join worked w using (source_id)
    """,
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
