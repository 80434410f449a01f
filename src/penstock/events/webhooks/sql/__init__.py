"""Fixed SQL of the webhook receiver, in named queries."""
