-- The star that is loaded, and the same columns without any constraint ("bare").

create table dim_products (
    product_id integer primary key,
    name       text not null,
    price      numeric(10, 2) not null
);

create table dim_customers (
    customer_id integer primary key,
    name        text not null,
    city        text not null
);

create table fact_sales (
    sale_id     bigint primary key,
    sale_date   date not null,
    customer_id integer not null references dim_customers,
    product_id  integer not null references dim_products,
    units       integer not null,
    discount    numeric(4, 2) not null,
    revenue     numeric(12, 2) not null,
    cost        numeric(12, 2) not null,
    margin      numeric(12, 2) not null
);

create table fact_sales_bare (
    sale_id     bigint,
    sale_date   date,
    customer_id integer,
    product_id  integer,
    units       integer,
    discount    numeric(4, 2),
    revenue     numeric(12, 2),
    cost        numeric(12, 2),
    margin      numeric(12, 2)
);

-- For the load of twenty rows: nothing refers to it.
create table products (like dim_products including all);

-- For the modes that go by a key: what the table holds before, and versions of it.
create unlogged table fact_sales_source (like fact_sales_bare);
create table fact_history (
    version_id  bigint generated always as identity primary key,
    sale_id     bigint not null,
    sale_date   date not null,
    customer_id integer not null references dim_customers,
    product_id  integer not null references dim_products,
    units       integer not null,
    discount    numeric(4, 2) not null,
    revenue     numeric(12, 2) not null,
    cost        numeric(12, 2) not null,
    margin      numeric(12, 2) not null,
    valid_from  date not null,
    valid_to    date,
    is_current  boolean not null,
    unique (sale_id, valid_from)
);
