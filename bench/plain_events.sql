-- How it is done by hand: JSON to a table, to staging with its key, to the target, status.
\copy sql_raw from pstdin with (format csv, quote e'\x01', delimiter e'\x02')
insert into sql_staging (event_id, payload) select payload ->> 'id', payload from sql_raw
on conflict do nothing;
insert into shop_events
select payload ->> 'id', payload -> 'user' ->> 'id', payload ->> 'type',
       (payload ->> 'timestamp')::timestamptz, payload ->> 'session_id',
       payload -> 'properties' ->> 'url', payload -> 'properties' ->> 'sku',
       (payload -> 'properties' ->> 'price')::numeric(10, 2), (payload -> 'properties' ->> 'qty')::int
from sql_staging where status = 'pending'
on conflict do nothing;
update sql_staging set status = 'done' where status = 'pending';
