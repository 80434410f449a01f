-- Queries of staging.

-- name: find_source
-- The number of a source.
select source_id, version_path from penstock.sources where pipeline = %(pipeline)s and source = %(source)s;

-- name: add_source
-- Another process may add it at the same time.
insert into penstock.sources (pipeline, source, version_path)
values (%(pipeline)s, %(source)s, %(path)s)
on conflict do nothing;

-- name: declare_source
-- Where its events have the version of their schema is declared otherwise.
update penstock.sources set version_path = %(path)s
where pipeline = %(pipeline)s and source = %(source)s;

-- name: provide_days
-- The days of staging ahead; by the owner's rights.
select penstock.provide_event_days(%(ahead)s);

-- name: next_chunk
-- The number of a commit: the ids of its events have it before it is known how many are new.
select nextval('penstock.chunks_chunk_seq'), pipeline from penstock.sources
where source_id = %(source)s;

-- name: known_ids
-- Which of these were received before.
select delivery_id from penstock.event_ids
where source_id = %(source)s and delivery_id = any (%(ids)s);

-- name: add_chunk
-- What was received, and how much of it was new.
insert into penstock.chunks (chunk, source_id, origin, received, staged, repeated, encrypted)
values (%(chunk)s, %(source)s, %(origin)s, %(received)s, %(staged)s, %(repeated)s, %(encrypted)s);

-- name: add_batches
-- What workers claim: parts of the chunk, of bounded size.
insert into penstock.batches (pipeline, source_id, chunk, pos_from, pos_to, received_at)
select s.pipeline, c.source_id, c.chunk, low, least(low + %(size)s, %(staged)s), c.received_at
from penstock.chunks c join penstock.sources s using (source_id),
     generate_series(0, %(staged)s - 1, %(size)s) low
where c.chunk = %(chunk)s;

-- name: notify
-- Workers that listen look at once; those behind a pooler look now and then.
select pg_notify(%(channel)s, %(pipeline)s);
