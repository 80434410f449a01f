-- What was sent to other systems.

-- name: known
-- What each of these keys was last accepted with, and what is in the air.
select key, hash, target_id, pending is not null as in_the_air from penstock.sent
where flow = %(flow)s and target = %(target)s and module = %(module)s and kind = %(kind)s
  and key = any (%(keys)s::text[]);

-- name: intend
-- Before records are sent: after a kill it is known which of them may have arrived.
insert into penstock.sent as s (flow, target, module, kind, key, load_id, pending)
select %(flow)s, %(target)s, %(module)s, %(kind)s, i.key, %(load_id)s, i.hash
from unnest(%(keys)s::text[], %(hashes)s::bytea[]) i(key, hash)
on conflict (flow, target, module, kind, key) do update
set pending = excluded.pending, load_id = excluded.load_id;

-- name: book
-- The other system has them.
update penstock.sent s
set hash = i.hash, target_id = i.target_id, load_id = %(load_id)s, pending = null,
    sent_at = clock_timestamp()
from unnest(%(keys)s::text[], %(hashes)s::bytea[], %(ids)s::text[]) i(key, hash, target_id)
where s.flow = %(flow)s and s.target = %(target)s and s.module = %(module)s and s.kind = %(kind)s
  and s.key = i.key;

-- name: let_go
-- It has not taken them.
update penstock.sent set pending = null
where flow = %(flow)s and target = %(target)s and module = %(module)s and kind = %(kind)s
  and key = any (%(keys)s::text[]);

-- name: resolve
-- Rows that were refused or not sent before, and whose key was taken now.
update penstock.rejects
set status = 'resolved', closed_at = clock_timestamp(), closed_by = %(load_id)s,
    note = 'a later send brought the row'
where reject_id in (
  select reject_id from penstock.rejects
  where schema_name = %(schema)s and table_name = %(table)s and status = 'waiting'
    and last_load <> %(load_id)s and key = any (select array[k] from unnest(%(keys)s::text[]) k)
  order by reject_id for update);
