-- What flows do: their runs, jobs, locks and cursors.

-- name: begin_run
-- The run of a flow; its loads are runs of their own, and parts of it.
insert into penstock.runs (run_id, kind, command, target, host, process, version)
values (%(run_id)s, 'flow', %(command)s, %(target)s, %(host)s, %(process)s, %(version)s);

-- name: finish_run
-- A job that is still running now was interrupted with its run.
with ended as (
  update penstock.runs set status = %(status)s, finished_at = clock_timestamp(), error = %(error)s
  where run_id = %(run_id)s and status = 'running'
  returning run_id)
update penstock.jobs j set status = 'interrupted', finished_at = clock_timestamp()
from ended where ended.run_id = j.run_id and j.status = 'running';

-- name: holder
-- Who holds the flow, and whether it was heard of lately.
select run_id::text, host, process, since,
       beat > clock_timestamp() - make_interval(secs => %(seconds)s) as alive
from penstock.flow_locks where flow = %(flow)s;

-- name: take
-- The flow's lease, where nobody has it, its holder is not heard of any more, or is known dead.
insert into penstock.flow_locks as l (flow, run_id, host, process)
values (%(flow)s, %(run_id)s, %(host)s, %(process)s)
on conflict (flow) do update
set run_id = excluded.run_id, host = excluded.host, process = excluded.process,
    since = clock_timestamp(), beat = clock_timestamp()
where l.run_id is null or l.run_id = %(dead)s::uuid
   or l.beat <= clock_timestamp() - make_interval(secs => %(seconds)s)
returning 1;

-- name: beat
update penstock.flow_locks set beat = clock_timestamp()
where flow = %(flow)s and run_id = %(run_id)s;

-- name: give_back
update penstock.flow_locks set run_id = null where flow = %(flow)s and run_id = %(run_id)s;

-- name: close_interrupted
-- Earlier runs of the flow that never ended: nobody holds the lease for them.
with gone as (
  update penstock.runs
  set status = 'interrupted', finished_at = clock_timestamp(),
      error = 'the process ended before the flow did'
  where kind = 'flow' and command = %(flow)s and status = 'running' and run_id <> %(run_id)s
  returning run_id)
update penstock.jobs j set status = 'interrupted', finished_at = clock_timestamp()
from gone where gone.run_id = j.run_id and j.status = 'running';

-- name: begin_job
insert into penstock.jobs (run_id, number, job, status, error)
values (%(run_id)s, %(number)s, %(job)s, %(status)s, %(error)s)
on conflict (run_id, number) do update
set attempts = penstock.jobs.attempts + 1, status = excluded.status,
    started_at = clock_timestamp(), error = excluded.error;

-- name: finish_job
update penstock.jobs
set status = %(status)s, finished_at = clock_timestamp(), extracted = %(extracted)s,
    loaded = %(loaded)s, rejected = %(rejected)s, dropped = %(dropped)s,
    details = %(details)s, error = %(error)s
where run_id = %(run_id)s and number = %(number)s;

-- name: close_job
-- The end of a job whose own process did not write it.
insert into penstock.jobs (run_id, number, job, status, error, finished_at)
values (%(run_id)s, %(number)s, %(job)s, %(status)s, %(error)s, clock_timestamp())
on conflict (run_id, number) do update
set status = excluded.status, error = excluded.error, finished_at = excluded.finished_at
where penstock.jobs.status = 'running';

-- name: runs_named
-- Runs of the flow whose id begins so.
select run_id::text from penstock.runs
where kind = 'flow' and command = %(flow)s and starts_with(run_id::text, %(run_id)s)
order by started_at desc limit 2;

-- name: done_jobs
-- What an earlier run of the flow has done, or found done when it went on with one before it.
select job, coalesce(details->>'done_by', run_id::text) from penstock.jobs
where run_id = %(run_id)s and details->>'dry_run' is null
  and (status = 'succeeded' or details->>'done_by' is not null);

-- name: details_of
select details from penstock.jobs
where run_id = %(run_id)s and job = %(job)s and status = 'succeeded';

-- name: last_success
select max(finished_at) from penstock.runs
where kind = 'flow' and command = %(flow)s and status = 'succeeded';

-- name: cursor
select value from penstock.cursors where flow = %(flow)s and name = %(name)s;

-- name: move_cursor
insert into penstock.cursors (flow, name, value, run_id)
values (%(flow)s, %(name)s, %(value)s, %(run_id)s)
on conflict (flow, name) do update
set value = excluded.value, run_id = excluded.run_id, moved_at = clock_timestamp();

-- name: part_of
-- A load's run, and the job of the flow that made it.
update penstock.runs set part_of = %(flow_run)s, job = %(job)s where run_id = any (%(runs)s::uuid[]);

-- name: not_mailed
-- Rejects of a load that nobody was told of by mail; and those of earlier runs of the same job into
-- the same table, which were killed before they could tell.
with own as (select load_id, schema_name, table_name from penstock.loads where load_id = %(load)s),
earlier as (
  select l.load_id from penstock.runs f join penstock.runs u on u.part_of = f.run_id
  join penstock.loads l on l.run_id = u.run_id
  join own on (own.schema_name, own.table_name) = (l.schema_name, l.table_name)
  where f.kind = 'flow' and f.command = %(flow)s and u.job = %(job)s
    and f.started_at > clock_timestamp() - make_interval(days => %(days)s))
select r.reject_id from penstock.rejects r
where r.status = 'waiting' and r.mailed_at is null
  and r.last_load in (select load_id from own union select load_id from earlier)
order by r.reject_id;

-- name: is_booked
select from penstock.loads where load_id = %(load)s;

-- name: not_told
-- What jobs of runs that are over have caught, and nobody was mailed.
select j.job, c->>0, c->>1, c->2
from penstock.runs f join penstock.jobs j on j.run_id = f.run_id
cross join json_array_elements(j.details->'caught') c
where f.kind = 'flow' and f.command = %(flow)s and f.status <> 'running'
  and f.started_at > clock_timestamp() - make_interval(days => %(days)s)
  and exists (select from penstock.rejects r where r.last_load = (c->>0)::uuid
              and r.status = 'waiting' and r.mailed_at is null)
order by f.started_at, j.number;

-- name: mark_mailed
update penstock.rejects set mailed_at = clock_timestamp(), mailed_to = %(to)s
where reject_id = any (%(ids)s::bigint[]);

-- name: mail_anew
-- Rejects that were corrected and refused again, with whom to tell: those who were told before.
update penstock.rejects set mailed_at = null
where last_load = any (%(loads)s::uuid[]) and status = 'waiting'
returning reject_id, mailed_to;

-- name: put_mail
insert into penstock.outbox (mail_id, run_id, kind, subject, recipients, message)
values (%(mail_id)s, %(run_id)s, %(kind)s, %(subject)s, %(recipients)s, %(message)s);

-- name: due_mail
-- The oldest that waits to be sent, for one session at a time.
select mail_id::text, message, recipients from penstock.outbox
where sent_at is null and next_try <= clock_timestamp()
order by created_at for update skip locked limit 1;

-- name: sent
update penstock.outbox set sent_at = clock_timestamp(), attempts = attempts + 1, error = null
where mail_id = %(mail_id)s;

-- name: not_sent
-- Tried again after 1, 2, 4 ... minutes, at most an hour apart, for those who do not have it yet.
update penstock.outbox
set attempts = attempts + 1, error = %(error)s, recipients = %(recipients)s,
    next_try = clock_timestamp() + least(interval '1 hour', interval '1 minute' * 2 ^ attempts)
where mail_id = %(mail_id)s;

-- name: open_incident
-- One row as long as the problem lasts; tells whether it is to be told now.
insert into penstock.incidents as i (flow, fingerprint, last_run, told_at)
values (%(flow)s, %(fingerprint)s, %(run_id)s, clock_timestamp())
on conflict (flow, fingerprint) where closed_at is null do update
set times = i.times + 1, last_run = excluded.last_run,
    told_at = case when i.told_at < clock_timestamp() - interval '1 day'
                   then clock_timestamp() else i.told_at end
returning times, opened_at, told_at >= statement_timestamp() as tell;

-- name: close_incidents
update penstock.incidents set closed_at = clock_timestamp()
where flow = %(flow)s and closed_at is null
returning fingerprint, opened_at, times;

-- name: fetched
-- What a flow has brought from a place.
select name, sha256, bytes, version from penstock.fetched
where flow = %(flow)s and source = %(source)s;

-- name: book_fetched
-- A content under a name; the same again is no new one.
insert into penstock.fetched
  (flow, source, sha256, name, bytes, modified, version, local, run_id)
values (%(flow)s, %(source)s, %(sha256)s, %(name)s, %(bytes)s, %(modified)s, %(version)s,
        %(local)s, %(run_id)s)
on conflict (flow, source, sha256, name) do update
set version = excluded.version, modified = excluded.modified;
