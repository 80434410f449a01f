"""The `penstock` schema: runs, loads, rejects, files; written and read. Not for: loading."""
