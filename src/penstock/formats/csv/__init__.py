"""CSV: structure proven on the bytes, text columns out. Not for: types of values."""
