"""Sheets of Excel workbooks (.xlsx) become batches of text. Not for: older formats, writing."""
