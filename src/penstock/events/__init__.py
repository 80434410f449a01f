"""Event pipelines: intake into staging, pure transforms, workers, replay.

Not for: flows, which are started and end (`flow`).
"""
