"""Webhooks: signed requests from outside into staging, answered once they are durable.

Not for: what becomes of them there (`events`).
"""
