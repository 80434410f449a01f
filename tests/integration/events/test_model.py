"""Any order of what can happen to events ends as a model in plain Python says: none is lost.

The model knows what was offered, and in which order; of the ledger it is told only which events
have been worked on. Not for: the faults themselves (`tests/faults`), nor the death of a process:
here a worker's own code raises at one of its steps.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from penstock.events import letters, queue, retention
from penstock.events.forgetting import forget
from penstock.events.personal import Person
from penstock.events.pipeline import Pipeline
from penstock.events.replay import Span, enqueue
from penstock.events.worker import Worker
from penstock.postgres.connection import connect
from tests.faults.event_driver import watched
from tests.fixtures.postgres import Database
from tests.fixtures.server import Server
from tests.integration.events.conftest import Shop
from tests.integration.events.test_retention import aged

#: Newer versions are behind it, older ones before it: of two partitions of the target.
MIDDLE = datetime(2026, 2, 1, tzinfo=UTC)
NAME = "the model's"
KINDS = ("good", "good", "good", "type", "odd", "vanish", "noise", "json")
#: What the ledger may say of an event in a state.
SAID = {
    "waiting": ("pending", "processing"),
    "loaded": ("succeeded",),
    "dropped": ("succeeded",),
}
KEYS = ("a", "b", "c")


@dataclass(slots=True)
class Event:
    """One delivery, as the model knows it."""

    raw: bytes
    key: str
    kind: str
    at: datetime
    qty: int
    state: str = "waiting"
    forgotten: bool = False
    day: int = 0


@dataclass(slots=True)
class Offered:
    """What the model remembers."""

    events: dict[tuple[int, int], Event] = field(default_factory=dict)
    repeated: int = 0
    mended: bool = False
    #: Key -> the version that the target should have.
    held: dict[str, Event] = field(default_factory=dict)

    def outcome(self, one: Event) -> str:
        """What becomes of an event that is worked on now."""
        if one.forgotten or one.kind == "noise":
            return "dropped"
        if one.kind in ("odd", "vanish") and not self.mended:
            return "failed"
        return {"good": "loaded", "odd": "loaded", "vanish": "dropped"}.get(one.kind, "failed")

    def worked_on(self, one: Event) -> None:
        """An event was worked on."""
        one.state = self.outcome(one)
        self.hold(one)

    def hold(self, one: Event) -> None:
        """The target has the newest sound version of each key."""
        there = self.held.get(one.key)
        if self.outcome(one) == "loaded" and (there is None or there.at < one.at):
            self.held[one.key] = one


class Killed(BaseException):
    """The end of a worker."""


class Model(RuleBasedStateMachine):
    """What can happen, and what must be so after each step."""

    server: Server
    folder: Path
    #: At which steps a worker was ended, in all runs; and how many events were loaded.
    fired: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.database = Database(self.server, ledger=True)
        self.shop = Shop(self.database.url)
        self.oracle = Offered()
        self.versions = 0
        self.days = 300
        self.pipeline = Pipeline(
            name="shop",
            target="events",
            key="event_id",
            time="occurred_at",
            transform=self.row_of,
            days=3,
            attempts=1000,
        )

    def teardown(self) -> None:
        self.fired["loaded"] += sum(one.state == "loaded" for one in self.oracle.events.values())
        self.database.drop()

    def row_of(self, one: dict[str, Any]) -> dict[str, Any] | None:
        if one["kind"] == "noise" or (one["kind"] == "vanish" and self.oracle.mended):
            return None
        if one["kind"] in ("odd", "vanish") and not self.oracle.mended:
            raise ValueError(one["kind"])
        return {
            "event_id": one["id"],
            "kind": one["kind"],
            "occurred_at": one["at"],
            "qty": one["qty"],
        }

    # What can happen ---------------------------------------------------------------------------

    def _made(self, key: str, kind: str, *, newer: bool) -> Event:
        self.versions += 1
        at = MIDDLE + timedelta(hours=self.versions if newer else -self.versions)
        one = {"id": key, "kind": kind, "at": at.isoformat(), "qty": self.versions}
        if kind == "type":
            one["qty"] = f"many {self.versions}"
        raw = json.dumps(one).encode()
        return Event(raw[:-1] if kind == "json" else raw, key, kind, at, self.versions)

    @initialize()
    def something(self) -> None:
        self.stage([("a", "good", True), ("b", "odd", True), ("c", "vanish", False)], [])

    @rule(
        new=st.lists(
            st.tuples(st.sampled_from(KEYS), st.sampled_from(KINDS), st.booleans()), max_size=5
        ),
        again=st.lists(st.integers(0, 1000), max_size=2),
    )
    def stage(self, new: list[tuple[str, str, bool]], again: list[int]) -> None:
        """New, newer, older and bad events, and some that were received before."""
        made = [self._made(key, kind, newer=newer) for key, kind, newer in new]
        known = [one.raw for one in (*self.oracle.events.values(), *made)]
        repeats = [known[number % len(known)] for number in again] if known else []
        raws = [*repeats, *(one.raw for one in made)]
        if not raws:
            return
        staged = self.shop.stage(*raws)
        assert (staged.staged, staged.repeated) == (len(made), len(repeats))
        self.oracle.repeated += len(repeats)
        # What is new stands in the order in which it came first.
        order = list(dict.fromkeys(raw for raw in raws if raw in {one.raw for one in made}))
        for one in made:
            assert staged.chunk is not None
            self.oracle.events[staged.chunk, order.index(one.raw)] = one

    def _worker(self, batch: int) -> Worker:
        return Worker(replace(self.pipeline, batch=batch), self.shop.url, name=NAME)

    @rule(batch=st.sampled_from([1, 3, 100]))
    def work_one_batch(self, batch: int) -> None:
        turns = self._worker(batch).turns()
        next(turns)
        turns.close()
        self.look()

    @rule()
    def work_until_nothing_waits(self) -> None:
        worked = self._worker(100).run(once=True)
        assert worked.troubles == []
        self.look(drained=True)

    @rule(at=st.integers(0, 20), batch=st.sampled_from([2, 100]))
    def work_and_be_ended(self, at: int, batch: int) -> None:
        met: list[str] = []

        def point(name: str) -> None:
            met.append(name)
            if len(met) == at + 1:
                raise Killed

        with pytest.MonkeyPatch.context() as patched:
            watched(point, patched.setattr)
            try:
                self._worker(batch).run(once=True)
            except Killed:
                self.fired[met[-1]] += 1
        with connect(self.shop.url) as connection:
            queue.let_go(connection, "shop", NAME)
        self.look()

    @rule(statuses=st.sampled_from([("failed", "dead"), ("discarded",)]), limit=st.integers(1, 5))
    def requeue(self, statuses: tuple[str, ...], limit: int) -> None:
        with connect(self.shop.url) as connection:
            found = letters.letters(connection, statuses=statuses, limit=limit)
            letters.requeue(connection, found)
        for letter in found:
            one = self.oracle.events[letter.chunk, letter.pos]
            assert one.state in statuses
            if one.state == "discarded" and not one.day:
                one.state = "failed"

    @rule(limit=st.integers(1, 3))
    def discard(self, limit: int) -> None:
        with connect(self.shop.url) as connection:
            found = letters.letters(connection, limit=limit)
            letters.discard(connection, found, "known")
        for letter in found:
            assert self.oracle.events[letter.chunk, letter.pos].state == "failed"
            self.oracle.events[letter.chunk, letter.pos].state = "discarded"

    @rule()
    def replay(self) -> None:
        with connect(self.shop.url) as connection:
            enqueue(connection, self.pipeline, Span())

    @precondition(lambda self: not self.oracle.mended)
    @rule()
    def mend_the_transform(self) -> None:
        self.oracle.mended = True

    @rule(key=st.sampled_from(KEYS))
    def forget_one(self, key: str) -> None:
        about = [one for one in self.oracle.events.values() if one.key == key]
        if any(one.day for one in about):  # some have left staging, and there is no archive
            return
        done = forget(self.shop.url, self.pipeline, {}, self.folder, Person("id", key))
        assert not done.left.any
        for one in about:
            if one.kind == "json" or one.forgotten:  # no JSON: told to somebody, who looks
                continue
            one.forgotten = True
            if one.state == "failed":
                one.state = "discarded"
        self.oracle.held.pop(key, None)

    @rule()
    def retain(self) -> None:
        """What is staged today was staged long ago, and its day goes if nobody needs it."""
        self.days -= 1
        day = self.days
        here = {place: one for place, one in self.oracle.events.items() if not one.day}
        aged(self.shop, day)
        chunks = sorted({chunk for chunk, _ in here})
        ((open_batches,),) = self.shop.rows(
            "select count(*) from penstock.batches where status in ('pending', 'processing') "
            "and chunk = any (%s)",
            chunks,
        )
        by_day: dict[Any, list[Event]] = {}
        for chunk, received in self.shop.rows(
            "select chunk, received_at::date from penstock.chunks where chunk = any (%s)", chunks
        ):
            by_day.setdefault(received, []).extend(
                one for (of, _), one in here.items() if of == chunk
            )
        found = retention.purge(self.shop.url, {"shop": self.pipeline})
        dropped = {one.day for one in found if one.dropped}
        for received, those in by_day.items():
            failed = any(one.state == "failed" for one in those)
            waits = any(one.state == "waiting" for one in those)
            if failed or waits:
                assert received not in dropped
            elif not open_batches:
                assert received in dropped
            if received in dropped:
                self.fired["dropped days"] += 1
                for one in those:
                    one.day = day

    # What must be so ---------------------------------------------------------------------------

    def look(self, *, drained: bool = False) -> None:
        """Which events have been worked on since the last look; what became of them is told."""
        found = self.statuses()
        for place, one in self.oracle.events.items():
            status = found[place]
            begun = one.state == "waiting" and status not in ("pending", "processing")
            if begun or (one.state == "failed" and status == "succeeded"):
                self.oracle.worked_on(one)
        for place, one in self.oracle.events.items():
            # What is older than a sound version is left out, and nobody looks at its values.
            newest = self.oracle.held.get(one.key)
            older = one.kind == "type" and newest is not None and one.at < newest.at
            if older and one.state == "failed" and found[place] == "succeeded":
                one.state = "loaded"
        if drained:
            assert all(one.state != "waiting" for one in self.oracle.events.values())

    def statuses(self) -> dict[tuple[int, int], str]:
        """What the ledger says of each event, also of those that have left staging."""
        return {
            (chunk, pos): status
            for chunk, pos, status in self.shop.rows(
                "select b.chunk, n, coalesce(x.status, b.status) from penstock.batches b "
                "cross join lateral generate_series(b.pos_from, b.pos_to - 1) n "
                "left join penstock.event_states x on x.chunk = b.chunk and x.pos = n "
                "where b.kind = 'new' and b.status <> 'split'"
            )
        }

    @invariant()
    def no_event_is_lost_and_the_books_balance(self) -> None:
        found = self.statuses()
        assert found.keys() == self.oracle.events.keys()
        for place, one in self.oracle.events.items():
            assert found[place] in SAID.get(one.state, (one.state,))
        states = Counter(one.state for one in self.oracle.events.values())
        received = len(self.oracle.events) + self.oracle.repeated
        ((source, booked),) = self.shop.balance().items()
        assert source == "files"
        assert booked[:3] == (received, self.oracle.repeated, states["waiting"])
        assert booked[5:] == (states["failed"], 0)
        loaded, out = states["loaded"], states["dropped"] + states["discarded"]
        assert booked[3] + booked[4] == loaded + out
        # What was loaded and then forgotten makes no row in a replay, which tells it as dropped.
        gone = sum(one.forgotten and one.state == "loaded" for one in self.oracle.events.values())
        assert loaded - gone <= booked[3] <= loaded

    @invariant()
    def each_key_is_held_once_in_its_newest_sound_version(self) -> None:
        rows = self.shop.rows("select event_id, occurred_at, qty from events order by event_id")
        assert rows == [(key, one.at, one.qty) for key, one in sorted(self.oracle.held.items())]
        registered = self.shop.rows("select key, held_at from penstock.event_keys order by key")
        assert registered == [(key, at) for key, at, _ in rows]

    @invariant()
    def what_was_received_is_kept_as_it_was(self) -> None:
        kept = self.shop.rows("select chunk, pos, raw from penstock.events")
        assert {(chunk, pos): raw for chunk, pos, raw in kept} == {
            place: b"\0forgotten" if one.forgotten else one.raw
            for place, one in self.oracle.events.items()
            if not one.day
        }


def run(server: Server, folder: Path, **how: Any) -> Counter[str]:
    """Run the model; gives what has fired."""
    fired: Counter[str] = Counter()
    kind = type("AModel", (Model,), {"server": server, "folder": folder, "fired": fired})
    run_state_machine_as_test(kind, settings=settings(phases=[Phase.generate], **how))
    return fired


def test_whatever_happens_to_events_the_books_and_the_target_are_right(
    postgres_server: Server, tmp_path: Path
) -> None:
    fired = run(postgres_server, tmp_path, max_examples=5, stateful_step_count=25, derandomize=True)
    assert fired["loaded"] >= 5
    assert {*fired} - {"loaded", "dropped days"}, "a worker was ended"


@pytest.mark.slow
def test_whatever_happens_for_long(postgres_server: Server, tmp_path: Path) -> None:
    fired = run(postgres_server, tmp_path, max_examples=100, stateful_step_count=50)
    assert {"claimed", "read", "transformed", "acknowledged", "committed"} <= {*fired}
    assert fired["dropped days"]
