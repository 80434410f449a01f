-- Queries of the registry: which keys a target holds.

-- name: find_target
-- The number of a target.
select target_id from penstock.event_targets
where schema_name = %(schema)s and table_name = %(table)s;

-- name: add_target
-- Another process may add it at the same time.
insert into penstock.event_targets (schema_name, table_name) values (%(schema)s, %(table)s)
on conflict do nothing;

-- name: known
-- What the target holds of these keys: of each its time in seconds since 1970 with six decimals, its
-- version, and itself, with tabs between. One text is read sooner than as many rows. Of no text
-- PostgreSQL makes no key, and not the empty one.
select string_agg(
  concat(extract(epoch from held_at), E'\t', version, E'\t', key), %(mark)s)
from penstock.event_keys
where target_id = %(target)s and key = any (
  case when %(keys)s = '' then array[''] else string_to_array(%(keys)s, %(mark)s) end);

-- name: change
-- Only what is as it was seen: else another worker was quicker.
update penstock.event_keys k set held_at = n.held_at, version = n.version
from unnest(%(keys)s::text[], %(held)s::timestamptz[], %(versions)s::bigint[],
            %(seen_held)s::timestamptz[], %(seen_versions)s::bigint[])
     n(key, held_at, version, seen_held, seen_version)
where k.target_id = %(target)s and k.key = n.key collate "C"
  and k.held_at is not distinct from n.seen_held
  and k.version is not distinct from n.seen_version;

-- name: hold
-- Keys that stay as they are stay so until the transaction ends; in their order.
select count(*) from (
  select from penstock.event_keys k
  join unnest(%(keys)s::text[], %(seen_held)s::timestamptz[], %(seen_versions)s::bigint[])
       n(key, seen_held, seen_version)
    on k.key = n.key collate "C"
  where k.target_id = %(target)s and k.held_at is not distinct from n.seen_held
    and k.version is not distinct from n.seen_version
  order by k.key for share of k) held;
