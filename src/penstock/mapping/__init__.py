"""Maps: target field -> how it is made from the source. Pure. Not for: reading, or loading."""
