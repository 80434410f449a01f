create table if not exists prices (
    supplier   text not null,
    article    text not null,
    name       text not null,
    price      numeric(10,2) not null check (price > 0),
    currency   text not null check (currency in ('EUR', 'CHF', 'USD')),
    valid_from date not null,
    active     boolean not null default true,
    primary key (supplier, article)
);
-- Another supplier's: nothing that Acme sends may touch them.
insert into prices
select 'Borealis', 'B' || n, 'Lamp ' || n, n + 0.5, 'EUR', '2025-01-01'
from generate_series(1, 25) n
on conflict do nothing;
