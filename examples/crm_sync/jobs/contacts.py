"""Contacts from the ERP system into the warehouse, and those that are right into the CRM."""

from maps.contacts_map import to_crm, transform

from penstock import Job, Ref


def run(job: Job) -> None:
    """Load, link, send, catch."""
    # INITIALISE
    drops, warehouse, crm = job.connect("drops"), job.connect("warehouse"), job.connect("crm")
    # EXTRACT
    contacts = drops.read("contacts*.csv")
    # LOAD
    loaded = warehouse.load(
        contacts, "contacts", transform, key="email", mode="upsert", max_rejects="10%"
    )
    # LINK: to their company, and to each topic that they want to hear of
    linked = warehouse.link(loaded, {"company_id": Ref("COMPANY", "companies.code")})
    told = warehouse.link(
        loaded,
        {
            "contact_id": Ref("EMAIL", "contacts.email"),
            "topic_id": Ref("TOPICS", "topics.name", split="/"),
        },
        into="contact_topics",
    )
    # LOAD
    right = contacts.filter(loaded.responses()["outcome"] == "loaded")
    sent = crm.send(right, "contacts", to_crm, mode="upsert", only_changed=True)
    # CATCH
    job.catch(loaded, linked, told, sent, to="sales")
