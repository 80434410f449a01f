-- What a person who is called at night wants to know first.

-- name: server
-- Version, settings that decide what a crash costs, and how this session is connected.
select current_setting('server_version') as version,
       current_setting('server_version_num')::int as number,
       current_setting('fsync') as fsync,
       current_setting('full_page_writes') as full_page_writes,
       current_setting('synchronous_commit') as synchronous_commit,
       pg_is_in_recovery() as in_recovery,
       current_setting('default_transaction_read_only') as read_only,
       inet_client_addr() is null as by_socket,
       coalesce(inet_client_addr() << inet '127.0.0.0/8' or inet_client_addr() = inet '::1', true)
         as from_here,
       s.ssl as tls, s.version as tls_version,
       current_user as role,
       (select rolsuper from pg_catalog.pg_roles where rolname = current_user) as superuser,
       has_database_privilege(current_database(), 'TEMP') as temp
from (select) one left join pg_catalog.pg_stat_ssl s on s.pid = pg_backend_pid();

-- name: table
-- Owner and kind of storage of a table.
select pg_get_userbyid(c.relowner) as owner, c.relpersistence::text as persistence
from pg_catalog.pg_class c where c.oid = %(oid)s::bigint::oid;

-- name: parents
-- Foreign keys with the rights on their parents that re-creating them needs.
select k.conname as name, n.nspname as schema, p.relname as table,
       array_remove(array[
         case when not has_table_privilege(k.confrelid, 'SELECT') then 'SELECT' end,
         case when not has_table_privilege(k.confrelid, 'REFERENCES') then 'REFERENCES' end], null)
         as missing
from pg_catalog.pg_constraint k
join pg_catalog.pg_class p on p.oid = k.confrelid
join pg_catalog.pg_namespace n on n.oid = p.relnamespace
where k.conrelid = %(oid)s::bigint::oid and k.contype = 'f' and k.conparentid = 0
order by k.conname;

-- name: open_transactions
-- Transactions of this database, open for longer than a load would wait, that hold locks on these
-- tables. Of other roles' sessions only a superuser or a member of pg_read_all_stats sees the age;
-- there, the lock alone counts.
select a.pid, a.usename as role, a.application_name as application, a.state,
       extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds,
       array_agg(distinct l.relation::regclass::text) as tables
from pg_catalog.pg_locks l
join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.granted and l.pid <> pg_backend_pid()
  and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
  and (%(oids)s::bigint[] is null or l.relation = any (%(oids)s::bigint[]::oid[]))
  and l.relation >= 16384
  and coalesce(clock_timestamp() - a.xact_start > make_interval(secs => %(seconds)s::float8), true)
group by a.pid, a.usename, a.application_name, a.state, a.xact_start
order by a.xact_start nulls last
limit 20;
