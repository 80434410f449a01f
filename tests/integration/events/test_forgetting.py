"""A person is forgotten: in target, rejects, staging and archive; others are not touched."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from penstock.errors import SourceError, TargetError, TryAgain
from penstock.events import archive, forgetting, restoring
from penstock.events.archive import write_archive
from penstock.events.forgetting import forget
from penstock.events.personal import Counts, Forgotten, Person
from penstock.events.pipeline import Pipeline
from penstock.events.replay import Span, enqueue
from penstock.events.restoring import restore
from penstock.events.verifying import verify_archive
from penstock.events.worker import drain
from penstock.ledger.roles import Roles, apply
from penstock.postgres.connection import connect
from tests.fixtures.postgres import Database
from tests.integration.events.conftest import Shop, event, row_of

PIPELINE = Pipeline(
    name="shop", target="events", key="event_id", time="occurred_at", transform=row_of,
    archive="./kept",
)  # fmt: skip
ANNA = Person("user.name", 'Änna "7"')


def named(number: int | str, name: str = 'Änna "7"', **more: Any) -> Any:
    return event(number, user={"name": name}, **more)


@pytest.fixture
def known(shop: Shop, tmp_path: Path) -> Shop:
    """Two events of Anna's in two files of the archive, one refused, one of them gone."""
    shop.stage(named(1), named(2, "Bob"), named(3, qty="x"))
    drain(PIPELINE, shop.url)
    write_archive(shop.url, PIPELINE, {}, tmp_path, now=True)
    shop.stage(named(4), named(5, "Bob", qty="y"))
    drain(PIPELINE, shop.url)
    write_archive(shop.url, PIPELINE, {}, tmp_path, now=True)
    shop.rows("delete from penstock.events where chunk = 2")  # as when its day was dropped
    shop.stage(named(6))
    return shop


def everything(shop: Shop, folder: Path) -> str:
    """All that is stored of events, as text."""
    parts = [
        str(bytes(value) if isinstance(value, (bytes, memoryview)) else value)
        for statement in (
            "select raw, delivery_id from penstock.events",
            "select raw, raw_values::text, bad_values::text, reasons::text from penstock.rejects",
            "select reason, note from penstock.event_states",
            "select to_jsonb(e)::text from events e",
            "select key from penstock.event_keys",
        )
        for row in shop.rows(statement)
        for value in row
    ]
    for path in (folder / "kept").rglob("*.zst"):
        reader = zstandard.ZstdDecompressor().stream_reader(path.read_bytes())
        parts.append(io.TextIOWrapper(reader, "utf-8").read())
    return "\n".join(parts)


def test_a_person_is_removed_everywhere_and_nobody_else_is(known: Shop, tmp_path: Path) -> None:
    assert known.balance() == {"files": (6, 0, 1, 3, 0, 2, 0)}
    assert "nna" in everything(known, tmp_path)
    done = forget(known.url, PIPELINE, {}, tmp_path, ANNA)
    assert done == Forgotten(Counts(staged=3, archived=3, rejects=1, rows=2), Counts(), [])
    left = everything(known, tmp_path)
    for trace in ("nna", "e1\n", '"e1"', '"e3"', '"e4"', '"e6"', "x is not"):
        assert trace not in left
    assert [row[0] for row in known.held()] == ["e2"]
    assert "y is not an integer" in left
    assert known.balance() == {"files": (6, 0, 1, 3, 1, 1, 0)}, "what failed is as discarded"
    assert verify_archive(known.url, PIPELINE, {}, tmp_path).problems == []
    assert forget(known.url, PIPELINE, {}, tmp_path, ANNA) == Forgotten()


def test_the_forgotten_are_not_made_rows_of_again(known: Shop, tmp_path: Path) -> None:
    forget(known.url, PIPELINE, {}, tmp_path, ANNA)
    assert restore(known.url, PIPELINE, {}, tmp_path, Span()).events == 2
    with connect(known.url) as connection:
        assert enqueue(connection, PIPELINE, Span()) == 2, "what waits is worked on anyway"
    worked = drain(PIPELINE, known.url)
    assert worked.events == 3 + 2 + 2 + 1
    assert [row[0] for row in known.held()] == ["e2"]
    assert known.stage(named(1), named(4)).staged == 0, "they are known for ever"

    frame = replace(PIPELINE, transform=None, frame=lambda given: rows(given))
    with connect(known.url) as connection:
        enqueue(connection, PIPELINE, Span())
    assert drain(frame, known.url).failed == 0
    assert [row[0] for row in known.held()] == ["e2", "e5"]


def rows(given: Any) -> Any:
    """Many events at once."""
    import polars as pl

    read = [json.loads(raw) for raw in given["raw"]]
    return given.select(
        "_row",
        event_id=pl.Series([one["id"] for one in read], dtype=pl.String),
        kind=pl.Series([one["kind"] for one in read], dtype=pl.String),
        occurred_at=pl.Series([one["at"] for one in read], dtype=pl.String),
    )


@pytest.mark.parametrize("raw", [
    b'{"id": "e1", "kind": "k", "at": "2026-01-05T10:00:00Z", "u": {"n": "Zo\\u00eb"}}',
    '{"id": "e1", "kind": "k", "at": "2026-01-05T10:00:00Z", "u": {"n": "Zoë"}}'.encode(),
    '{"id": "e1", "kind": "k", "at": "2026-01-05T10:00:00Z", "u": [{"n": 1}, {"n": ["Zoë"]}]}'
    .encode(),
    '{"id": "e1", "kind": "k", "at": "2026-01-05T10:00:00Z", "u": {"n": "Zoë", "n": 2}}'.encode(),
])  # fmt: skip
def test_however_it_is_written_it_is_found(shop: Shop, tmp_path: Path, raw: bytes) -> None:
    shop.stage(raw)
    drain(PIPELINE, shop.url)
    done = forget(shop.url, replace(PIPELINE, archive=None), {}, tmp_path, Person("u.n", "Zoë"))
    assert (done.removed.staged, done.left.any, done.unclear) == (1, False, [])
    assert shop.held() == []


def test_what_is_no_json_and_may_be_about_them_is_told(shop: Shop, tmp_path: Path) -> None:
    shop.stage(b"u;n\n1;Zoe", {"id": "e2", "text": "of Zoe"}, {"id": "e3", "u": {"n": "Zoes"}})
    done = forget(shop.url, PIPELINE, {}, tmp_path, Person("u.n", "Zoe"))
    assert (done.removed, done.left, done.unclear) == (Counts(), Counts(), ["1/0"])


def test_numbers_are_compared_as_they_are_written(shop: Shop, tmp_path: Path) -> None:
    shop.stage(*({"id": f"e{one}", "u": one} for one in (7, 70, 7.5, "7", True, None)))
    assert forget(shop.url, PIPELINE, {}, tmp_path, Person("u", "7")).removed.staged == 2


def test_a_worker_that_has_read_the_event_cannot_finish(shop: Shop, tmp_path: Path) -> None:
    shop.stage(named(1), named(2, "Bob"))
    claimed = (
        "update penstock.batches set status = 'processing', token = 1, attempts = 1, "
        "lease_until = now() + interval '1 hour'"
    )
    shop.rows(claimed)
    forget(shop.url, PIPELINE, {}, tmp_path, ANNA)
    assert shop.rows("select status, token from penstock.batches") == [("pending", 2)]


def test_a_worker_that_reads_the_event_meanwhile_cannot_finish_either(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.stage(named(1))
    real = forgetting._rows

    def rows(*given: Any, delete: bool) -> int:
        if delete:  # it was free when forgetting began, and is read as it was before
            shop.rows("update penstock.batches set status = 'processing', token = 1")
        return real(*given, delete=delete)

    monkeypatch.setattr(forgetting, "_rows", rows)
    forget(shop.url, PIPELINE, {}, tmp_path, ANNA)
    assert shop.rows("select status, token from penstock.batches") == [("pending", 2)]


def test_what_is_forgotten_while_its_file_is_read_does_not_come_back(
    known: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = archive.get

    def get(*given: Any) -> str | None:
        found = real(*given)
        monkeypatch.setattr(restoring, "get", real)
        assert not forget(known.url, PIPELINE, {}, tmp_path, ANNA).left.any
        return found

    monkeypatch.setattr(restoring, "get", get)
    with pytest.raises(TryAgain, match="written anew meanwhile"):
        restore(known.url, PIPELINE, {}, tmp_path, Span())
    assert "nna" not in everything(known, tmp_path)
    assert restore(known.url, PIPELINE, {}, tmp_path, Span()).events == 2


@pytest.mark.parametrize("broken", ["rehash", "events", "manifest"])
def test_an_archive_that_was_changed_by_halves_is_completed(
    known: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    real, calls = archive.put, []

    def put(place: Any, folder: Path, name: str, local: Path) -> str:
        calls.append(name)
        if len(calls) == {"rehash": 1, "events": 2, "manifest": 3}[broken]:
            raise KeyboardInterrupt
        return real(place, folder, name, local)

    monkeypatch.setattr(forgetting, "put", put)
    with pytest.raises(KeyboardInterrupt):
        forget(known.url, PIPELINE, {}, tmp_path, ANNA)
    monkeypatch.undo()
    assert verify_archive(known.url, PIPELINE, {}, tmp_path).problems
    assert not forget(known.url, PIPELINE, {}, tmp_path, ANNA).left.any
    assert verify_archive(known.url, PIPELINE, {}, tmp_path).problems == []
    assert "nna" not in everything(known, tmp_path)
    assert [row[0] for row in known.held()] == ["e2"]


def test_a_file_that_is_not_what_was_archived_is_not_made_so(known: Shop, tmp_path: Path) -> None:
    path = sorted((tmp_path / "kept").rglob("*.zst"))[0]
    text = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    path.write_bytes(zstandard.ZstdCompressor().compress(text.replace(b"Bob", b"Rob")))
    with pytest.raises(SourceError, match="is not the file that was archived"):
        forget(known.url, PIPELINE, {}, tmp_path, ANNA)


def test_only_the_owner_may_forget(known: Shop, ledger_database: Database, tmp_path: Path) -> None:
    worker = ledger_database.role("worker")
    ((owner,),) = known.rows("select current_user::text")
    with ledger_database.connect() as connection:
        apply(connection, Roles(owner=owner, workers=(worker.name,)))
    with pytest.raises(TargetError, match=f'Forget as "{owner}"'):
        forget(worker.url, PIPELINE, {}, tmp_path, ANNA)
