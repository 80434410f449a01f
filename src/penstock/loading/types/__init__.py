"""One grammar per type: what a text must look like to become a value. Not for: whole batches."""
