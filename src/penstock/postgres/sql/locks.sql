-- Who holds what.

-- name: holders
-- The oldest sessions that hold a lock on one of these tables, for the message of a time-out.
select a.pid, coalesce(a.usename, '?') as usename,
       coalesce(nullif(a.application_name, ''), '?') as application
from pg_catalog.pg_locks l
join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.relation = any (%s::text[]::regclass[]) and l.granted and l.pid <> pg_backend_pid()
order by a.xact_start
limit 3;
