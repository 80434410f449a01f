-- Who owns the ledger and who may do what with it.

-- name: role
-- What is to be known of a role before rights are given to it.
select rolcanlogin as can_login, rolsuper as superuser,
       pg_has_role(current_user, oid, 'USAGE') as is_mine,
       has_database_privilege(oid, current_database(), 'CREATE') as may_create
from pg_catalog.pg_roles where rolname = %(role)s;

-- name: self
-- Who asks.
select current_user as name, current_database() as database,
       (select rolsuper from pg_catalog.pg_roles where rolname = current_user) as superuser;

-- name: relations
-- The tables and views of the ledger, with their owners; the days of events are reached through
-- the table of which they are parts.
select c.relname as name, c.relispartition as part, pg_get_userbyid(c.relowner) as owner
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'penstock' and c.relkind in ('r', 'p', 'v', 'm')
order by c.relname;

-- name: schema_owner
-- Who owns the schema.
select pg_get_userbyid(nspowner) from pg_catalog.pg_namespace where nspname = 'penstock';

-- name: functions
-- Functions that work with their owner's rights.
select p.oid::regprocedure::text, pg_get_userbyid(p.proowner)
from pg_catalog.pg_proc p where p.pronamespace = 'penstock'::regnamespace order by 1;
