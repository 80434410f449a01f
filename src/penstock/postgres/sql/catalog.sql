-- Queries that read the catalog. Names are compared exactly; nothing here depends on search_path.

-- name: find_table
-- The candidates for a table name: exact first, then the folded name, in search_path order.
select c.oid::bigint as oid, n.nspname as schema, c.relname as table
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f')
  and c.relname in (%(table)s::text, lower(%(table)s::text))
  and (case when %(schema)s::text is null
            then n.nspname = any (current_schemas(false))
            else n.nspname in (%(schema)s::text, lower(%(schema)s::text)) end)
order by c.relname = %(table)s::text desc,
         n.nspname = %(schema)s::text desc nulls last,
         array_position(current_schemas(false), n.nspname)
limit 1;

-- name: loadable_names
-- What a mistyped name could have meant.
select case when n.nspname = any (current_schemas(false)) then c.relname
            else n.nspname || '.' || c.relname end as name
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p')
  and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'penstock')
  and n.nspname not like 'pg\_temp\_%%'
order by 1
limit 2000;

-- name: table
-- Kind, owner, rights and what sets a table apart from a plain heap.
select c.relkind::text as kind,
       pg_has_role(c.relowner, 'USAGE') as owned,
       row_security_active(c.oid) as row_security,
       c.relkind = 'r' and not c.relispartition and not c.relhassubclass
         and not exists (select from pg_catalog.pg_inherits i where i.inhrelid = c.oid)
         and coalesce((select a.amname = 'heap' from pg_catalog.pg_am a where a.oid = c.relam), false)
         as plain,
       array_remove(array[
         case when has_any_column_privilege(c.oid, 'SELECT') then 'SELECT' end,
         case when has_table_privilege(c.oid, 'INSERT') then 'INSERT' end,
         case when has_any_column_privilege(c.oid, 'UPDATE') then 'UPDATE' end,
         case when has_table_privilege(c.oid, 'DELETE') then 'DELETE' end,
         case when has_table_privilege(c.oid, 'TRUNCATE') then 'TRUNCATE' end], null) as rights,
       exists (select from pg_catalog.pg_trigger t
               where t.tgrelid = c.oid and not t.tgisinternal and t.tgenabled <> 'D'
                 and t.tgtype & 4 <> 0) as has_triggers,
       exists (select from pg_catalog.pg_constraint k
               where k.conrelid = c.oid and k.contype = 'x') as has_exclusions,
       exists (select from pg_catalog.pg_index i
               where i.indrelid = c.oid and i.indisunique
                 and (i.indpred is not null or i.indexprs is not null)) as has_odd_keys,
       exists (select from pg_catalog.pg_rewrite r
               where r.ev_class = c.oid and r.ev_type = '3' and r.ev_enabled <> 'D')
         as has_insert_rules
from pg_catalog.pg_class c
where c.oid = %(oid)s::bigint::oid;

-- name: columns
-- Columns in table order with what decides how their text is read. A domain is read as the type
-- beneath it, with the modifier that one of its domains sets; its checks are the server's.
-- plain_type is the internal name: `bit` and `character` would mean bit(1) and character(1).
-- unjudged: what is found in the type (in arrays and ranges, beneath their domains) that the
-- server's input changes silently and no check can compare. Some are so only inside another type.
select a.attname as name, a.attnum::int as number,
       format_type(a.atttypid, a.atttypmod) as type,
       format('%%I.%%I', bn.nspname, b.typname) as plain_type,
       coalesce((
         with recursive within as (
           select b.oid as type, 0 as depth, -1 as typmod
           union all
           select x.type, within.depth + 1, x.typmod
           from within
           join pg_catalog.pg_type w on w.oid = within.type
           cross join lateral (
             select w.typelem as type, -1 as typmod where w.typcategory = 'A' and w.typelem <> 0
             union all
             select w.typbasetype, w.typtypmod where w.typtype = 'd'
             union all
             select g.rngsubtype, -1 from pg_catalog.pg_range g
             where w.oid in (g.rngtypid, g.rngmultitypid)) x)
         select format_type(w.oid, nullif(within.typmod, -1))
         from within join pg_catalog.pg_type w on w.oid = within.type
         where w.typtype = 'c' or within.typmod >= 0
            or w.typnamespace = 'pg_catalog'::regnamespace
               and (w.typname in ('oid', 'xid', 'xid8', 'cid', 'tid')
                    or w.typname like 'reg%%'
                    or within.depth > 0 and w.typname in
                       ('date', 'time', 'timetz', 'timestamp', 'timestamptz', 'interval',
                        'char', 'name', 'money', 'jsonb'))
         order by within.depth limit 1), '') as unjudged,
       b.typname as base, t.typtype::text as category,
       greatest(a.atttypmod, d.typmod) as typmod,
       a.attnotnull as not_null, a.atthasdef as has_default,
       a.attidentity::text as identity, a.attgenerated <> '' as generated,
       coalesce((select l.collisdeterministic from pg_catalog.pg_collation l
                 where l.oid = a.attcollation), true) as deterministic
from pg_catalog.pg_attribute a
join pg_catalog.pg_type t on t.oid = a.atttypid
cross join lateral (
  with recursive beneath as (
    select t.oid, t.typtype, t.typbasetype, t.typtypmod
    union all
    select u.oid, u.typtype, u.typbasetype, u.typtypmod
    from beneath join pg_catalog.pg_type u on u.oid = beneath.typbasetype
    where beneath.typtype = 'd')
  select max(typtypmod) as typmod, max(oid::bigint) filter (where typtype <> 'd') as base
  from beneath) d
join pg_catalog.pg_type b on b.oid = d.base::oid
join pg_catalog.pg_namespace bn on bn.oid = b.typnamespace
where a.attrelid = %(oid)s::bigint::oid and a.attnum > 0 and not a.attisdropped
order by a.attnum;

-- name: keys
-- Unique indexes over plain columns, whole table, primary key first. Invalid ones do not count.
select coalesce(k.conname, c.relname) as name, i.indisprimary as is_primary,
       not i.indnullsnotdistinct as nulls_distinct,
       (select array_agg(a.attname order by u.place)
        from unnest(i.indkey::int2[]) with ordinality u(attnum, place)
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.attnum
        where u.place <= i.indnkeyatts) as columns
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
left join pg_catalog.pg_constraint k
       on k.conindid = i.indexrelid and k.conrelid = i.indrelid and k.contype in ('p', 'u')
where i.indrelid = %(oid)s::bigint::oid
  and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
order by i.indisprimary desc, 1;

-- name: foreign_keys
-- Foreign keys in name order; conenforced exists from PostgreSQL 18 on, so it is read as json.
select k.conname as name, n.nspname as parent_schema, p.relname as parent_table,
       (select array_agg(a.attname order by u.place)
        from unnest(k.conkey) with ordinality u(attnum, place)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum) as columns,
       (select array_agg(a.attname order by u.place)
        from unnest(k.confkey) with ordinality u(attnum, place)
        join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.attnum)
         as parent_columns,
       k.confmatchtype = 'f' as match_full, k.convalidated as validated,
       coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) as enforced,
       row_security_active(k.confrelid) as row_security,
       has_table_privilege(k.confrelid, 'SELECT') as readable
from pg_catalog.pg_constraint k
join pg_catalog.pg_class p on p.oid = k.confrelid
join pg_catalog.pg_namespace n on n.oid = p.relnamespace
where k.conrelid = %(oid)s::bigint::oid and k.contype = 'f' and k.conparentid = 0
order by k.conname;

-- name: checks
-- CHECK constraints, for the words of a refusal.
select k.conname as name, pg_get_constraintdef(k.oid) as definition,
       coalesce((select array_agg(a.attname order by u.place)
                 from unnest(k.conkey) with ordinality u(attnum, place)
                 join pg_catalog.pg_attribute a
                   on a.attrelid = k.conrelid and a.attnum = u.attnum), '{}') as columns
from pg_catalog.pg_constraint k
where k.conrelid = %(oid)s::bigint::oid and k.contype = 'c'
order by k.conname;

-- name: referenced_by
-- Tables whose foreign keys point here: TRUNCATE refuses unless they are emptied too.
select distinct n.nspname as schema, c.relname as table
from pg_catalog.pg_constraint k
join pg_catalog.pg_class c on c.oid = k.conrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where k.confrelid = %(oid)s::bigint::oid and k.contype = 'f' and k.conrelid <> k.confrelid
order by 1, 2;
