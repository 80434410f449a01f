-- What may be taken off a table and put back, and what proves that it is as it was.

-- name: refusals
-- Why nothing at all may be taken off this table. No row: it may.
select 'the role does not own the table' as why
from pg_catalog.pg_class c where c.oid = %(oid)s::bigint::oid and not pg_has_role(c.relowner, 'USAGE')
union all
select 'the table is partitioned, inherited or not a plain heap'
from pg_catalog.pg_class c
where c.oid = %(oid)s::bigint::oid
  and (c.relkind <> 'r' or c.relispartition or c.relhassubclass
       or exists (select from pg_catalog.pg_inherits i where i.inhrelid = c.oid)
       or not exists (select from pg_catalog.pg_am a where a.oid = c.relam and a.amname = 'heap'))
union all
select 'row security applies to the role' where row_security_active(%(oid)s::bigint::oid)
union all
select 'the table belongs to an extension'
from pg_catalog.pg_depend d
where d.classid = 'pg_class'::regclass and d.objid = %(oid)s::bigint::oid and d.deptype = 'e'
union all
(select 'the event trigger ' || e.evtname || ' watches changes of tables'
 from pg_catalog.pg_event_trigger e where e.evtenabled <> 'D' limit 1);

-- name: foreign_keys
-- Each foreign key of the table, with the reason to keep it where there is one. Without SELECT on
-- the parent, or with its row security active, re-creating checks row by row: far slower.
select k.conname as name, pg_get_constraintdef(k.oid) as definition,
       n.nspname as parent_schema, p.relname as parent_table,
       obj_description(k.oid, 'pg_constraint') as comment,
       case
         when not k.convalidated then 'it is not validated'
         when not coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) then 'it is not enforced'
         when exists (select from pg_catalog.pg_trigger g
                      where g.tgconstraint = k.oid and g.tgenabled <> 'O')
           then 'its triggers are switched'
         when p.relkind <> 'r' then 'its parent is partitioned or foreign'
         when not has_table_privilege(k.confrelid, 'SELECT')
           then 'no SELECT on ' || k.confrelid::regclass
         when not has_table_privilege(k.confrelid, 'REFERENCES')
           then 'no REFERENCES on ' || k.confrelid::regclass
         when row_security_active(k.confrelid)
           then 'row security hides rows of ' || k.confrelid::regclass
       end as keep,
       has_table_privilege(k.confrelid, 'UPDATE') or has_table_privilege(k.confrelid, 'DELETE')
         or has_table_privilege(k.confrelid, 'TRUNCATE') as lockable
from pg_catalog.pg_constraint k
join pg_catalog.pg_class p on p.oid = k.confrelid
join pg_catalog.pg_namespace n on n.oid = p.relnamespace
where k.conrelid = %(oid)s::bigint::oid and k.contype = 'f'
order by k.conname;

-- name: indexes
-- Each index with the constraint it carries, and the reason to keep it where there is one. What a
-- definition does not hold (clustering, statistics targets, comments, a tablespace) is a reason.
select i.indexrelid::bigint as oid, c.relname as name, k.conname as constraint,
       pg_get_indexdef(i.indexrelid) as definition,
       pg_get_constraintdef(k.oid) as constraint_definition,
       case
         when not i.indisvalid or not i.indisready or not i.indislive then 'it is not valid'
         when i.indisreplident then 'it is the replica identity'
         when i.indisclustered then 'the table is clustered on it'
         when i.indisexclusion then 'exclusion constraints are never re-created'
         when c.reltablespace <> 0 then 'it lies in a tablespace of its own'
         when c.reloptions is not null then 'it has storage options'
         when obj_description(i.indexrelid, 'pg_class') is not null
              or obj_description(k.oid, 'pg_constraint') is not null then 'it has a comment'
         when exists (select from pg_catalog.pg_attribute a
                      where a.attrelid = i.indexrelid
                        and coalesce((to_jsonb(a) ->> 'attstattarget')::int, -1) >= 0)
           then 'it has statistics targets'
         when i.indisprimary and t.relreplident = 'd'
              and exists (select from pg_catalog.pg_publication_tables b
                          where b.schemaname = n.nspname and b.tablename = t.relname)
           then 'the table is published and identified by it'
         when i.indisunique and k.oid is null then 'it is unique without a constraint'
         else (select min(pg_describe_object(d.classid, d.objid, d.objsubid)) || ' needs it'
               from pg_catalog.pg_depend d
               where ((d.refclassid = 'pg_constraint'::regclass and d.refobjid = k.oid)
                      or (d.refclassid = 'pg_class'::regclass and d.refobjid = i.indexrelid))
                 and not (d.classid = 'pg_class'::regclass and d.objid = i.indexrelid)
                 and d.deptype <> 'i')
       end as keep
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indexrelid
join pg_catalog.pg_class t on t.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = t.relnamespace
left join pg_catalog.pg_constraint k
       on k.conindid = i.indexrelid and k.conrelid = i.indrelid and k.contype in ('p', 'u', 'x')
where i.indrelid = %(oid)s::bigint::oid
order by i.indisprimary, c.relname;

-- name: fingerprint
-- All that a load must leave as it was, as lines of text without object ids.
with t as (select c.* from pg_catalog.pg_class c where c.oid = %(oid)s::bigint::oid)
select line from (
  select format('table owner=%%s acl=%%s rls=%%s/%%s options=%%s tablespace=%%s identity=%%s comment=%%s',
                pg_get_userbyid(relowner), relacl, relrowsecurity, relforcerowsecurity, reloptions,
                reltablespace, relreplident, obj_description(oid, 'pg_class')) as line from t
  union all
  select format('column %%s %%s type=%%s notnull=%%s default=%%s identity=%%s generated=%%s acl=%%s '
                'statistics=%%s storage=%%s comment=%%s',
                a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                (select pg_get_expr(d.adbin, d.adrelid) from pg_catalog.pg_attrdef d
                 where d.adrelid = a.attrelid and d.adnum = a.attnum),
                a.attidentity, a.attgenerated, a.attacl, to_jsonb(a) ->> 'attstattarget',
                a.attstorage, col_description(a.attrelid, a.attnum))
  from pg_catalog.pg_attribute a join t on a.attrelid = t.oid where a.attnum > 0
  union all
  select format('constraint %%s %%s validated=%%s enforced=%%s comment=%%s', k.conname,
                pg_get_constraintdef(k.oid), k.convalidated, to_jsonb(k) ->> 'conenforced',
                obj_description(k.oid, 'pg_constraint'))
  from pg_catalog.pg_constraint k join t on k.conrelid = t.oid
  union all
  select format('referenced by %%s %%s %%s', k.conrelid::regclass, k.conname, k.convalidated)
  from pg_catalog.pg_constraint k join t on k.confrelid = t.oid
  union all
  select format('index %%s identity=%%s clustered=%%s tablespace=%%s comment=%%s',
                pg_get_indexdef(i.indexrelid), i.indisreplident, i.indisclustered,
                c.reltablespace, obj_description(i.indexrelid, 'pg_class'))
  from pg_catalog.pg_index i join t on i.indrelid = t.oid
  join pg_catalog.pg_class c on c.oid = i.indexrelid
  union all
  select format('trigger %%s enabled=%%s', pg_get_triggerdef(g.oid), g.tgenabled)
  from pg_catalog.pg_trigger g join t on g.tgrelid = t.oid where not g.tgisinternal
  union all
  select format('policy %%s %%s %%s %%s %%s', p.polname, p.polcmd, p.polroles,
                pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  from pg_catalog.pg_policy p join t on p.polrelid = t.oid
  union all
  select format('rule %%s', pg_get_ruledef(r.oid))
  from pg_catalog.pg_rewrite r join t on r.ev_class = t.oid
  union all
  select format('view %%s', d.objid)
  from pg_catalog.pg_depend d join t on d.refobjid = t.oid
  where d.refclassid = 'pg_class'::regclass and d.classid = 'pg_rewrite'::regclass
  union all
  select format('publication %%s', b.pubname)
  from pg_catalog.pg_publication_tables b join t on b.tablename = t.relname
  join pg_catalog.pg_namespace n on n.oid = t.relnamespace and n.nspname = b.schemaname
  union all
  select format('statistics %%s', pg_get_statisticsobjdef(s.oid))
  from pg_catalog.pg_statistic_ext s join t on s.stxrelid = t.oid
) lines order by line collate "C";

-- name: deferrable
-- Constraints, constraint triggers too, of the table and its partitions that can be deferred.
select n.nspname, k.conname, k.condeferred
from pg_catalog.pg_constraint k
join pg_catalog.pg_namespace n on n.oid = k.connamespace
where k.condeferrable
  and (k.conrelid = %(oid)s::bigint::oid
       or k.conrelid in (select relid from pg_partition_tree(%(oid)s::bigint::oid::regclass)))
order by 1, 2;

-- name: cascades
-- Foreign keys that change other rows when one is removed, which no count of ours would show.
select distinct conrelid::regclass::text
from pg_catalog.pg_constraint
where confrelid = %(oid)s and contype = 'f' and confdeltype in ('c', 'n', 'd')
order by 1;

-- name: acts_on_removal
-- Does a trigger or a rule of the table or of its partitions act when rows are removed, or marked?
with own as (
  select %(oid)s::bigint::oid as oid
  union
  select relid from pg_partition_tree(%(oid)s::bigint::oid::regclass))
select exists (select from pg_catalog.pg_trigger g join own on g.tgrelid = own.oid
               where not g.tgisinternal and g.tgenabled <> 'D'
                 and g.tgtype & case when %(marks)s then 16 else 8 end <> 0)
    or exists (select from pg_catalog.pg_rewrite r join own on r.ev_class = own.oid
               where r.ev_type = case when %(marks)s then '2' else '4' end::"char"
                 and r.ev_enabled <> 'D');
