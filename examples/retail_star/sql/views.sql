-- Every sale with what is known of its product and customer.
create or replace view v_sales as
select s.sale_id, s.sale_date, s.units, s.discount, s.revenue, s.cost, s.margin,
       case
           when extract(month from s.sale_date) in (3, 4, 5) then 'spring'
           when extract(month from s.sale_date) in (6, 7, 8) then 'summer'
           when extract(month from s.sale_date) in (9, 10, 11) then 'autumn'
           else 'winter'
       end as season_of_sale,
       p.product_id, p.name as product, p.category, p.season as season_of_product, p.launch_date,
       c.customer_id, c.region, c.segment
from fact_sales s
join dim_products p using (product_id)
join dim_customers c using (customer_id);

-- How a product went after its launch.
create or replace view v_launches as
select product_id, product, launch_date, sale_date,
       sale_date - launch_date as days_since_launch, units, revenue
from v_sales;
