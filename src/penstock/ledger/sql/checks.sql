-- Queries of what quality checks found.

-- name: write
-- One result.
insert into penstock.checks (run_id, load_id, pipeline, schema_name, table_name, name, columns,
                             severity, outcome, figure, bound, rows, wrong, examples, reason)
values (%(run_id)s, %(load_id)s, %(pipeline)s, %(schema)s, %(table)s, %(name)s, %(columns)s,
        %(severity)s, %(outcome)s, %(figure)s, %(bound)s, %(rows)s, %(wrong)s, %(examples)s,
        %(reason)s);

-- name: kept
-- What was found in a run, or in loads.
select schema_name, table_name, name, columns, severity, outcome, figure, bound, rows, wrong,
       examples, reason
from penstock.checks
where run_id = %(run_id)s or load_id = any (%(loads)s::uuid[])
order by check_id;

-- name: purge
-- What was found long ago.
delete from penstock.checks
where checked_at < clock_timestamp() - make_interval(days => %(days)s::int);
