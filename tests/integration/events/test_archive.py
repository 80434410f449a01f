"""The archive: what is in it, that it is whole, and that it is noticed when it is not."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard

from penstock.connectors.protocol import Connector
from penstock.connectors.registry import connectors
from penstock.errors import ConnectorError, UsageError
from penstock.events import archive
from penstock.events.archive import Written, write_archive
from penstock.events.pipeline import Pipeline
from penstock.events.verifying import verify_archive
from tests.fixtures.objects import Bucket
from tests.fixtures.sftp import Box
from tests.integration.events.conftest import Shop, event, row_of

ODD = b'{"id": "e9", "name": "\xff\xfe"}\nand a second line'


def pipeline(where: str | None = "./kept") -> Pipeline:
    return Pipeline(
        name="shop", target="events", key="event_id", time="occurred_at", transform=row_of,
        archive=where,
    )  # fmt: skip


def write(shop: Shop, folder: Path, *, now: bool = True) -> Written:
    return write_archive(shop.url, pipeline(), {}, folder, now=now)


def problems(shop: Shop, folder: Path) -> list[str]:
    return verify_archive(shop.url, pipeline(), {}, folder).problems


def lines(path: Path) -> list[dict[str, Any]]:
    """What zstandard and json read."""
    with path.open("rb") as file:
        text = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8")
        return [json.loads(line) for line in text.read().split("\n")[:-1]]


def files(folder: Path) -> list[Path]:
    return sorted((folder / "kept").rglob("*.zst"))


def an_hour_ago(shop: Shop) -> None:
    """What was staged so far came in the hour before this one, within the same day of staging."""
    for table in ("chunks", "batches", "events"):
        shop.rows(f"update penstock.{table} set received_at = received_at - interval '1 hour'")


def test_raw_events_are_archived_as_they_were_received(shop: Shop, tmp_path: Path) -> None:
    shop.stage(event(1), event(2, name="Zoë\u2028"), ODD)
    shop.stage(event(3))
    shop.stage(event(4), source="odd/name")
    assert write(shop, tmp_path) == Written(files=2, events=5, waiting=0)
    first, second = files(tmp_path)
    assert first.parent.relative_to(tmp_path / "kept").parts[:2] == ("shop", "files")
    found = lines(first)
    staged = shop.rows(
        "select chunk, pos, delivery_id, received_at, raw from penstock.events "
        "where source_id = 1 order by chunk, pos"
    )
    assert len(found) == len(staged) == 4
    for one, (chunk, pos, delivery_id, received_at, raw) in zip(found, staged, strict=True):
        text = one.get("raw")
        assert (base64.b64decode(one["raw_base64"]) if text is None else text.encode()) == raw
        assert (one["chunk"], one["pos"], one["delivery_id"]) == (chunk, pos, delivery_id)
        assert datetime.fromisoformat(one["received_at"]) == received_at
    assert "raw_base64" in found[2]
    assert lines(second)[0]["raw"] == json.dumps(event(4))

    said = json.loads(first.with_name(first.name.replace(".ndjson.zst", ".json")).read_text())
    content = zstandard.ZstdDecompressor().decompressobj().decompress(first.read_bytes())
    assert said["sha256"] == hashlib.sha256(first.read_bytes()).hexdigest()
    assert said["content_sha256"] == hashlib.sha256(content).hexdigest()
    assert (said["bytes"], said["content_bytes"]) == (first.stat().st_size, len(content))
    assert (said["events"], said["chunks"], said["part"]) == (4, 2, 1)
    assert said["first"] == {name: found[0][name] for name in ("chunk", "pos", "delivery_id")}
    assert said["last"] == {name: found[-1][name] for name in ("chunk", "pos", "delivery_id")}
    assert problems(shop, tmp_path) == []
    assert not list((tmp_path / ".penstock/archive").rglob("events"))


def test_an_hour_that_is_not_over_waits_and_what_is_late_makes_another_part(
    shop: Shop, tmp_path: Path
) -> None:
    shop.rows("select penstock.restore_event_day(((now() at time zone 'UTC')::date - 1)::date)")
    shop.stage(event(1))
    assert write(shop, tmp_path, now=False) == Written(waiting=1)
    an_hour_ago(shop)
    assert write(shop, tmp_path, now=False) == Written(files=1, events=1)
    assert write(shop, tmp_path, now=False) == Written()
    shop.stage(event(2))
    for table in ("chunks", "events"):
        shop.rows(
            f"update penstock.{table} set received_at = "
            "(select min(received_at) from penstock.chunks)"
        )
    assert write(shop, tmp_path, now=False) == Written(files=1, events=1)
    ((hour,),) = shop.rows("select distinct received_at at time zone 'UTC' from penstock.chunks")
    assert [path.name for path in files(tmp_path)] == [
        f"{hour:%Y%m%dT%H}Z-0001.ndjson.zst",
        f"{hour:%Y%m%dT%H}Z-0002.ndjson.zst",
    ]
    assert problems(shop, tmp_path) == []


def test_an_hour_of_many_events_is_cut_between_commits(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FILE_EVENTS", 3)
    for number in range(5):
        shop.stage(*(event(10 * number + one) for one in range(2)))
    assert write(shop, tmp_path) == Written(files=5, events=10)
    shop.stage(*(event(100 + one) for one in range(5)))  # more than fit
    assert write(shop, tmp_path) == Written(files=1, events=5)
    assert problems(shop, tmp_path) == []


@pytest.mark.parametrize("kind", ["bucket", "sftp_box"])
def test_the_archive_can_be_object_storage_or_a_server(
    shop: Shop, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    server: Bucket | Box = request.getfixturevalue(kind)
    named: Mapping[str, Connector] = connectors({"kept": server.settings}, tmp_path)
    shop.stage(event(1), ODD)
    shop.stage(event(2), source="partner")
    of = pipeline("kept")
    assert write_archive(shop.url, of, named, tmp_path, now=True) == Written(files=2, events=3)
    found = verify_archive(shop.url, of, named, tmp_path)
    assert (found.files, found.events, found.problems) == (2, 3, [])


def test_what_is_wrong_with_an_archive_is_told(shop: Shop, tmp_path: Path) -> None:
    for number in range(6):
        shop.stage(event(number, text="x" * 500))
        assert write(shop, tmp_path).files == 1
    cut, flipped, gone, bare, lying, swapped = files(tmp_path)
    cut.write_bytes(cut.read_bytes()[:-20])
    raw = bytearray(flipped.read_bytes())
    raw[len(raw) // 2] ^= 1
    flipped.write_bytes(raw)
    gone.unlink()
    manifest_of(bare).unlink()
    said = json.loads(manifest_of(lying).read_text())
    manifest_of(lying).write_text(json.dumps({**said, "events": 7}))
    shutil.copy(lying, swapped)
    (tmp_path / "kept/shop/files/stranger.json").write_text("{}")
    found = problems(shop, tmp_path)
    told = {path.name: [one for one in found if path.name in one] for path in files(tmp_path)}
    assert any("sha256" in one for one in told[cut.name])
    assert any("sha256" in one or "damaged" in one for one in told[flipped.name])
    assert [one for one in found if gone.name in one and "is missing" in one]
    assert [one.partition(": ")[2] for one in told[bare.name]] == ["has no manifest beside it"]
    assert [one.partition(": ")[2] for one in told[lying.name]] == ["its manifest says otherwise"]
    assert len(told[swapped.name]) == 4
    assert [one for one in found if "stranger.json: the ledger knows nothing of it" in one]


def manifest_of(path: Path) -> Path:
    return path.with_name(path.name.replace(".ndjson.zst", ".json"))


def test_another_ledgers_file_is_not_written_over(shop: Shop, tmp_path: Path) -> None:
    shop.stage(event(1))
    write(shop, tmp_path)
    before = files(tmp_path)[0].read_bytes()
    shop.rows("delete from penstock.archived")  # as another database has it
    shop.rows("delete from penstock.archive_files")
    shop.stage(event(2))
    with pytest.raises(ConnectorError, match="there with other events"):
        write(shop, tmp_path)
    assert files(tmp_path)[0].read_bytes() == before


def test_a_pipeline_without_an_archive_is_told_so(shop: Shop, tmp_path: Path) -> None:
    for where, said in ((None, "has no archive"), ("kept", r"no place of files.*\./kept")):
        with pytest.raises(UsageError, match=said):
            write_archive(shop.url, pipeline(where), {}, tmp_path)
