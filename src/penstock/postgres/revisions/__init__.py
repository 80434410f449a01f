"""A project's own tables, by Alembic's revisions in its folder `migrations/`: read, judged, run.

Not for: the ledger's own revisions (`penstock.ledger.migrations`).
"""
