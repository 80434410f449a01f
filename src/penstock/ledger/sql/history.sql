-- Runs and loads as people look them up.

-- name: runs
-- The last runs with the sum of their loads. A run that is said to run, but whose backend is gone,
-- was interrupted: the next load will write that down.
select r.run_id::text, r.kind, r.command,
       case when r.status = 'running' and a.pid is null then 'interrupted' else r.status end
         as status,
       r.started_at, r.finished_at, r.target, r.host, r.process, r.version, r.error,
       extract(epoch from coalesce(r.finished_at, clock_timestamp()) - r.started_at)::float8
         as seconds,
       r.backend_pid,
       coalesce(l.tables, '{}') as tables, coalesce(l.read, 0)::bigint as read,
       coalesce(l.inserted, 0)::bigint as inserted, coalesce(l.updated, 0)::bigint as updated,
       coalesce(l.unchanged, 0)::bigint as unchanged, coalesce(l.ignored, 0)::bigint as ignored,
       coalesce(l.filtered, 0)::bigint as filtered, coalesce(l.deleted, 0)::bigint as deleted,
       coalesce(l.quarantined, 0)::bigint as quarantined,
       array(select json_build_object('job', j.job, 'status', j.status, 'attempts', j.attempts,
                                      'read', j.extracted, 'loaded', j.loaded,
                                      'refused', j.rejected, 'dropped', j.dropped,
                                      'error', j.error)
             from penstock.jobs j where j.run_id = r.run_id order by j.number) as jobs
from penstock.runs r
left join lateral (
  select array_agg(case when schema_name = 'public' then table_name
                        else schema_name || '.' || table_name end
                   order by started_at, load_id) as tables,
         sum(read) as read, sum(inserted) as inserted, sum(updated) as updated,
         sum(unchanged) as unchanged, sum(ignored) as ignored, sum(filtered) as filtered,
         sum(deleted) as deleted, sum(quarantined) as quarantined
  from penstock.loads l where l.run_id = r.run_id) l on true
left join pg_catalog.pg_stat_activity a
  on a.pid = r.backend_pid and coalesce(a.backend_start, r.backend_start) = r.backend_start
-- What a flow did is listed with the flow.
where %(run_ids)s::uuid[] is null and r.part_of is null or r.run_id = any (%(run_ids)s::uuid[])
order by r.started_at desc, r.run_id
limit %(limit)s::bigint;

-- name: run_ids
-- The runs whose id, or one of whose loads' ids, begins so; the newest first.
select run_id::text from penstock.runs r
where run_id::text like %(prefix)s::text || '%%'
   or exists (select from penstock.loads l
              where l.run_id = r.run_id and l.load_id::text like %(prefix)s::text || '%%')
order by started_at desc limit 6;

-- name: loads
-- The loads of a run, or of a flow's jobs, in their order, with what is in the ledger of each.
select l.load_id::text, l.schema_name, l.table_name, l.mode, l.status, l.sources, l.started_at,
       l.finished_at, l.seconds, l.read, l.inserted, l.updated, l.unchanged, l.ignored, l.filtered,
       l.quarantined, l.deleted, l.inferred, l.changes, l.skipped, l.strategy, l.error
from penstock.loads l
where l.run_id = any (array(select r.run_id from penstock.runs r
                            where r.run_id = %(run_id)s::uuid or r.part_of = %(run_id)s::uuid))
order by l.started_at, l.load_id;

-- name: reasons
-- Why rows of a load were refused, as far as they are kept: commonest first, with one sample.
select f.name as column, f.code, count(distinct r.reject_id) as rows,
       (array_agg(f.reason order by r.reject_id))[1] as reason,
       (array_agg(r.source order by r.reject_id))[1] as source,
       (array_agg(r.line order by r.reject_id))[1] as line,
       (array_agg(r.record order by r.reject_id))[1] as record
from penstock.rejects r
cross join lateral unnest(r.columns, r.codes, r.reasons) f(name, code, reason)
where r.load_id = %(load_id)s::uuid or r.last_load = %(load_id)s::uuid
group by f.name, f.code
order by rows desc, f.name, f.code;

-- name: interrupted
-- Runs that are said to run, but whose backend is gone.
select r.run_id::text, r.kind, r.started_at from penstock.runs r
where r.status = 'running'
  and not exists (select from pg_catalog.pg_stat_activity a
                  where a.pid = r.backend_pid
                    and coalesce(a.backend_start, r.backend_start) = r.backend_start)
order by r.started_at;
