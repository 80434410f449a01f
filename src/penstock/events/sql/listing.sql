-- Queries of what people ask about events.

-- name: balance
-- Each source's equation.
select pipeline, source, received, repeated, waiting, loaded, dropped, failed, dead, balanced
from penstock.event_balance
where %(pipeline)s::text is null or pipeline = %(pipeline)s
order by pipeline, source;

-- name: reasons
-- Why events are not in their target, the commonest first, each with one of them; by the version of
-- their schema where their source declares one.
select x.pipeline, s.source, x.status, x.code,
       penstock.payload(e.raw) #>> string_to_array(s.version_path, '.') as schema_version,
       count(*), min(x.changed_at), max(x.changed_at),
       (array_agg(x.reason order by x.changed_at desc))[1],
       (array_agg(x.chunk || '/' || x.pos order by x.changed_at desc))[1]
from penstock.event_states x
join penstock.chunks c using (chunk) join penstock.sources s using (source_id)
left join penstock.events e
  on s.version_path is not null and e.chunk = x.chunk and e.pos = x.pos
 and e.received_at = c.received_at
where x.status in ('failed', 'dead') and (%(pipeline)s::text is null or x.pipeline = %(pipeline)s)
group by 1, 2, 3, 4, 5 order by 6 desc, 1, 2, 3, 4, 5;

-- name: listed
-- Events that are not what their batch is; the newest first.
select x.chunk, x.pos, x.pipeline, s.source, x.status, x.attempts, x.code, x.reason, x.changed_at
from penstock.event_states x
join penstock.chunks c using (chunk) join penstock.sources s using (source_id)
where (%(pipeline)s::text is null or x.pipeline = %(pipeline)s)
  and x.status = any (%(statuses)s) and (%(code)s::text is null or x.code = %(code)s)
  and (%(chunks)s::bigint[] is null
       or exists (select from unnest(%(chunks)s::bigint[], %(places)s::int[]) n(chunk, pos)
                  where n.chunk = x.chunk and n.pos = x.pos))
order by x.changed_at desc, x.chunk, x.pos limit %(limit)s;

-- name: found
-- One event with what is known of it, by its place.
select chunk, pos, pipeline, source, delivery_id, received_at, status, attempts, processed_at,
       last_error, schema_version, raw,
       (select c.encrypted from penstock.chunks c where c.chunk = e.chunk) as encrypted
from penstock.event_status e where chunk = %(chunk)s and pos = %(pos)s;

-- name: delivered
-- Where a delivery is, by its id, or by what its id begins with: an id is followed by a hash.
select chunk, pos from penstock.event_ids
where delivery_id = %(id)s or delivery_id ^@ (%(id)s || '#')
order by chunk desc limit 20;

-- name: discard
-- Somebody has looked, and it stays as it is.
update penstock.event_states x
set status = 'discarded', changed_at = clock_timestamp(), note = %(note)s
from unnest(%(chunks)s::bigint[], %(places)s::int[]) n(chunk, pos)
where n.chunk = x.chunk and n.pos = x.pos and x.status in ('failed', 'dead');

-- name: take_back
-- What was discarded waits for somebody again; unless it has left staging.
update penstock.event_states x set status = 'failed', changed_at = clock_timestamp(), note = null
from unnest(%(chunks)s::bigint[], %(places)s::int[]) n(chunk, pos)
where n.chunk = x.chunk and n.pos = x.pos and x.status = 'discarded'
  and exists (select from penstock.events e join penstock.chunks c using (chunk, received_at)
              where e.chunk = x.chunk and e.pos = x.pos);

-- name: hold
-- Who requeues the same events meanwhile waits, and then finds them about to be tried.
select from penstock.event_states x
join unnest(%(chunks)s::bigint[], %(places)s::int[]) n(chunk, pos)
  on n.chunk = x.chunk and n.pos = x.pos
order by x.chunk, x.pos for update of x;

-- name: requeue
-- Once more, unless that is about to happen anyway; each alone, so that it harms no neighbour.
insert into penstock.batches (kind, pipeline, source_id, chunk, pos_from, pos_to, received_at)
select 'requeue', x.pipeline, c.source_id, x.chunk, x.pos, x.pos + 1, c.received_at
from penstock.event_states x join penstock.chunks c using (chunk)
join unnest(%(chunks)s::bigint[], %(places)s::int[]) n(chunk, pos)
  on n.chunk = x.chunk and n.pos = x.pos
where x.status in ('failed', 'dead')
  and exists (select from penstock.events e
              where e.chunk = x.chunk and e.pos = x.pos and e.received_at = c.received_at)
  and not exists (select from penstock.batches b
                  where b.chunk = x.chunk and x.pos >= b.pos_from and x.pos < b.pos_to
                    and b.kind <> 'new' and b.status in ('pending', 'processing'));

-- name: span
-- What was received in a time and is in staging, in batches, in the order in which it came. What
-- waits for its first time is left out: it is worked on anyway, and would count twice meanwhile.
select s.pipeline, c.source_id, s.source, c.chunk, low as pos_from,
       least(low + %(size)s, b.pos_to) as pos_to, c.received_at, c.encrypted
from penstock.batches b join penstock.chunks c using (chunk)
join penstock.sources s on s.source_id = c.source_id,
     generate_series(b.pos_from, b.pos_to - 1, %(size)s) low
where s.pipeline = %(pipeline)s and b.kind = 'new' and b.status in ('succeeded', 'dead')
  and (%(source)s::text is null or s.source = %(source)s)
  and (%(since)s::timestamptz is null or c.received_at >= %(since)s)
  and (%(until)s::timestamptz is null or c.received_at < %(until)s)
  and exists (select from penstock.events e
              where e.chunk = c.chunk and e.received_at = c.received_at)
order by c.chunk, low

-- name: replay
-- All of a span, once more; the ids of its batches are in that order.
insert into penstock.batches (kind, pipeline, source_id, chunk, pos_from, pos_to, received_at)
select 'replay', pipeline, source_id, chunk, pos_from, pos_to, received_at from ({span}) one
order by chunk, pos_from;

-- name: to_replay
-- The same, as claimed batches, without doing it.
select 0::bigint, 0::bigint, 'replay', source, chunk, pos_from, pos_to, received_at, 1, encrypted
from ({span}) one order by chunk, pos_from;

-- name: not_staged
-- Events that were received in a time, and are not in staging any more.
select coalesce(sum(c.staged), 0)
from penstock.chunks c join penstock.sources s using (source_id)
where s.pipeline = %(pipeline)s and c.staged > 0
  and (%(source)s::text is null or s.source = %(source)s)
  and (%(since)s::timestamptz is null or c.received_at >= %(since)s)
  and (%(until)s::timestamptz is null or c.received_at < %(until)s)
  and not exists (select from penstock.events e
                  where e.chunk = c.chunk and e.received_at = c.received_at);
