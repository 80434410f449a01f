-- The target of the event pipelines, and what the plain SQL way needs.
create table shop_events (
    event_id text collate "C" not null, user_id text, event_type text, occurred_at timestamptz not null,
    session_id text, url text, sku text, price numeric(10, 2), qty int,
    primary key (event_id, occurred_at)) partition by range (occurred_at);
create table shop_events_1 partition of shop_events for values from ('2025-12-01') to ('2026-01-12');
create table shop_events_2 partition of shop_events for values from ('2026-01-12') to ('2026-02-01');
create table sql_raw (payload jsonb);
create table sql_staging (
    event_id text not null primary key, payload jsonb not null, status text not null default 'pending',
    received_at timestamptz not null default now());
alter table shop_events owner to shop_owner;
alter table sql_raw owner to shop_owner;
alter table sql_staging owner to shop_owner;
grant select, insert, update on all tables in schema penstock to shop_owner;
grant usage on all sequences in schema penstock to shop_owner;
grant execute on all functions in schema penstock to shop_owner;
create table hand_made (id text primary key, raw bytea not null, received_at timestamptz not null default now());
alter table hand_made owner to shop_owner;
