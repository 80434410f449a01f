-- Rejects that are tried again. A reject is named by its number; what it was in its source stays.

-- name: sources
-- What there is to replay, with how the load that last met it was told to read; `selected`, of
-- quarantine.sql, and `sources_ordered` follow.
select r.reject_id, r.schema_name, r.table_name, r.status, r.raw_values::text, l.options::text,
       r.key is not null, coalesce(l.options ->> 'mode', l.mode),
       r.load_id::text
from penstock.rejects r left join penstock.loads l on l.load_id = r.last_load

-- name: awaiting
-- Goes after `sources`: what waits for its parents in one table, in the order in which it came last.
where r.schema_name = %(schema)s and r.table_name = %(table)s and r.status = 'waiting'
  and r.awaits_parent
order by r.last_seen, r.reject_id

-- name: sources_ordered
-- The end of `sources`.
order by r.reject_id

-- name: together
-- What was loaded in the runs that met these rejects, the first time or the last.
select distinct l.schema_name, l.table_name, l.options::text
from penstock.loads l
where l.run_id in (select k.run_id
                   from penstock.rejects r
                   join penstock.loads k on k.load_id in (r.load_id, r.last_load)
                   where r.reject_id = any (%(ids)s::bigint[]));

-- name: lock
-- Those that wait still, held until the transaction ends: two replays of the same rejects come one
-- after the other, and the second does not find them waiting.
select reject_id from penstock.rejects
where reject_id = any (%(ids)s::bigint[]) and status = 'waiting'
order by reject_id for update;

-- name: lock_free
-- As `lock`, without those that another session is trying now: nobody waits for the other.
select reject_id from penstock.rejects
where reject_id = any (%(ids)s::bigint[]) and status = 'waiting'
order by reject_id for update skip locked;

-- name: incoming
-- What is refused again arrives by COPY in a table of the transaction's own.
create temporary table penstock_refused_again (
    reject_id bigint not null, columns text[] not null, codes text[] not null,
    reasons text[] not null, bad_values text[] not null, awaits_parent boolean not null
) on commit drop;

-- name: refused_again
-- They wait on, with the new reasons. A row that a load tries again by itself, and one that waits for
-- its parents on, did not come anew: when it was seen last is what tells which of two rows with one
-- key is newer.
update penstock.rejects r
set times = r.times + 1, last_load = %(load_id)s,
    last_seen = case when %(by_itself)s or i.awaits_parent then r.last_seen else clock_timestamp() end,
    columns = i.columns, codes = i.codes, reasons = i.reasons, bad_values = i.bad_values,
    awaits_parent = i.awaits_parent
from pg_temp.penstock_refused_again i
where r.reject_id = i.reject_id;

-- name: replayed
-- All others are in the table, or were accounted for as copies.
update penstock.rejects r
set status = 'replayed', closed_at = clock_timestamp(), closed_by = %(load_id)s, note = %(note)s
where reject_id = any (%(ids)s::bigint[]) and status = 'waiting'
  and not exists (select from pg_temp.penstock_refused_again i where i.reject_id = r.reject_id);

-- name: overtaken
-- Rows that wait for their parents, and that one of the rows just replayed is newer than.
update penstock.rejects r
set status = 'resolved', closed_at = clock_timestamp(), closed_by = %(load_id)s,
    note = 'superseded: a newer row with its key was replayed'
from penstock.rejects n
where n.reject_id = any (%(ids)s::bigint[]) and n.status = 'replayed'
  and r.schema_name = n.schema_name and r.table_name = n.table_name and r.status = 'waiting'
  and r.awaits_parent and r.key = n.key and r.last_seen < n.last_seen;
