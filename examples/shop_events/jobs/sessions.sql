-- The sessions that began on some days (UTC): a user's events with less than 30 minutes between two.
-- The half hour before says whether a day's first event goes on with a session of the day before; the
-- day after has the rest of those that go on past midnight, of which none is longer than a day.
with seen as (
    select user_id, occurred_at, type, quantity * price as amount,
           coalesce(occurred_at - lag(occurred_at) over by_time >= interval '30 minutes', true) as opens
    from events
    where user_id is not null
      and occurred_at >= cast(:low as timestamp) at time zone 'UTC' - interval '30 minutes'
      and occurred_at < (cast(:high as timestamp) + interval '2 days') at time zone 'UTC'
    window by_time as (partition by user_id order by occurred_at, event_id)
), numbered as (
    select *, count(*) filter (where opens) over (partition by user_id order by occurred_at
               range between unbounded preceding and current row) as session
    from seen
), sessions as (
    select user_id, min(occurred_at) as started_at, max(occurred_at) as ended_at, count(*) as events,
           count(*) filter (where type = 'product_view') as product_views,
           count(*) filter (where type = 'cart_add') as cart_adds,
           count(*) filter (where type = 'purchase') as purchases,
           sum(amount) filter (where type = 'purchase') as amount
    from numbered
    group by user_id, session
)
select cast(started_at at time zone 'UTC' as date) as day, s.*,
       case when purchases > 0 then 'purchase' when cart_adds > 0 then 'cart'
            when product_views > 0 then 'product' else 'visit' end as funnel,
       exists (select from events e where e.user_id = s.user_id and e.occurred_at < s.started_at) as returning_user,
       purchases > 0 and not exists (
           select from events e
           where e.user_id = s.user_id and e.type = 'purchase' and e.occurred_at < s.started_at
       ) as first_purchase
from sessions s
where started_at >= cast(:low as timestamp) at time zone 'UTC'
  and started_at < (cast(:high as timestamp) + interval '1 day') at time zone 'UTC'
