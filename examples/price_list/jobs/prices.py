"""A supplier's price list: what is in it is sold, what is no longer in it is not."""

from maps.prices_map import SUPPLIER, transform

from penstock import Job


def run(job: Job) -> None:
    """Load what the list says, catch what is wrong."""
    # INITIALISE
    drops, warehouse = job.connect("drops"), job.connect("warehouse")
    # EXTRACT: the first three rows of the sheet are a title
    prices = drops.read("prices-*.xlsx", sheet="Preise", header_row=4)
    # LOAD: within this supplier, the table becomes what the list is; what is gone is marked
    loaded = warehouse.load(
        prices,
        "prices",
        transform,
        mode="sync",
        within={"supplier": SUPPLIER},
        missing={"active": False},
        max_deletes="20%",
        max_rejects="10%",
    )
    # CATCH: who can correct prices gets the refused ones by mail
    job.catch(loaded, to="pricing")
