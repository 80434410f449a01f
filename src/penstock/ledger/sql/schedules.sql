-- Starts of flows that were due: who has each, and what came of it.

-- name: watch
-- From now on the flow's starts count; where they counted already, since then.
insert into penstock.schedules (flow, due_at, status)
select %(flow)s, %(since)s, 'watched'
where not exists (select from penstock.schedules where flow = %(flow)s)
on conflict (flow, due_at) do nothing;

-- name: last_due
-- The last start of each flow that somebody has seen to.
select flow, max(due_at) from penstock.schedules where flow = any (%(flows)s) group by flow;

-- name: claim
-- The start belongs to who inserts it; a later one that somebody has comprises the earlier ones.
insert into penstock.schedules (flow, due_at, status, missed, claim, host, process, note)
select %(flow)s, %(due_at)s, %(status)s, %(missed)s, %(claim)s, %(host)s, %(process)s, %(note)s
where not exists (
    select from penstock.schedules where flow = %(flow)s and due_at > %(due_at)s)
on conflict (flow, due_at) do nothing
returning 1;

-- name: confirm
-- The flow itself says that it starts: after this nobody else can start it.
update penstock.schedules
set status = 'running', run_id = %(run_id)s, started_at = clock_timestamp(),
    beat = clock_timestamp()
where claim = %(claim)s and flow = %(flow)s and status = 'claimed'
returning 1;

-- name: beat
update penstock.schedules set beat = clock_timestamp()
where claim = any (%(claims)s::uuid[]) and status in ('claimed', 'running');

-- name: finish
-- Also one that was given up as lost: its scheduler lives after all.
update penstock.schedules
set status = 'ended', finished_at = %(finished_at)s, exit_code = %(exit_code)s, note = %(note)s,
    started_at = coalesce(started_at, %(started_at)s)
where claim = %(claim)s;

-- name: stale
-- Starts whose scheduler was not heard of for a while, and whether a later one was begun since.
select flow, due_at, claim::text, exists (
    select from penstock.schedules l
    where l.flow = s.flow and l.due_at > s.due_at and l.status in ('running', 'ended')) as overtaken
from penstock.schedules s
where flow = any (%(flows)s) and status = 'claimed'
  and beat <= clock_timestamp() - make_interval(secs => %(seconds)s)
order by due_at;

-- name: take_over
-- A start that was claimed and never begun; its earlier claim can begin it no more.
update penstock.schedules
set claim = %(claim)s, status = %(status)s, host = %(host)s, process = %(process)s,
    note = %(note)s, beat = clock_timestamp()
where flow = %(flow)s and due_at = %(due_at)s and claim = %(earlier)s and status = 'claimed'
returning 1;

-- name: give_up
-- Flows that went on without their scheduler: their run says what came of them.
update penstock.schedules set status = 'lost', note = 'the scheduler ended before the flow did'
where flow = any (%(flows)s) and status = 'running'
  and beat <= clock_timestamp() - make_interval(secs => %(seconds)s)
returning flow, due_at;

-- name: starts
-- The last ones, the newest first.
select flow, due_at, status, missed, started_at, finished_at, exit_code, run_id::text, note
from penstock.schedules where flow = any (%(flows)s) and status <> 'watched'
order by due_at desc, flow limit %(limit)s;
