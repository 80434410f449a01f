"""Flows: what a `main.py` describes, its jobs, what they refused, and how a run ends.

Not for: the row's journey (`loading`), nor how mail is written (`alerts`).
"""
