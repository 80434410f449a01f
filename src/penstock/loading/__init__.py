"""The row's journey: from an input to committed rows and rejects. Not for: printing results."""
