"""Where a project's things are and which server it means. Not for: connecting."""
