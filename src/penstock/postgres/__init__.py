"""Everything that speaks to PostgreSQL. Not for: deciding what a load does (`loading`)."""
