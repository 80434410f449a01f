-- Rejects as people see and close them.

-- name: groups
-- What was refused and why, by table, column, code and status. Counted from the index `patterns`
-- alone; only the newest row of each combination of columns and codes is read, as the sample. A
-- row with the same fault twice counts once.
with combined as (
  select schema_name, table_name, status, pattern, count(*) as n,
         count(*) filter (where awaits_parent) as awaiting,
         sum(count(*) filter (where awaits_parent))
           over (partition by schema_name, table_name, status)::bigint as table_awaiting,
         min(first_seen) as first_seen, max(last_seen) as last_seen, max(reject_id) as newest,
         sum(count(*)) over (partition by schema_name, table_name, status)::bigint as table_rows
  from penstock.rejects
  where (%(statuses)s::text[] is null or status = any (%(statuses)s::text[]))
    and (%(table)s::text is null
         or (schema_name = %(schema)s::text and table_name = %(table)s::text))
    and (%(loads)s::uuid[] is null or load_id = any (%(loads)s::uuid[])
         or last_load = any (%(loads)s::uuid[]))
  group by schema_name, table_name, status, pattern),
faults as (
  select distinct on (c.newest, f.name, f.code)
         c.schema_name, c.table_name, f.name, f.code, c.status, c.n, c.table_rows, c.awaiting,
         c.table_awaiting,
         c.first_seen, c.last_seen, c.newest, f.reason, f.bad_value, r.source, r.record, r.line
  from combined c
  join penstock.rejects r on r.reject_id = c.newest
  cross join lateral unnest(r.columns, r.codes, r.reasons, r.bad_values)
    with ordinality f(name, code, reason, bad_value, place)
  order by c.newest, f.name, f.code, f.place)
select schema_name, table_name, name as column, code, status, sum(n)::bigint as rows,
       max(table_rows) as table_rows, min(first_seen) as first_seen, max(last_seen) as last_seen,
       max(newest) as reject_id,
       (array_agg(source order by newest desc))[1] as source,
       (array_agg(record order by newest desc))[1] as record,
       (array_agg(line order by newest desc))[1] as line,
       (array_agg(bad_value order by newest desc))[1] as value,
       (array_agg(reason order by newest desc))[1] as reason,
       sum(awaiting)::bigint as awaiting, max(table_awaiting) as table_awaiting
from faults
group by schema_name, table_name, name, code, status
order by schema_name, table_name, status, rows desc, name, code;

-- name: counts
-- How many rejects of each table have which status.
select schema_name, table_name, status, count(*) from penstock.rejects
where (%(statuses)s::text[] is null or status = any (%(statuses)s::text[]))
group by schema_name, table_name, status
order by schema_name, table_name, status;

-- name: find
-- Whole rejects; `selected` follows.
select reject_id, load_id::text, last_load::text, schema_name, table_name, source, record, line,
       raw, raw_values::text as raw_values, columns, codes, reasons, bad_values, key, status, times,
       first_seen, last_seen, closed_at, closed_by::text, discarded_by, note, awaits_parent
from penstock.rejects r

-- name: layouts
-- Which source columns the rejects have, in the order of the source, earliest first; NULL where a
-- record could not be split. `selected` and `layouts_grouped` go around it. PostgreSQL refuses to
-- look into JSON with escapes for what it cannot hold: NUL, and what the database's encoding lacks.
-- So \u20ac is read as \u0001 followed by u20ac; the reader makes it a character again.
select array(select json_object_keys(
         case when strpos(raw_values::text, '\u') = 0 then raw_values
              else regexp_replace(raw_values::text, '(?<!\\)((?:\\\\)*)\\u([0-9a-fA-F]{4})',
                                  '\1\\u0001u\2', 'g')::json end)) as names,
       raw_values is null as unsplit, schema_name, table_name, min(reject_id)
from penstock.rejects r

-- name: layouts_grouped
-- The end of `layouts`.
group by 1, 2, 3, 4 order by 5;

-- name: selected
-- The rejects that a person means; a column and a code are met by one and the same fault.
where (%(ids)s::bigint[] is null or r.reject_id = any (%(ids)s::bigint[]))
  and (%(statuses)s::text[] is null or r.status = any (%(statuses)s::text[]))
  and (%(table)s::text is null
       or (r.schema_name = %(schema)s::text and r.table_name = %(table)s::text))
  and (%(loads)s::uuid[] is null or r.load_id = any (%(loads)s::uuid[])
       or r.last_load = any (%(loads)s::uuid[]))
  and (%(code)s::text is null or r.codes @> array[%(code)s::text])
  and (%(column)s::text is null or r.columns @> array[%(column)s::text])
  and (%(code)s::text is null or %(column)s::text is null
       or exists (select from unnest(r.columns, r.codes) f(name, code)
                  where f.name = %(column)s::text and f.code = %(code)s::text))

-- name: ordered
-- The end of `find`.
order by r.reject_id limit %(limit)s::bigint;

-- name: reasons
-- Why rows were refused, each row by its first fault; `selected` and `reasons_grouped` go around it.
select r.columns[1] as name, r.codes[1] as code, r.awaits_parent, min(r.reject_id) as reject_id,
       count(*) as rows
from penstock.rejects r

-- name: reasons_grouped
-- The end of `reasons`, commonest first.
group by 1, 2, 3 order by 5 desc, 1, 2, 3;

-- name: number
-- How many rejects `selected` means.
select count(*) from penstock.rejects r

-- name: discard
-- Closed by a person, who is named; `selected` follows. Only what waits can be discarded.
update penstock.rejects r
set status = 'discarded', closed_at = clock_timestamp(), note = %(note)s::text,
    discarded_by = concat_ws(' ', session_user, '(' || nullif(%(who)s::text, '') || ')')

-- name: may_purge
-- May this role take rejects away, and who may?
select has_table_privilege('penstock.rejects', 'DELETE') as may,
       pg_get_userbyid(c.relowner) as owner
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'penstock' and c.relname = 'rejects';

-- name: purge
-- What was closed long ago, or refused by loads that were rolled back long ago.
delete from penstock.rejects
where status <> 'waiting'
  and coalesce(closed_at, last_seen) < clock_timestamp() - make_interval(days => %(days)s::int);

-- name: load_ids
-- The loads whose id, or whose run's id, or whose flow's run's id, begins so.
select l.load_id::text from penstock.loads l join penstock.runs r on r.run_id = l.run_id
where l.load_id::text like %(prefix)s::text || '%%' or r.run_id::text like %(prefix)s::text || '%%'
   or r.part_of::text like %(prefix)s::text || '%%'
order by l.started_at;
