"""JSON becomes batches of text. Not for: what a value means to a column (`loading.types`)."""
