"""How the fields of the table orders are made."""

from penstock import Field, Map

transform = Map(
    {
        "order_no": Field("ORDER_NO", required=True),
        "customer": Field("CUSTOMER", required=True),
        "day": Field("DAY", dates="YYYYMMDD", required=True),
    }
)
