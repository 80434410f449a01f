-- name: sales by region
select region, count(*) as sales, sum(units) as units, sum(revenue) as revenue,
       round(100 * sum(margin) / sum(revenue), 1) as margin_percent
from v_sales group by region order by revenue desc;

-- name: sales by season
select season_of_sale as season, count(*) as sales, sum(revenue) as revenue,
       round(avg(discount), 3) as mean_discount
from v_sales group by season_of_sale order by revenue desc;

-- name: sales by discount
select discount, count(*) as sales, round(avg(units), 2) as mean_units, sum(margin) as margin
from v_sales group by discount order by discount;

-- name: the first ninety days of the launches
select product, launch_date, sum(units) as units, sum(revenue) as revenue
from v_launches where days_since_launch between 0 and 89
group by product, launch_date order by revenue desc limit 5;
