"""Fixed queries of the ledger. Not for: Python."""
