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
-- Columns in table order; what their types are made of is read by "types".
select a.attname as name, a.attnum::int as number, a.atttypid::bigint as oid, a.atttypmod as typmod,
       format_type(a.atttypid, a.atttypmod) as type,
       a.attnotnull as not_null, a.atthasdef as has_default,
       a.attidentity::text as identity, a.attgenerated <> '' as generated,
       coalesce((select quote_ident(n.nspname) || '.' || quote_ident(l.collname)
                 from pg_catalog.pg_collation l
                 join pg_catalog.pg_namespace n on n.oid = l.collnamespace
                 where l.oid = a.attcollation and not l.collisdeterministic), '') as collation
from pg_catalog.pg_attribute a
where a.attrelid = %(oid)s::bigint::oid and a.attnum > 0 and not a.attisdropped
order by a.attnum;

-- name: types
-- The types of a table's columns and all that is within them: beneath a domain, in an array, at the
-- ends of a range, in a composite. A domain is read as the type beneath it, with the modifier that one of its
-- domains sets; its checks are the server's. int2vector and its like are written as no array is.
-- plain_type is the internal name: `bit` and `character` would mean bit(1) and character(1).
with recursive within as (
  select a.atttypid as oid
  from pg_catalog.pg_attribute a
  where a.attrelid = %(oid)s::bigint::oid and a.attnum > 0 and not a.attisdropped
  union
  select x.oid
  from within
  join pg_catalog.pg_type w on w.oid = within.oid
  cross join lateral (
    select w.typelem as oid from pg_catalog.pg_type e where e.typarray = w.oid
    union all
    select w.typbasetype where w.typtype = 'd'
    union all
    select g.rngsubtype from pg_catalog.pg_range g where w.oid in (g.rngtypid, g.rngmultitypid)
    union all
    select f.atttypid from pg_catalog.pg_attribute f
    where w.typtype = 'c' and f.attrelid = w.typrelid and f.attnum > 0 and not f.attisdropped) x)
select t.oid::bigint as oid, t.typname as name, t.typtype::text as category,
       n.nspname = 'pg_catalog' as built_in,
       format('%%I.%%I', n.nspname, t.typname) as plain_type,
       nullif(t.typbasetype, 0)::bigint as beneath, t.typtypmod as typmod,
       case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end as beneath_type,
       coalesce(e.oid, g.rngsubtype)::bigint as element,
       format_type(g.rngsubtype, null) as bounds_type,
       coalesce((select array_agg(l.enumlabel::text order by l.enumsortorder)
                 from pg_catalog.pg_enum l where l.enumtypid = t.oid), '{}') as labels,
       coalesce((select json_agg(json_build_array(f.attname, f.atttypid::bigint, f.atttypmod,
                                                  format_type(f.atttypid, f.atttypmod))
                                 order by f.attnum)
                 from pg_catalog.pg_attribute f
                 where t.typtype = 'c' and f.attrelid = t.typrelid and f.attnum > 0
                   and not f.attisdropped), '[]') as fields
from within
join pg_catalog.pg_type t on t.oid = within.oid
join pg_catalog.pg_namespace n on n.oid = t.typnamespace
left join pg_catalog.pg_type e on e.typarray = t.oid
left join pg_catalog.pg_range g on t.oid in (g.rngtypid, g.rngmultitypid);

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
