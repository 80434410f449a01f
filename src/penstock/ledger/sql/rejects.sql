-- Rejects: written by loads, read and closed by people.

-- name: incoming
-- Rejects arrive by COPY in a table of the transaction's own.
create temporary table penstock_rejects_in (
    fingerprint bytea not null, source text not null, record bigint not null,
    line bigint not null, raw bytea not null, raw_values json, columns text[] not null,
    codes text[] not null, reasons text[] not null, bad_values text[] not null, key text[],
    awaits_parent boolean not null, row bigint not null
) on commit drop;

-- name: lock
-- Rows that wait already, in an order that does not depend on a load's file: of two loads that meet the
-- same rows one comes after the other.
select from penstock.rejects r join pg_temp.penstock_rejects_in i on i.fingerprint = r.fingerprint
where r.schema_name = %(schema)s and r.table_name = %(table)s and r.status = 'waiting'
order by r.fingerprint for update of r;

-- name: beside
-- Held until commit by who writes rejects of the table; any number of loads at once.
select pg_advisory_xact_lock_shared(
    hashtextextended(format('penstock.rejects of %%I.%%I', %(schema)s::text, %(table)s::text), 0));

-- name: alone
-- Waits until no other transaction holds `beside`, and keeps them waiting.
select pg_advisory_xact_lock(
    hashtextextended(format('penstock.rejects of %%I.%%I', %(schema)s::text, %(table)s::text), 0));

-- name: merge
-- The same refused row of the same table met again is the same problem: it counts up.
insert into penstock.rejects as r (load_id, last_load, schema_name, table_name, fingerprint,
    source, record, line, raw, raw_values, columns, codes, reasons, bad_values, key, awaits_parent,
    supplied)
select %(load_id)s, %(load_id)s, %(schema)s, %(table)s, i.fingerprint, i.source, i.record, i.line,
       i.raw, i.raw_values, i.columns, i.codes, i.reasons, i.bad_values, i.key, i.awaits_parent,
       %(supplied)s
from pg_temp.penstock_rejects_in i
order by i.row
on conflict (schema_name, table_name, fingerprint) where status = 'waiting'
do update set times = r.times + 1, last_seen = clock_timestamp(), last_load = excluded.last_load,
              source = excluded.source, record = excluded.record, line = excluded.line,
              columns = excluded.columns, codes = excluded.codes, reasons = excluded.reasons,
              bad_values = excluded.bad_values, key = excluded.key,
              awaits_parent = excluded.awaits_parent, supplied = excluded.supplied;

-- name: overtaken
-- Of rows that wait for their parents under one and the same key, and fill the same columns, the
-- newest counts. `merge` has written the rows of one load in the order in which it took them.
with found as (
  select r.reject_id from penstock.rejects r
  where r.schema_name = %(schema)s and r.table_name = %(table)s and r.status = 'waiting'
    and r.awaits_parent and r.key is not null
    and exists (select from penstock.rejects n
                where n.schema_name = r.schema_name and n.table_name = r.table_name
                  and n.status = 'waiting' and n.awaits_parent and n.key = r.key
                  and n.last_load = %(load_id)s
                  and (r.supplied && n.supplied or coalesce(r.supplied, '{}') = '{}')
                  and (r.last_seen, r.reject_id) < (n.last_seen, n.reject_id))
  order by r.reject_id for update)
update penstock.rejects r
set status = 'resolved', closed_at = clock_timestamp(), closed_by = %(load_id)s,
    note = 'superseded: a newer row with its key came, and waits for its parent'
from found where r.reject_id = found.reject_id;

-- name: void
-- After a rollback: to look at and export, not to replay.
insert into penstock.rejects (load_id, last_load, schema_name, table_name, fingerprint,
    source, record, line, raw, raw_values, columns, codes, reasons, bad_values, key, status)
select %(load_id)s, %(load_id)s, %(schema)s, %(table)s, i.fingerprint, i.source, i.record, i.line,
       i.raw, i.raw_values, i.columns, i.codes, i.reasons, i.bad_values, i.key, 'void'
from pg_temp.penstock_rejects_in i
order by i.row;

-- name: supersede
-- The table was emptied and filled anew: what was refused before and did not come again is over.
update penstock.rejects
set status = 'resolved', closed_at = clock_timestamp(), closed_by = %(load_id)s,
    note = 'the table was emptied and filled anew'
where schema_name = %(schema)s and table_name = %(table)s and status = 'waiting'
  and last_load <> %(load_id)s
returning awaits_parent;

-- name: replace
-- Rows that wait for their parents, of a part of the table that was filled anew without them.
update penstock.rejects
set status = 'resolved', closed_at = clock_timestamp(), closed_by = %(load_id)s,
    note = 'superseded: this part of the table was filled anew'
where reject_id = any (%(ids)s::bigint[]) and status = 'waiting' and last_load <> %(load_id)s;

-- name: cleared
-- The table was emptied, so that its files may come again: what waited for a parent comes with them.
update penstock.rejects
set status = 'resolved', closed_at = clock_timestamp(), note = 'superseded: the table was emptied'
where schema_name = %(schema)s and table_name = %(table)s and status = 'waiting' and awaits_parent;

-- name: waiting_keys
-- Are there rejects of the table that a load may resolve by bringing their key?
select exists (select from penstock.rejects
               where schema_name = %(schema)s and table_name = %(table)s and status = 'waiting'
                 and key is not null);
