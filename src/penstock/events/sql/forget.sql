-- Queries of forgetting a person. They are run by the ledger's owner.

-- name: may_forget
-- May this role change events, and who may?
select has_table_privilege('penstock.events', 'UPDATE')
       and has_table_privilege('penstock.rejects', 'DELETE')
       and has_table_privilege('penstock.event_keys', 'DELETE'),
       pg_get_userbyid(relowner)
from pg_catalog.pg_class where oid = 'penstock.events'::regclass;

-- name: candidates
-- Events that hold the value as it is, or a text that may be it, written otherwise or encrypted.
select s.source, e.chunk, e.pos, e.received_at, e.raw,
       position('"enc:1:'::bytea in e.raw) > 0 and exists (
           select from penstock.chunks c where c.chunk = e.chunk and c.encrypted)
from penstock.events e join penstock.sources s using (source_id)
where s.pipeline = %(pipeline)s
  and (position(%(value)s in e.raw) > 0 or position('\x5c'::bytea in e.raw) > 0
       or position('"enc:1:'::bytea in e.raw) > 0);

-- name: encrypted_of
-- Chunks of a file of the archive whose events are encrypted.
select c.chunk from penstock.archived a join penstock.chunks c using (chunk)
where a.file = %(file)s and c.encrypted;

-- name: take_from_workers
-- Who works on such an event now has read it: it cannot finish, and another reads anew.
update penstock.batches b
set status = 'pending', token = b.token + 1, lease_until = null, backend_pid = null,
    backend_start = null, last_error = null, next_attempt_at = clock_timestamp()
where b.status = 'processing'
  and exists (select from unnest(%(chunks)s::bigint[], %(places)s::int[]) n(chunk, pos)
              where n.chunk = b.chunk and n.pos >= b.pos_from and n.pos < b.pos_to);

-- name: forget_events
-- The place stays, and what it held goes.
update penstock.events e set raw = %(forgotten)s
from unnest(%(chunks)s::bigint[], %(places)s::int[], %(received)s::timestamptz[])
     n(chunk, pos, received_at)
where e.chunk = n.chunk and e.pos = n.pos and e.received_at = n.received_at;

-- name: forget_states
-- Why it failed may name what it held.
update penstock.event_states x
set reason = 'forgotten', changed_at = clock_timestamp(),
    status = case when x.status in ('failed', 'dead') then 'discarded' else x.status end
from unnest(%(chunks)s::bigint[], %(places)s::int[]) n(chunk, pos)
where x.chunk = n.chunk and x.pos = n.pos;

-- name: forget_errors
-- What a batch with such an event was put back for.
update penstock.batches b set last_error = null
where b.last_error is not null
  and exists (select from unnest(%(chunks)s::bigint[], %(places)s::int[]) n(chunk, pos)
              where n.chunk = b.chunk and n.pos >= b.pos_from and n.pos < b.pos_to);

-- name: forget_checks
-- Keys of rows that checks of the target found.
update penstock.checks set examples = '{}'
where schema_name = %(schema)s and table_name = %(table)s and load_id is null and examples <> '{}';

-- name: reject_candidates
-- Refused rows of a pipeline, by where they came from, or by what they hold.
select r.reject_id, r.raw,
       exists (select from unnest(%(origins)s::text[], %(places)s::int[]) n(origin, pos)
               where n.origin = r.source and n.pos + 1 = r.record),
       (select s.source from penstock.chunks c join penstock.sources s using (source_id)
        where c.encrypted and c.chunk = substring(r.source from ' chunk ([0-9]{1,18})$')::bigint)
from penstock.rejects r
where r.source ^@ (%(pipeline)s || '/')
  and (position(%(value)s in r.raw) > 0 or position('\x5c'::bytea in r.raw) > 0
       or position('"enc:1:'::bytea in r.raw) > 0 or r.source = any (%(origins)s));

-- name: forget_rejects
-- With what was refused of them.
delete from penstock.rejects where reject_id = any (%(ids)s);

-- name: forget_keys
-- What the target holds no more.
delete from penstock.event_keys k using penstock.event_targets t
where t.target_id = k.target_id and t.schema_name = %(schema)s and t.table_name = %(table)s
  and k.key = any (%(keys)s);

-- name: rehash
-- A file of the archive is about to be written anew.
update penstock.archive_files set sha256 = %(sha256)s, content_sha256 = %(content_sha256)s
where file = %(file)s;
