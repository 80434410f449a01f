"""The command line. Not for: SQL or logic; it parses, calls and prints."""
