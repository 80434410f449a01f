"""When the flows of a project are due, and their starts: each exactly once.

Not for: what flows do (`flow`), nor pipelines, which do not end.
"""
