-- Who holds what.

-- name: holders
-- The oldest sessions that hold a lock on one of these tables, for the message of a time-out.
select a.pid, coalesce(a.usename, '?') as usename,
       coalesce(nullif(a.application_name, ''), '?') as application
from pg_catalog.pg_stat_activity a
where a.pid <> pg_backend_pid()
  and exists (select from pg_catalog.pg_locks l where l.pid = a.pid and l.granted
              and l.relation = any (%s::text[]::regclass[]))
order by a.xact_start
limit 3;
