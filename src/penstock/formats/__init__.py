"""Bytes become batches with origins. Not for: types, targets or what becomes of a row."""
