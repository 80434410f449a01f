"""How contacts are made; the CRM knows a contact's company by its code."""

import polars as pl

from penstock import Field, Map, checks

_FIELDS = {
    "email": Field(
        pl.col("EMAIL").str.strip_chars().str.to_lowercase(), check=checks.email, required=True
    ),
    "name": Field("NAME", clean="squeeze", required=True),
}

transform = Map(_FIELDS)
to_crm = Map({**_FIELDS, "company": "COMPANY"})
