"""Constraints and indexes that a bulk load takes off and puts back. Not for: when it pays."""
