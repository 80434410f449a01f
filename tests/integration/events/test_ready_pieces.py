"""Ready pieces in a pipeline: instants, ids, tags of quality, users that a table knows."""

from __future__ import annotations

from typing import Any

from penstock import tidy
from penstock.events.pipeline import Pipeline
from penstock.events.worker import drain
from tests.integration.events.conftest import Shop, event

MORE = """
alter table events add quality text[], add user_id int;
create table users (user_id int primary key, partner_no text not null unique);
insert into users values (1, 'U-17'), (2, 'U-18');
alter table events add foreign key (user_id) references users;
"""


def normal(one: dict[str, Any]) -> dict[str, Any]:
    """Of a sender in Paris, whose numbers are written in several ways."""
    row = {
        "event_id": tidy.identifier(one["id"]),
        "kind": one["kind"],
        "occurred_at": tidy.instant(one["at"], zone="Europe/Paris"),
        "qty": one.get("qty"),
        "user_id": tidy.identifier(one.get("user")),
    }
    row["quality"] = tidy.tags(row, needs=["user_id"], review={"qty": lambda qty: qty > 10})
    return row


def test_pieces_make_rows_and_say_of_one_event_what_is_wrong(shop: Shop) -> None:
    shop.rows(MORE)
    shop.stage(
        event(1, at="2026-01-05T10:00:00", user=" U-17 ", qty=1),
        event(2, at="2026-01-05T10:00:00Z", qty=50),
        event(3, at="2026-03-29T02:30:00", user="U-17"),
        event(4, user="U-99"),
    )
    lookups = {"user_id": "users.partner_no"}
    pipeline = Pipeline(
        name="shop",
        target="events",
        key="event_id",
        time="occurred_at",
        transform=normal,
        options={"lookups": lookups},
    )
    worked = drain(pipeline, shop.url)
    assert (worked.loaded, worked.failed) == (2, 2)
    utc = "event_id, to_char(occurred_at at time zone 'UTC', 'HH24:MI'), user_id, quality"
    assert shop.held(utc) == [
        ("e1", "09:00", 1, []),
        ("e2", "10:00", None, ["incomplete", "needs_review"]),
    ]
    (pos3, code3, said3), (pos4, code4, said4) = shop.rows(
        "select pos, code, reason from penstock.event_states order by pos"
    )
    assert (pos3, code3) == (2, "transform")
    assert '"2026-03-29T02:30:00" does not exist in Europe/Paris' in said3
    assert "test_ready_pieces.py, line " in said3
    assert (pos4, code4, said4) == (3, "23503", "user_id: U-99 is no partner_no of users")
    assert shop.balance() == {"files": (4, 0, 0, 2, 0, 2, 0)}
