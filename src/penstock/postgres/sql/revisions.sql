-- What the revisions of a project's own tables ask the catalog.

-- name: exists
-- Whether there is a version table, before Alembic makes one.
select to_regclass(%s) is not null as is_there;

-- name: schema
-- Whether a schema is there: CREATE SCHEMA asks for a right even where it changes nothing.
select to_regnamespace(quote_ident(%s)) is not null as is_there;

-- name: sizes
-- Tables by the names that a revision uses, with all their parts: rows as the last ANALYZE counted
-- them (before the first one as the statistics do), bytes as they lie on disk.
with recursive named as (
    select name, to_regclass(name)::oid as oid from unnest(%s::text[]) as name
), parts as (
    select name, oid from named where oid is not null
    union all
    select p.name, i.inhrelid from parts p join pg_catalog.pg_inherits i on i.inhparent = p.oid
)
select n.name,
       top.relkind = 'p' as partitioned,
       sum(case when c.reltuples >= 0 then c.reltuples else coalesce(s.n_live_tup, 0) end)::bigint
           as rows,
       coalesce(sum(pg_relation_size(c.oid)), 0)::bigint as bytes
from named n
join pg_catalog.pg_class top on top.oid = n.oid
join parts p on p.name = n.name
join pg_catalog.pg_class c on c.oid = p.oid
left join pg_catalog.pg_stat_all_tables s on s.relid = c.oid
where top.relkind in ('r', 'p', 'm')
group by n.name, top.relkind;

-- name: volatile
-- Which of these functions give another value for each row.
select distinct proname from pg_catalog.pg_proc
where proname = any (%s::text[]) and provolatile = 'v';

-- name: type
-- A column's type now.
select format_type(atttypid, atttypmod) as type from pg_catalog.pg_attribute
where attrelid = to_regclass(%s) and attname = %s and not attisdropped;

-- name: never_null
-- Whether PostgreSQL knows already that a column is never NULL: SET NOT NULL reads no row then.
select exists (
    select from pg_catalog.pg_attribute
    where attrelid = to_regclass(%(table)s) and attname = %(column)s and attnotnull
) or exists (
    select from pg_catalog.pg_constraint
    where conrelid = to_regclass(%(table)s) and contype = 'c' and convalidated
      and pg_get_constraintdef(oid) = format('CHECK ((%%I IS NOT NULL))', %(column)s::text)
) as is_known;

-- name: checks
-- Constraints that say that a column is never NULL, and are not valid yet.
select conname from pg_catalog.pg_constraint
where conrelid = to_regclass(%(table)s) and contype = 'c' and not convalidated
  and pg_get_constraintdef(oid) = format('CHECK ((%%I IS NOT NULL)) NOT VALID', %(column)s::text);
