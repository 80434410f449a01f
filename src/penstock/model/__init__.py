"""Frozen values and enums that cross rooms. Not for: work; nothing here touches I/O."""
