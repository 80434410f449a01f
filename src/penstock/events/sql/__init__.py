"""Named queries of the events room."""
