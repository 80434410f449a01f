"""Files that are dropped: each content once, from every kind of place, and nothing by halves."""

from __future__ import annotations

import fcntl
import gzip
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from penstock.connectors.protocol import Connector
from penstock.connectors.registry import connectors
from penstock.errors import TryAgain, UsageError
from penstock.events.drops import take_files
from penstock.events.pipeline import Pipeline
from penstock.events.sources import FileSource
from penstock.events.taken import Taken
from tests.fixtures.objects import Bucket
from tests.fixtures.sftp import Box
from tests.integration.events.conftest import Shop, row_of

EVENTS = [{"id": f"e{number}", "n": str(number)} for number in range(1, 6)]
NDJSON = "".join(f"{json.dumps(one)}\n" for one in EVENTS).encode()


def old(path: Path, content: bytes) -> Path:
    """A file that nobody has written to for long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1, 1))
    return path


def pipeline(*sources: FileSource, **more: Any) -> Pipeline:
    told: dict[str, Any] = {
        "target": "events",
        "key": "event_id",
        "time": "occurred_at",
        "transform": row_of,
    }
    return Pipeline(name="shop", sources=sources, **told | more)


class Taker:
    """Takes files of one source again and again."""

    def __init__(self, shop: Shop, root: Path, source: FileSource, **env: Any) -> None:
        self.shop, self.root, self.source = shop, root, source
        self.connectors: dict[str, Connector] = connectors(env, root)

    def __call__(self, on_step: Callable[[str], None] = lambda _: None) -> Taken:
        one = pipeline(self.source)
        return take_files(
            self.shop.url, one, self.source, self.connectors, self.root, on_step=on_step
        )

    def raws(self) -> list[bytes]:
        """What is staged, in the order of arrival."""
        found = self.shop.rows("select raw from penstock.events order by chunk, pos")
        return [bytes(one) for (one,) in found]


def counts(taken: Taken) -> tuple[int, int, int]:
    assert taken.received == taken.staged + taken.repeated
    return taken.received, taken.staged, taken.repeated


def parquet() -> bytes:
    made = io.BytesIO()
    pl.DataFrame(EVENTS).write_parquet(made)
    return made.getvalue()


def archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as one:
        one.writestr("a/b.ndjson", NDJSON)
    return made.getvalue()


FORMATS: dict[str, bytes] = {
    "a.ndjson": NDJSON,
    "a.jsonl.gz": gzip.compress(NDJSON),
    "a.json": json.dumps(EVENTS).encode(),
    "a.csv": ("id,n\n" + "".join(f"{one['id']},{one['n']}\n" for one in EVENTS)).encode(),
    "a.parquet": parquet(),
    "a.zip": archive(),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_any_format_is_taken_once(shop: Shop, tmp_path: Path, name: str) -> None:
    take = Taker(shop, tmp_path, FileSource(files="in/*"))
    old(tmp_path / "in" / name, FORMATS[name])
    first, second = take(), take()
    assert (counts(first), first.files, first.problems) == ((5, 5, 0), 1, [])
    assert (counts(second), second.files, second.known) == ((0, 0, 0), 0, 1)
    assert [json.loads(one) for one in take.raws()] == EVENTS
    assert not [*(tmp_path / ".penstock/arriving").rglob("*.*son*")], "copies are removed"


def test_the_same_content_under_another_name_is_known_and_said(shop: Shop, tmp_path: Path) -> None:
    take = Taker(shop, tmp_path, FileSource(files="in/*"))
    old(tmp_path / "in/a.ndjson", NDJSON)
    take()
    old(tmp_path / "in/b.ndjson", NDJSON)
    again = take()
    assert (counts(again), again.known) == ((0, 0, 0), 2)
    assert again.notes == ["in/b.ndjson is the same as in/a.ndjson: not taken again"]
    assert take().notes == [], "and is not copied again"


def test_another_content_under_the_same_name_is_taken(shop: Shop, tmp_path: Path) -> None:
    take = Taker(shop, tmp_path, FileSource(files="in/*"))
    old(tmp_path / "in/a.ndjson", NDJSON)
    take()
    old(tmp_path / "in/a.ndjson", NDJSON + b'{"id": "e6"}\n')
    assert counts(take()) == (6, 1, 5)
    assert len(take.raws()) == 6


def test_files_of_two_sources_are_each_taken_for_theirs(shop: Shop, tmp_path: Path) -> None:
    old(tmp_path / "in/a.ndjson", NDJSON)
    for name in ("one", "two"):
        assert counts(Taker(shop, tmp_path, FileSource(files="in/*", name=name))()) == (5, 5, 0)


def test_a_file_that_is_being_written_waits(shop: Shop, tmp_path: Path) -> None:
    env = {"drops": {"kind": "files", "folder": "in", "stable_seconds": 0.2}}
    take = Taker(shop, tmp_path, FileSource(files="*", connector="drops"), **env)
    path = old(tmp_path / "in/a.ndjson", NDJSON[:20])
    os.utime(path)
    writing = threading.Event()

    def write() -> None:
        while not writing.wait(0.01):
            with path.open("ab") as file:
                file.write(b" ")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        waiting = take()
    finally:
        writing.set()
        thread.join()
    assert (counts(waiting), waiting.waiting) == ((0, 0, 0), 1)
    old(path, NDJSON)
    old(tmp_path / "in/b.ndjson.part", b"{}\n")
    assert counts(take()) == (5, 5, 0)


@pytest.mark.parametrize("change", ["grows", "vanishes", "is replaced"])
def test_a_file_that_changes_while_it_is_read_is_not_taken(
    sftp_box: Box, shop: Shop, tmp_path: Path, change: str
) -> None:
    settings = sftp_box.settings | {"complete": "name"}
    take = Taker(shop, tmp_path, FileSource(files="*", connector="drops"), drops=settings)
    path = sftp_box.folder / "out/a.ndjson"
    path.write_bytes(NDJSON * 20_000)
    fired: list[int] = []

    def meanwhile(read: Path, offset: int) -> None:
        if not fired:
            fired.append(offset)
            if change == "vanishes":
                path.unlink()
            else:
                content = path.read_bytes()
                path.write_bytes(content + NDJSON if change == "grows" else content[::-1])
                os.utime(path, (2, 2))  # SFTP tells whole seconds

    sftp_box.on_read = meanwhile
    taken = take()
    assert fired
    assert counts(taken) == (0, 0, 0)
    assert taken.waiting or taken.problems
    assert shop.rows("select * from penstock.drops") == []


def test_a_connection_that_is_cut_costs_nothing(sftp_box: Box, shop: Shop, tmp_path: Path) -> None:
    settings = sftp_box.settings | {"complete": "name"}
    take = Taker(shop, tmp_path, FileSource(files="*", connector="drops"), drops=settings)
    lines = b"".join(b'{"id": "e%d"}\n' % number for number in range(60_000))
    (sftp_box.folder / "out/a.ndjson").write_bytes(lines)
    sftp_box.cut_after = 300_000
    assert counts(take()) == (60_000, 60_000, 0)
    assert sftp_box.fired == 1
    assert b"\n".join(take.raws()) + b"\n" == lines


@pytest.mark.parametrize("after", [{"after": "delete"}, {"after": "move", "move_to": "done"}])
def test_a_file_is_gone_from_where_it_was_only_when_it_is_staged(
    shop: Shop, tmp_path: Path, after: dict[str, str]
) -> None:
    env = {"drops": {"kind": "files", "folder": "in", "complete": "name", **after}}
    take = Taker(shop, tmp_path, FileSource(files="*", connector="drops"), **env)
    path = old(tmp_path / "in/a.ndjson", NDJSON)
    steps: list[tuple[str, bool]] = []
    take(lambda step: steps.append((step, path.exists())))
    assert steps == [
        ("copied", True), ("begun", True), ("staged", True), ("committed", True),
        ("finished", True), ("done", False),
    ]  # fmt: skip
    assert len(take.raws()) == 5


def test_objects_are_taken_once(bucket: Bucket, shop: Shop, tmp_path: Path) -> None:
    env = {"drops": bucket.settings | {"complete": "name"}}
    take = Taker(shop, tmp_path, FileSource(files="**", connector="drops"), **env)
    place: Any = take.connectors["drops"]
    place.upload(old(tmp_path / "x.ndjson.gz", gzip.compress(NDJSON)), "2026/a.ndjson.gz")
    place.upload(old(tmp_path / "y.csv", FORMATS["a.csv"]), "2026/b.csv")
    assert counts(take()) == (10, 10, 0)
    again = take()
    assert (counts(again), again.known) == ((0, 0, 0), 2)


DAMAGED = {
    "cut.ndjson.gz": gzip.compress(NDJSON * 50_000)[:-9],
    "cut.json": json.dumps(EVENTS * 60_000).encode()[:-40],
    "no.parquet": b"PAR1 and nothing else",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_told_and_none_of_it_taken_and_the_others_come(
    shop: Shop, tmp_path: Path, name: str
) -> None:
    take = Taker(shop, tmp_path, FileSource(files="in/*"))
    old(tmp_path / "in" / name, DAMAGED[name])
    old(tmp_path / "in/z.ndjson", NDJSON)
    taken = take()
    assert counts(taken) == (5, 5, 0)
    assert len(taken.problems) == 1
    assert taken.problems[0].startswith(f"in/{name}")
    assert str(tmp_path) not in taken.problems[0]
    assert len(take.raws()) == 5


def test_an_empty_file_has_no_events(shop: Shop, tmp_path: Path) -> None:
    take = Taker(shop, tmp_path, FileSource(files="in/*"))
    old(tmp_path / "in/a.ndjson", b"")
    taken = take()
    assert (counts(taken), taken.files) == ((0, 0, 0), 1)
    assert take().known == 1


def test_the_name_of_a_file_leads_nowhere(shop: Shop, tmp_path: Path) -> None:
    take = Taker(shop, tmp_path, FileSource(files="in/**/*", name="../../up"))
    odd = "in/x\\..\\é\n\u202e'; drop table events;.ndjson"
    old(tmp_path / odd, NDJSON)
    assert counts(take()) == (5, 5, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".penstock", "in"]


def test_what_another_process_takes_is_left_to_it(shop: Shop, tmp_path: Path) -> None:
    take = Taker(shop, tmp_path, FileSource(files="in/*"))
    old(tmp_path / "in/a.ndjson", NDJSON)
    lock = tmp_path / ".penstock/arriving/shop.files.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TryAgain, match="another process"):
            take()
    assert counts(take()) == (5, 5, 0)


def test_two_machines_that_take_one_file_have_each_event_once(shop: Shop, tmp_path: Path) -> None:
    lines = b"".join(b'{"id": "e%d"}\n' % number for number in range(120_000))
    take = {}
    for name in ("a", "b"):
        take[name] = Taker(shop, tmp_path / name, FileSource(files="in/*"))
        old(tmp_path / name / "in/a.ndjson", lines)
    others: list[Taken] = []

    def meanwhile(step: str) -> None:
        if step == "committed" and not others:
            others.append(take["b"]())

    first = take["a"](meanwhile)
    assert [counts(others[0]), counts(first)] == [(70_000, 70_000, 0), (50_000, 50_000, 0)]
    assert "another process" in first.notes[0]
    assert len(take["a"].raws()) == 120_000
    assert shop.rows("select records, finished_at is not null from penstock.drops") == [
        (120_000, True)
    ]


def test_a_failed_commit_leaves_what_was_committed_and_the_next_goes_on(
    shop: Shop, tmp_path: Path
) -> None:
    take = Taker(shop, tmp_path, FileSource(files="in/*", id=None))
    lines = b"".join(b"%d\n" % number for number in range(120_000))
    old(tmp_path / "in/a.ndjson", lines)
    with psycopg.connect(shop.url, autocommit=True) as other:
        seen: list[str] = []

        def cut(step: str) -> None:
            seen.append(step)
            if seen.count("staged") == 2 and step == "staged":
                other.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )

        with pytest.raises(psycopg.OperationalError):
            take(cut)
    assert shop.rows("select records from penstock.drops") == [(50_000,)]
    assert counts(take()) == (70_000, 70_000, 0), "not what was staged already"
    assert b"\n".join(take.raws()) + b"\n" == lines


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (FileSource(files="*", connector="nope"), "'nope' is no connector in env"),
        (FileSource(files="*", connector="db"), "'db' is no place of files"),
        (FileSource(files="*", options={"formt": "csv"}), "options: There is no option formt"),
    ],
)
def test_wrong_declarations_are_said(
    shop: Shop, tmp_path: Path, source: FileSource, said: str
) -> None:
    env = {"db": {"kind": "postgres", "url": shop.url}}
    with pytest.raises(UsageError, match=said):
        Taker(shop, tmp_path, source, **env)()


def test_a_huge_file_is_not_held_in_memory(shop: Shop, tmp_path: Path) -> None:
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from penstock.events.drops import take_files\n"
        "from penstock.events.pipeline import Pipeline\n"
        "from penstock.events.sources import FileSource\n"
        "source = FileSource(files='*.gz', id=None)\n"
        "one = Pipeline(name='shop', target='t', key='k', transform=dict, sources=[source])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "taken = take_files(sys.argv[1], one, source, {}, Path(sys.argv[2]))\n"
        "most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(taken.received, taken.staged, (most - before) >> 10)\n"
    )
    line = b'{"text": "' + b"x" * 3_000 + b'"}\n'
    old(tmp_path / "a.ndjson.gz", gzip.compress(line * 100_000, 1))  # unpacks to 300 MB
    done = subprocess.run(
        [sys.executable, "-c", program, shop.url, str(tmp_path)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    received, staged, grown = map(int, done.stdout.split())
    assert (received, staged) == (100_000, 1)
    assert grown < 220, "MiB"
