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
