"""Draws what users do in a shop, and how it is told: by whom, how often, in which version.

The same seed gives the same bytes. What must be in the table at the end is written beside it
(`expected.json`), before anybody reads an event. Not for: sending them (`run.py`).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Event = dict[str, Any]

VISITS = 600
_FIRST = datetime(2026, 1, 5, tzinfo=UTC)
_SECONDS = 60 * 24 * 3600
_COLUMNS = ("id", "version", "type", "at", "user_id", "product", "quantity", "price")
#: Who tells of a visit: the shop's API, the app (NDJSON), the tills (CSV), the partner.
_TELLERS = ("api", "app", "tills", "partner")


def generate(folder: Path, seed: int = 1) -> None:
    """Write what each of them tells, and what is expected of it."""
    draw = random.Random(seed)
    told: dict[str, list[Event]] = {teller: [] for teller in _TELLERS}
    for number in range(VISITS):
        teller = draw.choices(_TELLERS, (50, 20, 15, 15))[0]
        told[teller] += _visit(draw, number)
    _tell_again(draw, told)
    expected = _expected(told)
    bad = {teller: _bad(teller) for teller in _TELLERS}
    for teller, events in told.items():
        told[teller] = events + bad[teller]
        draw.shuffle(told[teller])
    _write(folder, told)
    failed = {teller: len(events) for teller, events in bad.items()}
    (folder / "expected.json").write_text(
        json.dumps({"events": expected, "failed": failed}, indent=1), encoding="utf-8"
    )


def _visit(draw: random.Random, number: int) -> Iterator[Event]:
    """Page views, now and then a product, a cart, a purchase."""
    at = _FIRST + timedelta(seconds=draw.randrange(_SECONDS))
    user, product = f"u{draw.randrange(VISITS // 3):04d}", f"p{draw.randrange(40):02d}"
    kinds = ["page_view"] * draw.randrange(1, 4)
    for kind, chance in (("product_view", 0.7), ("cart_add", 0.5), ("purchase", 0.6)):
        if draw.random() > chance:
            break
        kinds.append(kind)
    if kinds[-1] == "cart_add":
        kinds.append("cart_remove")
    for step, kind in enumerate(kinds):
        at += timedelta(seconds=draw.randrange(5, 120))
        event = {"id": f"e{number:04d}-{step}", "version": 1, "type": kind, "at": _text(at)}
        event["user_id"] = user
        if kind != "page_view":
            event["product"] = product
        if kind in ("cart_add", "cart_remove", "purchase"):
            event["quantity"] = draw.randrange(1, 5)
        if kind == "purchase":
            event["price"] = f"{draw.randrange(100, 20_000) / 100:.2f}"
        yield event


def _tell_again(draw: random.Random, told: dict[str, list[Event]]) -> None:
    """Others tell the same; some events come in a newer version, or after it."""
    whole = [(teller, event) for teller, events in told.items() for event in events]
    for teller, event in draw.sample(whole, len(whole) // 12):
        told[draw.choice(_TELLERS)].append(event)
        told[teller].append(event)
    bought = [one for one in whole if one[1]["type"] == "purchase"]
    for teller, event in draw.sample(bought, len(bought) // 4):
        for version in (2, 3):
            newer = {**event, "version": version, "quantity": event["quantity"] + version}
            told[draw.choice((teller, *_TELLERS))].append(newer)
    for teller in _TELLERS:
        told[teller] += [{"id": f"beat-{teller}-{n}", "type": "heartbeat"} for n in range(5)]


def _expected(told: dict[str, list[Event]]) -> dict[str, Event]:
    """The newest version of each event."""
    newest: dict[str, Event] = {}
    for event in sorted(
        (one for events in told.values() for one in events if one["type"] != "heartbeat"),
        key=lambda one: int(one["version"]),
    ):
        newest[event["id"]] = event
    return newest


def _bad(teller: str) -> list[Event]:
    """What no table can take; of the app, a newer version of an event that is sound."""
    sound = {"id": f"bad-{teller}", "version": 1, "type": "purchase", "at": "2026-01-20T08:00:00Z"}
    wrong: dict[str, list[Event]] = {
        "api": [{"id": "", "quantity": 1}, {"at": "yesterday", "quantity": 1}],
        "app": [{"id": "e0000-0", "version": 9, "quantity": "many"}],
        "tills": [{"quantity": -1}, {"at": "2026-01-32T08:00:00Z"}],
        "partner": [{"type": "refund"}],
    }
    return [{**sound, **one} for one in wrong[teller]]


def _write(folder: Path, told: dict[str, list[Event]]) -> None:
    (folder / "drops").mkdir(parents=True, exist_ok=True)
    stored = [
        {**_nested(event), "created_at": _text(_FIRST + timedelta(seconds=60 * number))}
        for number, event in enumerate(told["api"])
    ]
    _lines(folder / "api.ndjson", stored)
    _lines(
        folder / "partner.ndjson",
        [{"type": "event.created", "data": _nested(event)} for event in told["partner"]],
    )
    half = len(told["app"]) // 2
    for number, events in enumerate((told["app"][:half], told["app"][half:]), start=1):
        content = "".join(f"{json.dumps(_nested(one))}\n" for one in events).encode()
        path = folder / "drops" / f"app-{number}.ndjson.gz"
        path.write_bytes(gzip.compress(content, mtime=0))
    third = len(told["tills"]) // 3
    for number in range(3):
        last = None if number == 2 else (number + 1) * third
        path = folder / "drops" / f"till-{number + 1}.csv"
        path.write_text(_csv(told["tills"][number * third : last]), encoding="utf-8")


def _nested(event: Event) -> Event:
    """As those with JSON tell it: the user is an object, the price a number."""
    made = {name: value for name, value in event.items() if name != "user_id"}
    if "price" in event:
        made["price"] = float(event["price"])
    if "user_id" in event:
        made["user"] = {"id": event["user_id"]}
    return made


def _lines(path: Path, events: Sequence[Event]) -> None:
    path.write_text("".join(f"{json.dumps(one)}\n" for one in events), encoding="utf-8")


def _csv(events: Sequence[Event]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(events)
    return text.getvalue()


def _text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    generate(parser.parse_args().folder)
