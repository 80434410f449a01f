-- The star: two dimensions and the sales that refer to them.
create table if not exists dim_products (
    product_id  integer primary key,
    name        text not null,
    category    text not null,
    season      text not null check (season in ('spring', 'summer', 'autumn', 'winter', 'all year')),
    launch_date date not null,
    price       numeric(8, 2) not null check (price > 0),
    unit_cost   numeric(8, 2) not null check (unit_cost > 0)
);

create table if not exists dim_customers (
    customer_id integer primary key,
    name        text not null,
    email       text not null unique,
    region      text not null,
    segment     text,
    signed_up   date not null
);

create table if not exists fact_sales (
    sale_id     bigint primary key,
    sale_date   date not null,
    product_id  integer not null references dim_products,
    customer_id integer not null references dim_customers,
    units       integer not null check (units > 0),
    discount    numeric(3, 2) not null check (discount between 0 and 0.30),
    revenue     numeric(10, 2) not null,
    cost        numeric(10, 2) not null,
    margin      numeric(10, 2) not null,
    check (margin = revenue - cost)
);

create index if not exists fact_sales_sale_date on fact_sales (sale_date);
