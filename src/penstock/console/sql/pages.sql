-- What the pages show. Each answers within the 200 ms of a page with 100,000 runs in the ledger.

-- name: flows
-- Each flow by name, by leaps through the index instead of all of its runs, with its last outcomes.
with recursive names(name) as (
    (select command from penstock.runs where kind = 'flow' and part_of is null
     order by command limit 1)
    union all
    select (select r.command from penstock.runs r
            where r.kind = 'flow' and r.part_of is null and r.command > n.name
            order by r.command limit 1)
    from names n where n.name is not null
)
select n.name, o.outcomes,
       (select max(r.finished_at) from (
            select finished_at from penstock.runs r
            where r.kind = 'flow' and r.part_of is null and r.command = n.name
              and r.status = 'succeeded'
            order by r.started_at desc limit 1) r) as succeeded_at
from names n
cross join lateral (
    select json_agg(json_build_object(
             'run_id', r.run_id, 'status', r.status, 'started_at', r.started_at,
             'seconds', extract(epoch from coalesce(r.finished_at, clock_timestamp()) - r.started_at),
             'error', r.error) order by r.started_at desc) as outcomes
    from (select * from penstock.runs r
          where r.kind = 'flow' and r.part_of is null and r.command = n.name
          order by r.started_at desc limit 30) r) o
where n.name is not null;

-- name: pipelines
-- Each pipeline's last batches.
with recursive names(name) as (
    (select pipeline from penstock.sources order by pipeline limit 1)
    union all
    select (select s.pipeline from penstock.sources s where s.pipeline > n.name
            order by s.pipeline limit 1)
    from names n where n.name is not null
)
select n.name, coalesce(o.outcomes, '[]') as outcomes, o.succeeded_at
from names n
left join lateral (
    select json_agg(json_build_object(
             'run_id', l.run_id, 'status', l.status, 'started_at', l.started_at,
             'seconds', l.seconds, 'error', l.error) order by l.started_at desc) as outcomes,
           max(l.finished_at) filter (where l.status = 'succeeded') as succeeded_at
    from (select l.* from penstock.loads l join penstock.runs r using (run_id)
          where r.kind = 'work' and r.command = 'penstock work ' || n.name and l.status <> 'anew'
          order by l.started_at desc limit 30) l) o on true
where n.name is not null;

-- name: running
-- What runs now: its backend lives.
select r.run_id::text, r.kind, r.command, r.started_at, r.host, r.process
from penstock.runs r
join pg_catalog.pg_stat_activity a
  on a.pid = r.backend_pid and coalesce(a.backend_start, r.backend_start) = r.backend_start
where r.status = 'running' and r.part_of is null
order by r.started_at desc limit 50;

-- name: incidents
-- What went wrong, was told, and is not over.
select flow, opened_at, times, last_run::text, told_at from penstock.incidents
where closed_at is null order by opened_at desc limit 50;

-- name: failed_checks
-- Checks whose last result was not as it should be.
select distinct on (schema_name, table_name, name)
       schema_name, table_name, name, outcome, figure, bound, checked_at
from penstock.checks
where checked_at > clock_timestamp() - interval '2 days'
order by schema_name, table_name, name, checked_at desc;

-- name: runs
-- Runs, the newest first, from a moment on; what a flow did is listed with the flow.
select r.run_id::text, r.kind, r.command, r.started_at,
       case when r.status = 'running' and a.pid is null then 'interrupted' else r.status end as status,
       extract(epoch from coalesce(r.finished_at, clock_timestamp()) - r.started_at)::float8 as seconds,
       r.error, coalesce(l.tables, '{}') as tables, coalesce(l.read, 0)::bigint as read,
       coalesce(l.landed, 0)::bigint as landed, coalesce(l.quarantined, 0)::bigint as quarantined
from (select * from penstock.runs r
      where r.part_of is null
        and (%(status)s::text is null or r.status = %(status)s)
        and (%(kind)s::text is null or r.kind = %(kind)s)
        and (%(text)s::text is null or r.command ilike '%%' || %(text)s || '%%'
             or r.run_id::text like lower(%(text)s) || '%%')
        and (%(before)s::timestamptz is null or r.started_at < %(before)s)
      order by r.started_at desc limit %(limit)s) r
left join lateral (
    select array_agg(distinct case when schema_name = 'public' then table_name
                                   else schema_name || '.' || table_name end) as tables,
           sum(read) filter (where status = 'succeeded') as read,
           sum(inserted + updated + unchanged) filter (where status = 'succeeded') as landed,
           sum(quarantined) filter (where status = 'succeeded') as quarantined
    from penstock.loads l
    where l.run_id in (select r.run_id union all
                       select p.run_id from penstock.runs p where p.part_of = r.run_id)) l on true
left join pg_catalog.pg_stat_activity a
  on a.pid = r.backend_pid and coalesce(a.backend_start, r.backend_start) = r.backend_start
order by r.started_at desc;

-- name: kinds
-- What kinds of runs there are, by leaps through the index.
with recursive names(name) as (
    (select kind from penstock.runs where part_of is null order by kind limit 1)
    union all
    select (select r.kind from penstock.runs r where r.part_of is null and r.kind > n.name
            order by r.kind limit 1)
    from names n where n.name is not null
)
select name from names where name is not null;

-- name: jobs
-- The jobs of a flow's run, in their order.
select number, job, status, attempts, started_at, finished_at, extracted, loaded, rejected, dropped,
       error,
       extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at)::float8 as seconds
from penstock.jobs where run_id = %(run_id)s order by number;

-- name: checks
-- What checks found in a run, or in what a flow did.
select c.name, c.table_name, c.outcome, c.figure, c.bound, c.wrong, c.rows
from penstock.checks c
where c.run_id = %(run_id)s
   or c.run_id in (select run_id from penstock.runs where part_of = %(run_id)s)
order by c.outcome, c.name;

-- name: of_pipelines
-- Tables that are filled by pipelines: what was refused of them is told with the events.
select schema_name, table_name from penstock.event_targets;
