"""How companies are made: in the warehouse and, of the same columns, in the CRM."""

import polars as pl

from penstock import Field, Map

_DOMAIN = pl.col("DOMAIN").str.strip_chars().str.to_lowercase()

transform = Map(
    {
        "code": Field("CODE", required=True),
        "name": Field("NAME", clean="squeeze", required=True),
        "domain": Field(_DOMAIN, required=True),
    }
)
