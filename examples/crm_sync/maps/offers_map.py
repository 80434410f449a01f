"""How offers are made."""

from penstock import Field, Map

transform = Map(
    {
        "offer_no": "NUMBER",
        "customer": Field("CUSTOMER", required=True),
        "day": Field("DAY", dates="DD.MM.YYYY", required=True),
        "amount": Field("AMOUNT", numbers="1.234,56", required=True),
    }
)
