"""How the fields of the table order_lines are made."""

from penstock import Field, Map

transform = Map(
    {
        "order_no": Field("ORDER_NO", required=True),
        "line_no": "LINE_NO",
        "sku": Field("SKU", required=True),
        "units": "UNITS",
        "price": Field("PRICE", required=True),
    }
)
