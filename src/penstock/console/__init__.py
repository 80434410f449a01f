"""Pages for the people who answer for the data. Not for: webhooks (`events.webhooks`)."""
