-- What a role needs that loads and owns nothing: the table, its parents to look keys up, the ledger.
grant insert, select, truncate on fact_sales to shop_loader;
grant select on dim_products, dim_customers to shop_loader;
grant usage on schema penstock to shop_loader;
grant select on penstock.alembic_version to shop_loader;
grant select, insert, update on penstock.runs, penstock.loads, penstock.rejects, penstock.files
    to shop_loader;
