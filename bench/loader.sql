-- What a role needs that loads the sales and owns nothing; its rights on the ledger are given by
-- penstock roles. It may look keys up in the parents.
grant insert, select, truncate on fact_sales to shop_loader;
grant select on dim_products, dim_customers to shop_loader;
