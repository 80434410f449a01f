-- Queries of retention: which days of staging nobody needs any more.

-- name: may_drop
-- May this role drop days, and who may?
select has_function_privilege('penstock.drop_event_day(date)', 'execute'),
       pg_get_userbyid(proowner)
from pg_catalog.pg_proc where oid = 'penstock.drop_event_day(date)'::regprocedure;

-- name: days
-- The days of staging that are over, the oldest first, and how long ago they were.
select d.day, (now() at time zone 'UTC')::date - d.day
from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid,
     lateral (select to_date(right(c.relname, 8), 'YYYYMMDD') as day) d
where i.inhparent = 'penstock.events'::regclass and c.relname ~ '^events_[0-9]{8}$'
  and d.day < (now() at time zone 'UTC')::date
order by d.day;

-- name: sources_of
-- Whose events came on a day, how many, and how many of them are in no archive.
select s.pipeline, s.source, sum(c.staged),
       coalesce(sum(c.staged) filter (where f.file is null), 0)
from penstock.sources s
join penstock.chunks c on c.source_id = s.source_id
  and c.received_at >= %(day)s::timestamp at time zone 'UTC'
  and c.received_at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
left join penstock.archived a on a.chunk = c.chunk
left join penstock.archive_files f on f.file = a.file and f.archived_at is not null
where c.staged > 0
group by 1, 2 order by 1, 2;

-- name: open_of
-- Events of a day that wait: for a worker, or for somebody who decides.
select s.pipeline, s.source, sum(n.waiting), sum(n.undecided)
from (
  select b.source_id, b.pos_to - b.pos_from as waiting, 0 as undecided
  from penstock.batches b
  where b.status in ('pending', 'processing')
    and b.received_at >= %(day)s::timestamp at time zone 'UTC'
    and b.received_at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
  union all
  select c.source_id, 0, 1
  from penstock.event_states x join penstock.chunks c using (chunk)
  where x.status in ('failed', 'dead')
    and c.received_at >= %(day)s::timestamp at time zone 'UTC'
    and c.received_at < (%(day)s::date + 1)::timestamp at time zone 'UTC') n
join penstock.sources s using (source_id)
group by 1, 2 order by 1, 2;

-- name: drop_day
-- By the owner's rights.
select penstock.drop_event_day(%(day)s);
