-- Queries of the ledger.

-- name: state
-- Is the ledger there, and what may this role do about it? Asked of the catalog, because looking
-- up a name in a schema is refused to a role without rights on it.
select exists (select from pg_catalog.pg_class c
               join pg_catalog.pg_namespace n on n.oid = c.relnamespace
               where n.nspname = 'penstock' and c.relname = 'runs') as there,
       exists (select from pg_catalog.pg_namespace where nspname = 'penstock') as has_schema,
       has_database_privilege(current_database(), 'CREATE') as may_create,
       (select pg_has_role(nspowner, 'USAGE') from pg_catalog.pg_namespace
        where nspname = 'penstock') as owned;

-- name: revision
-- The revision that the ledger is at.
select version_num from penstock.alembic_version;

-- name: rights
-- What a loader needs and does not have.
select t.name || ': ' || p.privilege as missing
from (values ('runs'), ('loads'), ('rejects'), ('files')) t(name)
cross join (values ('SELECT'), ('INSERT'), ('UPDATE')) p(privilege)
where not has_table_privilege('penstock.' || t.name, p.privilege)
order by 1;

-- name: begin_run
-- A run is known before its work begins, with the backend that does it.
insert into penstock.runs (run_id, kind, command, target, host, process, version, part_of, job,
                           backend_pid, backend_start)
values (%(run_id)s, %(kind)s, %(command)s, %(target)s, %(host)s, %(process)s, %(version)s,
        %(part_of)s, %(job)s, pg_backend_pid(),
        (select backend_start from pg_catalog.pg_stat_activity where pid = pg_backend_pid()))
on conflict (run_id) do nothing;

-- name: begin_load
-- So is each of its loads.
insert into penstock.loads (load_id, run_id, schema_name, table_name, mode, sources, options)
values (%(load_id)s, %(run_id)s, %(schema)s, %(table)s, %(mode)s, %(sources)s, %(options)s)
on conflict (load_id) do nothing;

-- name: mark_interrupted
-- Runs whose backend is gone were cut off: their transaction was rolled back by PostgreSQL.
with gone as (
  update penstock.runs r
  set status = 'interrupted', finished_at = clock_timestamp(),
      error = 'the process or its connection ended before the load did; ' || case r.kind
              when 'send' then 'what was sent until then is in penstock.sent'
              else 'nothing was changed' end
  where r.status = 'running' and r.kind <> 'flow'  -- a flow is known by its lease
    and r.run_id <> all (%(own)s::uuid[])
    and not exists (select from pg_catalog.pg_stat_activity a
                    where a.pid = r.backend_pid
                      and coalesce(a.backend_start, r.backend_start) = r.backend_start)
  returning r.run_id)
update penstock.loads l set status = 'interrupted', finished_at = clock_timestamp()
from gone where gone.run_id = l.run_id and l.status = 'running';

-- name: finish_load
-- In the transaction of the data; the table's check holds the equation. What is finished stays so.
update penstock.loads
set status = %(status)s, finished_at = clock_timestamp(), seconds = %(seconds)s,
    read = %(read)s, inserted = %(inserted)s, updated = %(updated)s, unchanged = %(unchanged)s,
    deleted = %(deleted)s, inferred = %(inferred)s, ignored = %(ignored)s,
    filtered = %(filtered)s, quarantined = %(quarantined)s, changes = %(changes)s,
    skipped = %(skipped)s, strategy = %(strategy)s, error = %(error)s
where load_id = %(load_id)s and status in ('running', 'interrupted');

-- name: finish_run
-- With the last load's data, or after a rollback.
update penstock.runs
set status = %(status)s, finished_at = clock_timestamp(), error = %(error)s
where run_id = %(run_id)s and status in ('running', 'interrupted');

-- name: lock_load
-- Held by the data's transaction; who asks for an unknown outcome waits for it first.
select pg_advisory_xact_lock(1885691763, hashtext(%(load_id)s::text));

-- name: load_status
-- What became of a load whose COMMIT was not answered.
select status from penstock.loads where load_id = %(load_id)s;

-- name: known_files
-- Files of these sizes whose content is in the table.
select encode(sha256, 'hex') as sha256, bytes, name, loaded_at, load_id::text
from penstock.files
where schema_name = %(schema)s and table_name = %(table)s and bytes = any (%(sizes)s::bigint[])
  and current;

-- name: record_file
-- No row comes back where the same content is in the table already, perhaps by a load that ran at
-- the same time; with --again the newest load counts.
insert into penstock.files as f (schema_name, table_name, sha256, bytes, name, load_id)
values (%(schema)s, %(table)s, decode(%(sha256)s, 'hex'), %(bytes)s, %(name)s, %(load_id)s)
on conflict (schema_name, table_name, sha256)
do update set load_id = excluded.load_id, name = excluded.name, current = true,
              loaded_at = clock_timestamp()
where not f.current or %(again)s
returning 1;

-- name: forget_files
-- The table was emptied: what was in it may be loaded again. A load that another one has recorded
-- since these loads were looked up is not among them.
update penstock.files set current = false
where schema_name = %(schema)s and table_name = %(table)s and current
  and (%(loads)s::uuid[] is null or load_id = any (%(loads)s::uuid[]));

-- name: loads_with_files
-- The loads whose files are in the table.
select distinct load_id::text from penstock.files
where schema_name = %(schema)s and table_name = %(table)s and current;
