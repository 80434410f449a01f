"""Offers from the ERP system into the warehouse."""

from maps.offers_map import transform

from penstock import Job


def run(job: Job) -> None:
    """Load and catch."""
    offers = job.connect("drops").read("offers*.csv")
    loaded = job.connect("warehouse").load(
        offers, "offers", transform, mode="upsert", max_rejects="10%"
    )
    job.catch(loaded)  # to mail.to
