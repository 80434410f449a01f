-- Queries of the archive: what it holds, and what it does not hold yet.

-- name: lock_plan
-- One process at a time decides what goes into which file.
select pg_advisory_xact_lock(7021886120452169327);

-- name: to_archive
-- Chunks of hours that are over, or all, that are in no file yet. A commit that was late goes into
-- the next part of its hour.
select c.source_id, s.source, date_trunc('hour', c.received_at, 'UTC'), c.chunk, c.staged
from penstock.chunks c join penstock.sources s using (source_id)
where s.pipeline = %(pipeline)s and c.staged > 0
  and c.received_at < case when %(now)s then 'infinity' else date_trunc('hour', now(), 'UTC') end
  and not exists (select from penstock.archived a where a.chunk = c.chunk)
  and exists (select from penstock.events e
              where e.chunk = c.chunk and e.received_at = c.received_at)
order by 1, 3, 4;

-- name: last_part
-- Of a source's hour.
select coalesce(max(part), 0) from penstock.archive_files
where source_id = %(source)s and hour = %(hour)s;

-- name: plan_file
-- A file that is about to be written.
insert into penstock.archive_files (file, source_id, hour, part, events)
values (%(file)s, %(source)s, %(hour)s, %(part)s, %(events)s);

-- name: plan_chunks
-- What it holds, from now on for ever.
insert into penstock.archived (chunk, file) select unnest(%(chunks)s::bigint[]), %(file)s;

-- name: planned
-- Files that were not written, or not read back whole.
select f.file from penstock.archive_files f join penstock.sources s using (source_id)
where s.pipeline = %(pipeline)s and f.archived_at is null order by f.source_id, f.hour, f.part;

-- name: take_planned
-- One of them, unless another process is writing it.
select s.source, f.hour, f.part, f.events, f.source_id
from penstock.archive_files f join penstock.sources s using (source_id)
where f.file = %(file)s and f.archived_at is null for update of f skip locked;

-- name: chunks_of
-- What a file holds.
select a.chunk, c.staged, c.received_at
from penstock.archived a join penstock.chunks c using (chunk)
where a.file = %(file)s order by a.chunk;

-- name: events_of
-- The events of a file, in their order; the hour says in which partition they are.
select chunk, pos, delivery_id, received_at, raw from penstock.events
where source_id = %(source)s and received_at >= %(hour)s
  and received_at < %(hour)s + interval '1 hour'
  and chunk between %(first)s and %(last)s and chunk = any (%(chunks)s)
order by chunk, pos;

-- name: note
-- A file was read back whole.
update penstock.archive_files
set sha256 = %(sha256)s, content_sha256 = %(content_sha256)s, archived_at = clock_timestamp()
where file = %(file)s;

-- name: waiting
-- Events that are in staging only.
select coalesce(sum(c.staged), 0)
from penstock.chunks c join penstock.sources s using (source_id)
where s.pipeline = %(pipeline)s and c.staged > 0
  and not exists (select from penstock.archived a join penstock.archive_files f using (file)
                  where a.chunk = c.chunk and f.archived_at is not null)
  and exists (select from penstock.events e
              where e.chunk = c.chunk and e.received_at = c.received_at);

-- name: lost
-- Events that are neither in staging nor in a file; they may have gone before there was an archive.
select coalesce(sum(c.staged), 0)
from penstock.chunks c join penstock.sources s using (source_id)
where s.pipeline = %(pipeline)s and c.staged > 0
  and not exists (select from penstock.archived a join penstock.archive_files f using (file)
                  where a.chunk = c.chunk and f.archived_at is not null)
  and not exists (select from penstock.events e
                  where e.chunk = c.chunk and e.received_at = c.received_at);

-- name: files
-- The files of a pipeline.
select f.file, s.source, f.source_id, f.hour, f.part, f.events, f.sha256, f.content_sha256,
       f.archived_at
from penstock.archive_files f join penstock.sources s using (source_id)
where s.pipeline = %(pipeline)s and (%(source)s::text is null or s.source = %(source)s)
order by f.source_id, f.hour, f.part;

-- name: gone
-- Files with events that are not in staging any more, of a source and a time.
select distinct f.file
from penstock.archive_files f join penstock.sources s using (source_id)
join penstock.archived a using (file) join penstock.chunks c using (chunk)
where s.pipeline = %(pipeline)s and f.archived_at is not null
  and (%(source)s::text is null or s.source = %(source)s)
  and (%(since)s::timestamptz is null or c.received_at >= %(since)s)
  and (%(until)s::timestamptz is null or c.received_at < %(until)s)
  and not exists (select from penstock.events e
                  where e.chunk = c.chunk and e.received_at = c.received_at)
order by f.file;

-- name: gone_chunks
-- Of one file, the chunks that are to come back.
select c.chunk, c.staged, c.received_at
from penstock.archived a join penstock.chunks c using (chunk)
where a.file = %(file)s
  and (%(since)s::timestamptz is null or c.received_at >= %(since)s)
  and (%(until)s::timestamptz is null or c.received_at < %(until)s)
  and not exists (select from penstock.events e
                  where e.chunk = c.chunk and e.received_at = c.received_at)
order by c.chunk;

-- name: restore_day
-- The part of staging for a day that was dropped; by the owner's rights.
select penstock.restore_event_day(%(day)s);

-- name: lock_restore
-- One process at a time brings events back.
select pg_advisory_xact_lock(7021886120452169328);

-- name: hold_file
-- As it was archived; nobody notes it anew until what is in it is in staging, and found there.
select sha256 from penstock.archive_files where file = %(file)s for share;

-- name: queue_chunks
-- What came back is worked on; and a day with such a batch is not dropped.
insert into penstock.batches (kind, pipeline, source_id, chunk, pos_from, pos_to, received_at)
select 'replay', s.pipeline, c.source_id, c.chunk, low, least(low + %(size)s, c.staged),
       c.received_at
from penstock.chunks c join penstock.sources s using (source_id),
     generate_series(0, c.staged - 1, %(size)s) low
where c.chunk = any (%(chunks)s)
order by c.chunk, low;
