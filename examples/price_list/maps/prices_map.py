"""How the fields of the table prices are made."""

import polars as pl

from penstock import Field, Map

SUPPLIER = "Acme"

transform = Map(
    {
        "supplier": pl.lit(SUPPLIER),
        "article": Field("Artikelnummer", required=True),
        "name": Field("Bezeichnung", clean="squeeze", required=True),
        "price": Field("Nettopreis", required=True),
        "currency": "Währung",
        "valid_from": Field("Gültig ab", required=True),
    }
)
