"""What users did in a shop: by its own API, by files of its app and tills, by a partner.

Not for: who sends what, and when (`run.py`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from penstock import FileSource, HttpSource, Pipeline, WebhookSource

_KINDS = ("page_view", "product_view", "cart_add", "cart_remove", "purchase")


def row(event: dict[str, Any]) -> dict[str, Any] | None:
    """One event as a row of `events`; pure: no clock, no database, nothing remembered.

    A field that is missing becomes NULL, and the table says what it needs. What no column could
    notice is an error of the event: it fails with this text, and no other event does.
    """
    event = event.get("data", event)  # a webhook wraps it
    if event.get("type") == "heartbeat":
        return None
    if event.get("type") not in _KINDS:
        raise ValueError(f"{event.get('type')!r} is no type of event")
    user = event.get("user") or {"id": event.get("user_id")}
    return {
        "event_id": event.get("id") or None,
        "version": event.get("version") or 1,
        "type": event["type"],
        "occurred_at": event.get("at"),
        "user_id": user["id"] or None,
        "product": event.get("product") or None,
        "quantity": event.get("quantity") or None,
        "price": event.get("price") or None,
    }


shop_events = Pipeline(
    name="shop_events",
    target="events",
    key="event_id",
    time="occurred_at",
    version="version",
    transform=row,
    sources=[
        HttpSource(
            name="api",
            connector="shop",
            module="events",
            at="created_at",
            overlap=timedelta(minutes=10),
        ),
        FileSource(name="drops", connector="drops", files="**/*"),
        WebhookSource(name="partner", secret="partner.secret", id="data.id"),  # noqa: S106  its path
    ],
)
