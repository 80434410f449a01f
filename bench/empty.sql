-- Before each run: as if it were the first, and with nothing left to write for the server.
truncate fact_sales, fact_sales_bare, products;
truncate penstock.runs, penstock.loads, penstock.rejects, penstock.files, penstock.jobs, penstock.outbox, penstock.fetched;
truncate penstock.sent, penstock.schedules, penstock.checks;
truncate fact_history;
truncate penstock.chunks, penstock.events, penstock.event_ids, penstock.batches;
truncate penstock.event_states, penstock.event_keys, penstock.drops, penstock.drop_names;
truncate shop_events, sql_raw, sql_staging, hand_made;
drop schema if exists dlt_sales cascade;
checkpoint;
