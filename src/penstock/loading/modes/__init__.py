"""How rows become part of a table that has rows. Not for: `append` and `truncate` (`fill`)."""
