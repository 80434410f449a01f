"""Penstock moves data into PostgreSQL, and every row is accounted for."""
