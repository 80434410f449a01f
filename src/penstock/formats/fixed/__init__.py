"""Files whose fields stand at fixed positions become batches of text. Not for: COBOL's numbers."""
