"""Companies from the ERP system into the warehouse, and those that are right into the CRM."""

from maps.companies_map import transform

from penstock import Job, Ref


def run(job: Job) -> None:
    """Load, link, send, catch."""
    # INITIALISE
    drops, warehouse, crm = job.connect("drops"), job.connect("warehouse"), job.connect("crm")
    # EXTRACT
    companies = drops.read("companies*.csv")
    # LOAD
    loaded = warehouse.load(
        companies, "companies", transform, key="code", mode="upsert", max_rejects="10%"
    )
    # LINK: parents may stand below their children; one that is not there yet is waited for
    linked = warehouse.link(loaded, {"parent_id": Ref("PARENT", "companies.code")})
    # LOAD: what the warehouse has taken, and has changed since the CRM last took it
    right = companies.filter(loaded.responses()["outcome"] == "loaded")
    sent = crm.send(right, "companies", transform, mode="upsert", only_changed=True)
    # CATCH
    job.catch(loaded, linked, sent, to="sales")
