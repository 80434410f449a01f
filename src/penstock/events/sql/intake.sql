-- Queries of intake: which files were taken, and how far.

-- name: known_names
-- The files that were seen, as they were then, and whether their content was taken whole.
select n.name, n.bytes, n.version from penstock.drop_names n
join penstock.drops d using (source_id, sha256)
where n.source_id = %(source)s and d.finished_at is not null;

-- name: see_name
-- What a file holds; what it held before does not matter any more.
insert into penstock.drop_names (source_id, name, bytes, version, sha256)
values (%(source)s, %(name)s, %(bytes)s, %(version)s, %(sha256)s)
on conflict (source_id, name) do update
set bytes = excluded.bytes, version = excluded.version, sha256 = excluded.sha256;

-- name: begin_drop
-- A content that comes for the first time; another process may begin it at the same time.
insert into penstock.drops (source_id, sha256, name, bytes)
values (%(source)s, %(sha256)s, %(name)s, %(bytes)s)
on conflict do nothing;

-- name: drop
-- How far a content was taken.
select records, finished_at is not null, name from penstock.drops
where source_id = %(source)s and sha256 = %(sha256)s;

-- name: move_drop
-- Only from where it was seen: else another process takes the same file.
update penstock.drops set records = records + %(taken)s
where source_id = %(source)s and sha256 = %(sha256)s and records = %(records)s
  and finished_at is null;

-- name: finish_drop
-- All of it was taken.
update penstock.drops set finished_at = now()
where source_id = %(source)s and sha256 = %(sha256)s and records = %(records)s
  and finished_at is null;

-- name: cursor
-- How far an API was read.
select value from penstock.cursors where flow = %(flow)s and name = %(name)s;

-- name: lock_cursor
-- How far an API was read; nobody else moves it meanwhile.
select value from penstock.cursors where flow = %(flow)s and name = %(name)s for update;

-- name: move_cursor
-- It has been read up to here, and no more is read from before.
insert into penstock.cursors (flow, name, value, run_id)
values (%(flow)s, %(name)s, %(value)s, %(run_id)s)
on conflict (flow, name) do update
set value = excluded.value, run_id = excluded.run_id, moved_at = clock_timestamp();
