-- name: same
insert into fact_sales select * from fact_sales_source order by sale_id;
vacuum analyze fact_sales;
checkpoint;

-- name: changed
insert into fact_sales
select sale_id, sale_date, customer_id, product_id, units + (sale_id % 100 = 0)::int, discount,
       revenue, cost, margin
from fact_sales_source order by sale_id;
vacuum analyze fact_sales;
checkpoint;

-- name: gone
insert into fact_sales
select sale_id, sale_date, customer_id, product_id, units + (sale_id % 100 = 0)::int, discount,
       revenue, cost, margin
from fact_sales_source order by sale_id;
insert into fact_sales
select sale_id + 1000000000, sale_date, customer_id, product_id, units, discount, revenue, cost, margin
from fact_sales_source where sale_id % 1000 = 0 order by sale_id;
vacuum analyze fact_sales;
checkpoint;

-- name: history
insert into fact_history (sale_id, sale_date, customer_id, product_id, units, discount, revenue, cost,
                          margin, valid_from, is_current)
select sale_id, sale_date, customer_id, product_id, units + (sale_id % 100 = 0)::int, discount,
       revenue, cost, margin, '2020-01-01', true
from fact_sales_source order by sale_id;
vacuum analyze fact_history;
checkpoint;

-- name: differs
update fact_sales set units = units + 1 where sale_id % 100 = 0;
vacuum analyze fact_sales;
truncate penstock.runs, penstock.loads, penstock.rejects, penstock.files, penstock.jobs, penstock.outbox,
  penstock.fetched, penstock.sent, penstock.schedules;
checkpoint;

-- name: differs, more
update fact_sales set units = units + 1 where sale_id % 100 = 0;
insert into fact_sales
select sale_id + 1000000000, sale_date, customer_id, product_id, units, discount, revenue, cost, margin
from fact_sales where sale_id % 1000 = 0 order by sale_id;
vacuum analyze fact_sales;
truncate penstock.runs, penstock.loads, penstock.rejects, penstock.files, penstock.jobs, penstock.outbox,
  penstock.fetched, penstock.sent, penstock.schedules;
checkpoint;

-- name: past
insert into fact_history (sale_id, sale_date, customer_id, product_id, units, discount, revenue, cost,
                          margin, valid_from, is_current)
select sale_id, sale_date, customer_id, product_id, units + (sale_id % 100 = 0)::int, discount,
       revenue, cost, margin, '2020-01-01', true
from fact_sales order by sale_id;
vacuum analyze fact_history;
truncate penstock.runs, penstock.loads, penstock.rejects, penstock.files, penstock.jobs, penstock.outbox,
  penstock.fetched, penstock.sent, penstock.schedules;
checkpoint;

-- name: rejects
-- A million rows that wait, for three reasons.
insert into penstock.runs (run_id, kind, status)
values ('00000000-0000-0000-0000-000000000001', 'load', 'succeeded');
insert into penstock.loads (load_id, run_id, schema_name, table_name, mode, status, read, quarantined)
values ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 'public',
        'fact_sales', 'append', 'succeeded', 1000000, 1000000);
insert into penstock.rejects (load_id, last_load, schema_name, table_name, fingerprint, source,
                              record, line, raw, columns, codes, reasons, bad_values)
select l.load_id, l.load_id, 'public', 'fact_sales', sha256(n::text::bytea), 'sales.csv', n, n + 1,
       'x'::bytea, array[(array['units', 'revenue', 'customer_id'])[1 + n % 3]],
       array[(array['22P02', 'scale', '23503'])[1 + n % 3]], array['wrong'], array[n::text]
from penstock.loads l, generate_series(1, 1000000) n;
vacuum analyze penstock.rejects;
checkpoint;
