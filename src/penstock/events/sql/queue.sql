-- Queries of the queue: what workers claim, keep, finish and give back.

-- name: end_expired
-- A worker that is paused within its transaction holds locks that nobody can wait for: its session
-- is ended once its lease is over, and its end waited for. Pid and start name one session for ever.
select pg_terminate_backend(b.backend_pid, 5000)
from (select distinct backend_pid, backend_start from penstock.batches
      where pipeline = %(pipeline)s and status = 'processing' and lease_until < clock_timestamp()
        and backend_pid is not null) b
join pg_catalog.pg_stat_activity a
  on a.pid = b.backend_pid and a.backend_start = b.backend_start;

-- name: claim
-- Attempts are raised before the work, so that they outlive it. One that was begun before and not
-- ended is taken alone: it may be what ended its worker.
with ready as (
  select batch_id, next_attempt_at, attempts, pos_to - pos_from as n
  from penstock.batches
  where pipeline = %(pipeline)s and next_attempt_at <= clock_timestamp()
    and (status = 'pending' or (status = 'processing' and lease_until < clock_timestamp()))
  order by next_attempt_at, batch_id limit 1000 for update skip locked),
picked as (
  select batch_id from (
    select batch_id, attempts, sum(n) over w as total, row_number() over w as place,
           first_value(attempts) over w as leads
    from ready window w as (order by next_attempt_at, batch_id)) one
  where place = 1 or (leads = 0 and attempts = 0 and total <= %(events)s))
update penstock.batches b
set status = 'processing', attempts = b.attempts + 1, token = b.token + 1, worker = %(worker)s,
    backend_pid = %(pid)s, backend_start = %(started)s,
    lease_until = clock_timestamp() + %(lease)s * interval '1 second'
from picked join penstock.sources s on true
where b.batch_id = picked.batch_id and s.source_id = b.source_id
returning b.batch_id, b.token, b.kind, s.source, b.chunk, b.pos_from, b.pos_to, b.received_at,
          b.attempts,
          (select c.encrypted from penstock.chunks c where c.chunk = b.chunk);

-- name: beat
-- Still alive; gives what is still ours.
update penstock.batches b set lease_until = clock_timestamp() + %(lease)s * interval '1 second'
from unnest(%(ids)s::bigint[], %(tokens)s::bigint[]) own(batch_id, token)
where b.batch_id = own.batch_id and b.token = own.token and b.status = 'processing';

-- name: unasked
-- What sessions do that have nothing to do: they wait for their client, or are not there any more.
select wanted.pid, a.backend_start, a.state_change, p.bytes_processed
from unnest(%(pids)s::int[]) wanted(pid)
left join pg_catalog.pg_stat_activity a on a.pid = wanted.pid
left join pg_catalog.pg_stat_progress_copy p on p.pid = wanted.pid
where a.state is distinct from 'active' or a.wait_event_type = 'Client'
order by 1;

-- name: finish
-- The last write of a batch's transaction: whoever has lost it changes nothing, and rolls back.
update penstock.batches b
set status = own.status, processed_at = clock_timestamp(), lease_until = null, backend_pid = null,
    backend_start = null, last_error = null, load_id = %(load_id)s, dropped = own.dropped,
    failed = own.failed, older = own.older
from unnest(%(ids)s::bigint[], %(tokens)s::bigint[], %(statuses)s::text[], %(dropped)s::int[],
            %(failed)s::int[], %(older)s::int[])
     own(batch_id, token, status, dropped, failed, older)
where b.batch_id = own.batch_id and b.token = own.token and b.status = 'processing';

-- name: put_back
-- What failed was no event: the attempt does not count, and is made again later.
update penstock.batches b
set status = 'pending', attempts = greatest(b.attempts - 1, 0), lease_until = null,
    backend_pid = null, backend_start = null, last_error = %(error)s,
    next_attempt_at = clock_timestamp() + %(wait)s * interval '1 second'
from unnest(%(ids)s::bigint[], %(tokens)s::bigint[]) own(batch_id, token)
where b.batch_id = own.batch_id and b.token = own.token and b.status = 'processing';

-- name: let_go
-- The process of a worker has ended, as its parent has seen: nobody need wait for its leases.
update penstock.batches set lease_until = clock_timestamp()
where pipeline = %(pipeline)s and worker = %(worker)s and status = 'processing';

-- name: end_own
-- The session from which a worker was cut off, and which waits for it: it would wait, and hold its
-- locks, until TCP notices. What it is doing, a COMMIT, it ends.
select pg_terminate_backend(b.backend_pid, 5000)
from (select distinct backend_pid, backend_start from penstock.batches
      where pipeline = %(pipeline)s and worker = %(worker)s and status = 'processing'
        and backend_pid is not null) b
join pg_catalog.pg_stat_activity a
  on a.pid = b.backend_pid and a.backend_start = b.backend_start
where a.state <> 'active' or a.wait_event_type = 'Client';

-- name: regain
-- A worker whose connection broke begins another session: that was no attempt of the events. What it
-- has committed meanwhile is committed: this waits for it, and leaves it.
update penstock.batches
set status = 'pending', attempts = greatest(attempts - 1, 0), lease_until = null,
    backend_pid = null, backend_start = null
where pipeline = %(pipeline)s and worker = %(worker)s and status = 'processing';

-- name: split
-- A batch whose worker ended is worked on in parts: who ended it is found, its neighbours are not.
with parent as (
  update penstock.batches set status = 'split', lease_until = null, backend_pid = null,
         backend_start = null, processed_at = clock_timestamp()
  where batch_id = %(batch_id)s and token = %(token)s and status = 'processing' returning *)
insert into penstock.batches (kind, pipeline, source_id, chunk, pos_from, pos_to, received_at)
select p.kind, p.pipeline, p.source_id, p.chunk, low, least(low + %(size)s, p.pos_to),
       p.received_at
from parent p, generate_series(p.pos_from, p.pos_to - 1, %(size)s) low;

-- name: fail_events
-- Events that are not what their batch is; one that somebody discarded stays so.
insert into penstock.event_states as x (chunk, pos, pipeline, status, attempts, code, reason)
select e.chunk, e.pos, %(pipeline)s, %(status)s, %(attempts)s, e.code, e.reason
from unnest(%(chunks)s::bigint[], %(places)s::int[], %(codes)s::text[], %(reasons)s::text[])
     e(chunk, pos, code, reason)
on conflict (chunk, pos) do update
set status = excluded.status, attempts = x.attempts + 1, code = excluded.code,
    reason = excluded.reason, changed_at = clock_timestamp()
where x.status <> 'discarded';

-- name: heal_events
-- Events that failed before, and are worked on again now.
update penstock.event_states x set status = 'succeeded', changed_at = clock_timestamp()
from unnest(%(chunks)s::bigint[], %(froms)s::int[], %(tos)s::int[]) b(chunk, pos_from, pos_to)
where x.chunk = b.chunk and x.pos >= b.pos_from and x.pos < b.pos_to
  and x.status in ('failed', 'dead')
returning x.chunk, x.pos;

-- name: drop_healed
-- Of what failed before, events of which no row is made now.
update penstock.batches n
set dropped = n.dropped + d.events, failed = greatest(n.failed - d.events, 0)
from (select b.batch_id, count(*) as events from penstock.batches b
      join unnest(%(chunks)s::bigint[], %(places)s::int[]) e(chunk, pos)
        on e.chunk = b.chunk and e.pos >= b.pos_from and e.pos < b.pos_to
      where b.kind = 'new' and b.status in ('succeeded', 'dead') group by 1) d
where n.batch_id = d.batch_id;

-- name: recount
-- Where all of a batch was worked on again, of which events no row is made by now. Two replays of it
-- may be claimed at once.
update penstock.batches n
set dropped = d.events, failed = least(n.failed, n.pos_to - n.pos_from - d.events)
from (select b.batch_id,
             count(distinct e.pos) filter (where x.status is null or x.status = 'succeeded') as events
      from unnest(%(of_chunks)s::bigint[], %(froms)s::int[], %(tos)s::int[])
             r(chunk, pos_from, pos_to)
      join penstock.batches b
        on b.chunk = r.chunk and b.pos_from >= r.pos_from and b.pos_to <= r.pos_to
      left join unnest(%(chunks)s::bigint[], %(places)s::int[]) e(chunk, pos)
        on e.chunk = b.chunk and e.pos >= b.pos_from and e.pos < b.pos_to
      left join penstock.event_states x on x.chunk = e.chunk and x.pos = e.pos
      where b.kind = 'new' and b.status in ('succeeded', 'dead') group by b.batch_id) d
where n.batch_id = d.batch_id and n.dropped <> d.events;

-- name: read
-- The events of a batch, in their order; the day says in which partition they are.
select coalesce(array_agg(raw order by pos), '{}') from penstock.events
where chunk = %(chunk)s and received_at = %(received_at)s
  and pos >= %(pos_from)s and pos < %(pos_to)s;

-- name: discarded
-- Events that somebody has discarded, by their place among those of batches that are tried again.
select b.number, x.pos - b.pos_from
from unnest(%(numbers)s::int[], %(chunks)s::bigint[], %(froms)s::int[], %(tos)s::int[])
     b(number, chunk, pos_from, pos_to)
join penstock.event_states x
  on x.chunk = b.chunk and x.pos >= b.pos_from and x.pos < b.pos_to and x.status = 'discarded';

-- name: waiting
-- How much there is to do, and when the next of it is due.
select count(*), coalesce(sum(pos_to - pos_from), 0), min(next_attempt_at)
from penstock.batches where pipeline = %(pipeline)s and status in ('pending', 'processing');
