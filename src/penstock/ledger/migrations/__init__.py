"""Alembic revisions of the `penstock` schema. Not for: tables of users."""
