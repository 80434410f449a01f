-- From which day to which sessions may be others than they were: days of events that came since, the
-- days before them (a session may have begun before midnight), and later days of the same users (who
-- may have returned now, or purchased before).
with changed as (
    select user_id, occurred_at, processed_at, cast(occurred_at at time zone 'UTC' as date) as day
    from events
    where processed_at > :since and user_id is not null
), days as (
    select day - 1 as day from changed
    union all
    select day from changed
    union all
    select s.day from changed c join user_sessions s on s.user_id = c.user_id and s.started_at > c.occurred_at
)
select min(day) as low, max(day) as high, (select max(processed_at) from changed) as processed_at
from days
having count(*) > 0
