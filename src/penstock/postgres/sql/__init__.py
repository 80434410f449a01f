"""Fixed queries. Not for: Python."""
