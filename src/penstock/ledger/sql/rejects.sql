-- Rejects: written by loads, read and closed by people.

-- name: incoming
-- Rejects arrive by COPY in a table of the transaction's own.
create temporary table penstock_rejects_in (
    fingerprint bytea not null, source text not null, record bigint not null,
    line bigint not null, raw bytea not null, raw_values json, columns text[] not null,
    codes text[] not null, reasons text[] not null, bad_values text[] not null, key text[]
) on commit drop;

-- name: merge
-- The same refused row of the same table met again is the same problem: it counts up.
insert into penstock.rejects as r (load_id, last_load, schema_name, table_name, fingerprint,
    source, record, line, raw, raw_values, columns, codes, reasons, bad_values, key)
select %(load_id)s, %(load_id)s, %(schema)s, %(table)s, i.fingerprint, i.source, i.record, i.line,
       i.raw, i.raw_values, i.columns, i.codes, i.reasons, i.bad_values, i.key
from pg_temp.penstock_rejects_in i
order by i.source, i.record
on conflict (schema_name, table_name, fingerprint) where status = 'waiting'
do update set times = r.times + 1, last_seen = clock_timestamp(), last_load = excluded.last_load,
              source = excluded.source, record = excluded.record, line = excluded.line,
              columns = excluded.columns, codes = excluded.codes, reasons = excluded.reasons,
              bad_values = excluded.bad_values;

-- name: void
-- After a rollback: to look at and export, not to replay.
insert into penstock.rejects (load_id, last_load, schema_name, table_name, fingerprint,
    source, record, line, raw, raw_values, columns, codes, reasons, bad_values, key, status)
select %(load_id)s, %(load_id)s, %(schema)s, %(table)s, i.fingerprint, i.source, i.record, i.line,
       i.raw, i.raw_values, i.columns, i.codes, i.reasons, i.bad_values, i.key, 'void'
from pg_temp.penstock_rejects_in i
order by i.source, i.record;

-- name: supersede
-- The table was emptied and filled anew: what was refused before and did not come again is over.
update penstock.rejects
set status = 'resolved', closed_at = clock_timestamp(), closed_by = %(load_id)s,
    note = 'the table was emptied and filled anew'
where schema_name = %(schema)s and table_name = %(table)s and status = 'waiting'
  and last_load <> %(load_id)s;

-- name: waiting_keys
-- Are there rejects of the table that a load may resolve by bringing their key?
select exists (select from penstock.rejects
               where schema_name = %(schema)s and table_name = %(table)s and status = 'waiting'
                 and key is not null);
