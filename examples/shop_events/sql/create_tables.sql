-- The same again changes nothing. A part of each month is made ahead; dashboards that ask for a span
-- of time read only its parts.
create table if not exists events (
    event_id     text not null,
    version      integer not null,
    type         text not null,
    occurred_at  timestamptz not null,
    user_id      text,
    product      text,
    quantity     integer check (quantity > 0),
    price        numeric(12, 2) check (price >= 0),
    source       text not null,         -- audit: filled in by the workers
    ingested_at  timestamptz not null,
    processed_at timestamptz not null,
    run_id       uuid not null,
    primary key (event_id, occurred_at)
) partition by range (occurred_at);

create table if not exists events_2026_01 partition of events
    for values from ('2026-01-01 00:00+00') to ('2026-02-01 00:00+00');
create table if not exists events_2026_02 partition of events
    for values from ('2026-02-01 00:00+00') to ('2026-03-01 00:00+00');
create table if not exists events_2026_03 partition of events
    for values from ('2026-03-01 00:00+00') to ('2026-04-01 00:00+00');

-- "What happened lately, of one type" and "what did this user do".
create index if not exists events_type_occurred_at on events (type, occurred_at);
create index if not exists events_user_id_occurred_at on events (user_id, occurred_at);

-- What the daily flow (main.py) makes of them: a row for each visit, and how far it came.
create table if not exists user_sessions (
    day            date not null,           -- in UTC, on which it began
    user_id        text not null,
    started_at     timestamptz not null,
    ended_at       timestamptz not null,
    events         integer not null,
    product_views  integer not null,
    cart_adds      integer not null,
    purchases      integer not null,
    amount         numeric(12, 2),
    funnel         text not null check (funnel in ('visit', 'product', 'cart', 'purchase')),
    returning_user boolean not null,
    first_purchase boolean not null,
    primary key (user_id, started_at)
);
create index if not exists user_sessions_day on user_sessions (day);
